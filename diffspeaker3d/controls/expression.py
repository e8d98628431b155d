"""What the sound does not determine: blinks, gaze and brows. Seeded per clip, independent of the articulation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.controls.groups import SPOKEN
from diffspeaker3d.controls.style import Manner
from diffspeaker3d.speech.phones import Phone, phone_stress, phone_visemes

LIP_CHANNELS: tuple[int, ...] = tuple(i for i, name in enumerate(CONTROL_NAMES) if name in SPOKEN)

BLINK_MEDIAN_SECONDS, BLINK_SIGMA = 2.3, 0.6  # log-normal intervals: about 20 a minute when talking
BLINK_CLOSE, BLINK_OPEN = 0.07, 0.15  # seconds; the lids fall twice as fast as they rise
GAZE_DEGREES = 30.0  # of a look shape at weight 1
GAZE_LIMIT_DEGREES = 8.0
# "Eyes Alive" (Lee et al. 2002): saccade directions every 45 degrees from the right, in percent.
_DIRECTIONS = np.array([15.54, 6.46, 17.69, 7.44, 16.80, 7.89, 20.38, 7.80])
_K = {name: index for index, name in enumerate(CONTROL_NAMES)}


def expressions(
    phones: Sequence[Phone], duration: float, fps: float, manner: Manner | None = None, seed: int = 0
) -> np.ndarray:
    """Lids, gaze and brows over a clip; the speech controls stay 0.

    Args:
        phones: where pauses (preferred for blinks) and stresses (for brows) lie; may be empty. Seconds.
        duration: of the clip, seconds.
        fps: motion frames per second.
        manner: rates and amplitudes; None is neutral.
        seed: everything here is chance.

    Returns:
        array (T, K) float32: controls in [0, 1].
    """
    manner = manner or Manner.from_style()
    rng = np.random.default_rng([seed, 1])
    times = np.arange(int(duration * fps + 1e-6)) / fps
    controls = np.zeros((len(times), len(CONTROL_NAMES)))
    if len(times):
        _look(controls, times, manner, rng)
        _blink(controls, times, _pauses(phones, duration), fps, manner, rng)
        _raise_brows(controls, times, phones, manner, rng)
        cheer = max(manner.smile, 0.0)
        for side in ("Left", "Right"):
            controls[:, _K[f"cheekSquint{side}"]] += 0.8 * cheer
            controls[:, _K[f"eyeSquint{side}"]] += 0.5 * cheer + 0.8 * manner.tension
            controls[:, _K[f"browDown{side}"]] += 1.2 * manner.tension
        controls[:, _K["browInnerUp"]] += 0.8 * max(-manner.smile, 0.0)
    return np.clip(controls, 0.0, 1.0).astype(np.float32)


def _pauses(phones: Sequence[Phone], duration: float) -> np.ndarray:
    """Centres of silences over 80 ms, and the ends of the clip's sounds, seconds (n,)."""
    return np.array(
        [
            0.5 * (p.start + p.end)
            for p in phones
            if phone_visemes(p.name) == ("sil",) and p.end - p.start > 0.08 and p.end <= duration + 1e-3
        ]
    )


def _bell(times: np.ndarray, start: float, peak: float, hold: float, end: float) -> np.ndarray:
    """0 before start, 1 from peak to peak + hold, 0 after end; smooth in between."""
    rise = (times - start) / max(peak - start, 1e-3)
    fall = (end - times) / max(end - peak - hold, 1e-3)
    ramp = np.clip(np.minimum(rise, fall), 0.0, 1.0)
    return ramp * ramp * (3.0 - 2.0 * ramp)


def _blink(
    controls: np.ndarray, times: np.ndarray, pauses: np.ndarray, fps: float, manner: Manner, rng: np.random.Generator
) -> None:
    """Log-normal intervals (Bentivoglio 1997), drawn to a pause within half a second (Nakano 2010)."""
    when = float(rng.uniform(0.0, BLINK_MEDIAN_SECONDS))
    lids = np.zeros(len(times))
    while when < times[-1]:
        peak = when
        if len(pauses) and rng.random() < 0.7:
            nearest = pauses[np.argmin(np.abs(pauses - when))]
            peak = float(nearest) if abs(nearest - when) < 0.5 else when
        peak = round(peak * fps) / fps  # a lid that is shut between two frames is never seen shut
        depth = 1.0 if rng.random() < 0.6 else rng.uniform(0.75, 1.0)
        hold = rng.uniform(0.01, 0.03)
        lids = np.maximum(lids, depth * _bell(times, peak - BLINK_CLOSE, peak, hold, peak + hold + BLINK_OPEN))
        interval = BLINK_MEDIAN_SECONDS * np.exp(BLINK_SIGMA * rng.standard_normal()) / manner.blinks
        when = max(when, peak) + 0.3 + float(np.clip(interval, 0.2, 8.0))
    for side in ("Left", "Right"):
        down = controls[:, _K[f"eyeLookDown{side}"]]
        controls[:, _K[f"eyeBlink{side}"]] = np.maximum(lids, 0.4 * down)  # the lid follows the eye


def _look(controls: np.ndarray, times: np.ndarray, manner: Manner, rng: np.random.Generator) -> None:
    """Saccades between the listener (0, 0) and elsewhere, with a little drift."""
    knots, values = [0.0], [np.zeros(2)]
    now, away = float(rng.uniform(0.0, 3.0)), False
    while now < times[-1]:
        away = not away
        aim = np.zeros(2)
        if away:
            degrees = -6.9 * np.log(rng.uniform(1.0, 15.0) / 15.7) * manner.gaze
            angle = np.deg2rad(45.0 * rng.choice(8, p=_DIRECTIONS / _DIRECTIONS.sum()) + rng.uniform(-15.0, 15.0))
            aim = min(degrees, GAZE_LIMIT_DEGREES) * np.array([np.cos(angle), np.sin(angle)])
        travel = 0.025 + 0.0024 * float(np.linalg.norm(aim - values[-1]))
        knots += [now, now + travel]
        values += [values[-1], aim]
        stay = np.clip(rng.normal(0.8, 0.3), 0.2, 2.0) if away else np.clip(rng.normal(3.5, 1.0), 1.5, 7.0)
        now += travel + float(stay)
    path = np.stack([np.interp(times, knots, np.array(values)[:, axis]) for axis in range(2)], 1)
    path += np.stack([_drift(times, rng, 0.2) for _ in range(2)], 1)
    across, up = path.T / GAZE_DEGREES  # positive: to the subject's left, up
    controls[:, _K["eyeLookOutLeft"]] = controls[:, _K["eyeLookInRight"]] = np.maximum(across, 0.0)
    controls[:, _K["eyeLookInLeft"]] = controls[:, _K["eyeLookOutRight"]] = np.maximum(-across, 0.0)
    for side in ("Left", "Right"):
        controls[:, _K[f"eyeLookUp{side}"]] = np.maximum(up, 0.0)
        controls[:, _K[f"eyeLookDown{side}"]] = np.maximum(-up, 0.0)


def _drift(times: np.ndarray, rng: np.random.Generator, size: float) -> np.ndarray:
    """Slow wandering: random values twice a second, joined smoothly."""
    knots = np.arange(0.0, times[-1] + 1.0, 0.5)
    return np.interp(times, knots, size * rng.standard_normal(len(knots)))


def _raise_brows(
    controls: np.ndarray, times: np.ndarray, phones: Sequence[Phone], manner: Manner, rng: np.random.Generator
) -> None:
    """Raises that peak on stressed vowels (one in six), and some that nothing explains (38 % of all: Cave et al. 1996)."""
    peaks = [0.5 * (p.start + p.end) for p in phones if phone_stress(p.name) == 1 and rng.random() < 0.16]
    peaks += list(rng.uniform(0.0, times[-1], rng.poisson(0.12 * times[-1])))
    for peak in peaks:
        size = float(np.clip(rng.normal(0.3, 0.12), 0.08, 0.7)) * manner.brows
        bell = size * _bell(
            times, peak - rng.uniform(0.18, 0.35), peak, rng.uniform(0.05, 0.3), peak + rng.uniform(0.5, 0.9)
        )
        tilt = 0.12 * rng.standard_normal()
        for name, share in (("browInnerUp", 1.0), ("browOuterUpLeft", 0.8 + tilt), ("browOuterUpRight", 0.8 - tilt)):
            controls[:, _K[name]] = np.maximum(controls[:, _K[name]], share * bell)
        for side in ("Left", "Right"):
            controls[:, _K[f"eyeWide{side}"]] = np.maximum(controls[:, _K[f"eyeWide{side}"]], 0.35 * bell)
    controls[:, _K["browInnerUp"]] += np.maximum(_drift(times, rng, 0.03), 0.0)
