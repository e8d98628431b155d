"""Numbers about one animated line that need no recording of motion, and what is wrong with it in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.metrics import Share, bilabial_closure_recall, closure_threshold, jitter, mouth_opening
from diffspeaker3d.topology import METRES_PER_UNIT

QUIET_BELOW = 0.03  # of the loud parts' level (95th percentile): -30 dB is a pause
QUIET_FLOOR = 1e-3  # -60 dBFS is silence whatever the rest is
SHORTEST_PAUSE = 0.5  # seconds
PAUSE_MARGIN = 0.2  # seconds at either end of a pause in which the mouth may still, or already, move
SMOOTHING = 0.05  # seconds, Gaussian, before opening and sound are compared
LONGEST_LAG = 0.4  # seconds either way
BEATS = (
    4.0  # independent looks at the mouth in a second of speech: correlations are uncertain by 1 / sqrt(BEATS * seconds)
)
VOICE_BAND = (250.0, 1500.0)  # Hz, where vowels are loud and fricatives are not: what the jaw opens for
SHORTEST_COMPARISON = 2.0  # seconds of sound below which a lag says nothing
CLIPPED = 0.999  # a weight from here on stands at its stop
LEAST_SPREAD = 1e-5  # metres: a mouth that opens by less than this does not move


@dataclass(frozen=True)
class Thresholds:
    """What a line must keep to; units in the names (`_mm` millimetres, `_s` seconds).

    Set from 300 clips of the synthetic corpus, whose motion is true by construction: what nearly all of them keep to, with a
    margin (scripts/quality_thresholds.py measures it again).

    Attributes:
        closures_missed: share of the spoken p, b, m at which the lips stay apart.
        lag_s: mouth late (or early, negative) against the sound, either way.
        sync: correlation of opening and loudness at that lag, at least.
        jitter: mean jerk of the lips, m/s^3.
        peak_speed: of any lip vertex between two frames, m/s; above it something popped.
        clipping: share of frames that one shape stands at its stop.
        silence_drift_mm: mean opening in pauses, beyond the neutral face's.
        silence_speed_mm: mean speed of the opening in pauses, mm/s.
        speech_speed_mm: mean speed of the opening in speech, mm/s, at least.
    """

    closures_missed: float = 0.25
    lag_s: float = 0.12
    sync: float = 0.15
    jitter: float = 100.0
    peak_speed: float = 1.0
    clipping: float = 0.3
    silence_drift_mm: float = 3.0
    silence_speed_mm: float = 10.0
    speech_speed_mm: float = 8.0


@dataclass(frozen=True)
class LineReport:
    """One line's numbers; None where the animation gives no ground for one (no sound, no pause, no phones, no lips).

    Attributes:
        name: of the line.
        duration_s: of the motion.
        closures, closures_missed: how many p, b, m were spoken, and at how many of them the lips stay apart.
        lag_s, sync, jitter, peak_speed, clipping, silence_drift_mm, silence_speed_mm, speech_speed_mm: see `Thresholds`.
        clipped_shape: which shape `clipping` is about.
        failures: what is beyond its threshold, one sentence each; empty is good.
        severity: worst ratio of a number to its threshold, for sorting; above 1 is a failure.
        opening_mm, loudness: curves per frame, for a picture; () where unknown.
    """

    name: str
    duration_s: float
    closures: int | None = None
    closures_missed: int | None = None
    lag_s: float | None = None
    sync: float | None = None
    jitter: float | None = None
    peak_speed: float | None = None
    clipping: float | None = None
    clipped_shape: str = ""
    silence_drift_mm: float | None = None
    silence_speed_mm: float | None = None
    speech_speed_mm: float | None = None
    failures: tuple[str, ...] = ()
    severity: float = 0.0
    opening_mm: np.ndarray | tuple[()] = field(default=(), repr=False)
    loudness: np.ndarray | tuple[()] = field(default=(), repr=False)

    def numbers(self) -> dict[str, object]:
        """Everything but the curves, as JSON types."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("opening_mm", "loudness")}


def inspect(
    animation: Animation,
    name: str = "",
    *,
    bilabials: Sequence[tuple[float, float]] | None = None,
    thresholds: Thresholds | None = None,
) -> LineReport:
    """Measure one animated line.

    Args:
        animation: what the program made, with its sound if lag and pauses shall be measured.
        name: for the report.
        bilabials: (start, end) in seconds of every p, b, m, where a transcript tells; None leaves closures out.
        thresholds: what to hold it against; None is the default.

    Returns:
        LineReport: numbers and failures.
    """
    metres = METRES_PER_UNIT.get(animation.topology.unit)
    measured: dict[str, object] = _clipping(animation)
    lips = _lips(animation)
    if metres is not None and len(lips):
        moving = np.concatenate([chunk[:, lips] for chunk in animation.chunks()]) * metres
        steps = np.linalg.norm(np.diff(moving, axis=0), axis=-1)
        measured |= {
            "jitter": jitter(moving, animation.fps),
            "peak_speed": float(steps.max(initial=0.0)) * animation.fps,
        }
    if metres is not None and {"lip_upper_mid", "lip_lower_mid"} <= set(animation.topology.regions):
        measured |= _mouth(animation, bilabials)
    failures, severity = _judge(measured, thresholds or Thresholds())
    return LineReport(name, animation.duration, **measured, failures=tuple(failures), severity=severity)  # type: ignore[arg-type]


def loudness(waveform: np.ndarray, sample_rate: int, fps: float, num_frames: int) -> np.ndarray:
    """Square root of the RMS level (T,) around each frame's instant: closer to how loud it is than the level itself."""
    power = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
    edges = np.clip(np.rint((np.arange(num_frames + 1) - 0.5) / fps * sample_rate), 0, len(waveform)).astype(np.int64)
    mean = np.maximum(np.diff(power[edges]), 0) / np.maximum(np.diff(edges), 1)
    return np.asarray(mean**0.25)


def pauses(level: np.ndarray, fps: float) -> np.ndarray:
    """Frames (T,) bool well inside a pause, from `loudness`."""
    rms = np.square(level)
    quiet = rms < max(QUIET_BELOW * float(np.percentile(rms, 95)), QUIET_FLOOR)
    inside = np.zeros(len(level), bool)
    for start, end in np.flatnonzero(np.diff(np.pad(quiet.astype(np.int8), 1))).reshape(-1, 2):
        if end - start >= SHORTEST_PAUSE * fps:
            inside[start + int(PAUSE_MARGIN * fps) : end - int(PAUSE_MARGIN * fps)] = True
    return inside


def lag(opening: np.ndarray, level: np.ndarray, fps: float) -> tuple[float, float]:
    """By how many seconds the mouth follows the sound (negative: leads), and the correlation there.

    The shift, within LONGEST_LAG, at which opening and loudness correlate best, refined by a parabola through the three
    correlations around it. Syllables come at a beat, so a shift by one of them correlates too: of peaks that are as
    high, within what so much speech can tell, the one nearest to no lag is taken.
    """
    from scipy.ndimage import gaussian_filter1d

    a, b = (
        gaussian_filter1d(x, SMOOTHING * fps) for x in (np.asarray(opening, np.float64), np.asarray(level, np.float64))
    )
    reach = min(round(LONGEST_LAG * fps), len(a) // 3)
    scores = np.array(
        [
            _correlation(a[max(s, 0) : len(a) + min(s, 0)], b[max(-s, 0) : len(b) - max(s, 0)])
            for s in range(-reach, reach + 1)
        ]
    )
    as_high = 1 / np.sqrt(BEATS * len(a) / fps)
    padded = np.pad(scores, 1, constant_values=-1.0)
    peaks = np.flatnonzero((scores >= padded[:-2]) & (scores >= padded[2:]) & (scores >= scores.max() - as_high))
    best = int(peaks[np.abs(peaks - reach).argmin()])
    shift = float(best - reach)
    if 0 < best < len(scores) - 1:
        left, middle, right = scores[best - 1 : best + 2]
        shift += 0.5 * (left - right) / min(left - 2 * middle + right, -1e-12)
    return float(shift) / fps, float(scores[best])


def _vowels(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """The waveform in VOICE_BAND, without delay."""
    from scipy.signal import butter, sosfiltfilt

    high = min(VOICE_BAND[1], 0.45 * sample_rate)
    return np.asarray(sosfiltfilt(butter(2, (VOICE_BAND[0], high), "bandpass", fs=sample_rate, output="sos"), waveform))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-12))


def _lips(animation: Animation) -> np.ndarray:
    regions = animation.topology.regions
    return next((regions[name] for name in ("lips", "mouth") if name in regions), np.zeros(0, np.int32))


def _clipping(animation: Animation) -> dict[str, object]:
    """The shape that stands at 1 most often, and in which share of the frames."""
    if animation.weights is None:
        return {}
    shares = (animation.weights >= CLIPPED).mean(0)
    worst = int(shares.argmax())
    return {
        "clipping": float(shares[worst]),
        "clipped_shape": animation.weight_names[worst] if shares[worst] > 0 else "",
    }


def _mouth(animation: Animation, bilabials: Sequence[tuple[float, float]] | None) -> dict[str, object]:
    """Everything that follows from how far the mouth opens, and when."""
    fps, topology = animation.fps, animation.topology
    absolute = mouth_opening(animation.vertices, topology)
    opening = absolute - mouth_opening(animation.template[None], topology)[0]
    found: dict[str, object] = {"opening_mm": opening * 1000}
    if bilabials is not None:
        spoken = np.zeros(len(opening), bool)
        for start, end in bilabials:
            spoken[int(start * fps) : max(int(np.ceil(end * fps)), int(start * fps) + 1)] = True
        share: Share = bilabial_closure_recall(absolute, spoken, closure_threshold(animation.template, topology))
        found |= {"closures": share.total, "closures_missed": share.total - share.hits}
    if animation.waveform is None or animation.sample_rate is None:
        return found
    rate = animation.sample_rate
    level = loudness(animation.waveform, rate, fps, len(opening))
    still = pauses(level, fps)
    speed = np.abs(np.gradient(opening)) * fps * 1000 if len(opening) > 1 else np.zeros(1)
    found["loudness"] = level
    if still.any():
        found |= {
            "silence_drift_mm": float(np.abs(opening[still]).mean()) * 1000,
            "silence_speed_mm": float(speed[still].mean()),
        }
    if (~still).sum() >= SHORTEST_COMPARISON * fps and level.max() ** 2 > QUIET_FLOOR:
        found["speech_speed_mm"] = float(speed[~still].mean())
        if np.ptp(opening) > LEAST_SPREAD:
            found["lag_s"], found["sync"] = lag(
                opening, loudness(_vowels(animation.waveform, rate), rate, fps, len(opening)), fps
            )
    return found


def _judge(measured: dict[str, object], limits: Thresholds) -> tuple[list[str], float]:
    """What is beyond its threshold, in words, worst first; and the worst ratio to a threshold."""

    def number(key: str) -> float | None:
        value = measured.get(key)
        return float(value) if isinstance(value, int | float) else None

    missed, spoken, late, sync = number("closures_missed"), number("closures"), number("lag_s"), number("sync")
    at_most = [
        ("jitter", limits.jitter, "lips tremble: mean jerk {:.1f} m/s^3"),
        ("peak_speed", limits.peak_speed, "lips pop: {:.2f} m/s between two frames"),
        ("clipping", limits.clipping, f"{measured.get('clipped_shape')} stands at its stop in {{:.0%}} of the frames"),
        ("silence_drift_mm", limits.silence_drift_mm, "mouth is {:.1f} mm off its rest in pauses"),
        ("silence_speed_mm", limits.silence_speed_mm, "mouth moves in pauses: {:.1f} mm/s"),
    ]  # fmt: skip
    checks = [(value / limit, text.format(value)) for key, limit, text in at_most if (value := number(key)) is not None]
    if spoken and missed is not None:
        checks.append(
            (missed / spoken / limits.closures_missed, f"lips stay apart at {missed:.0f} of {spoken:.0f} p, b, m")
        )
    if (speed := number("speech_speed_mm")) is not None:
        checks.append((limits.speech_speed_mm / max(speed, 1e-3), f"mouth hardly moves in speech: {speed:.1f} mm/s"))
    if sync is not None and late is not None and sync < limits.sync:
        checks.append((limits.sync / max(sync, 1e-2), f"mouth does not follow the sound: correlation {sync:.2f}"))
    elif late is not None:
        checks.append(
            (abs(late) / limits.lag_s, f"mouth is {abs(late) * 1000:.0f} ms {'late' if late > 0 else 'early'}")
        )
    checks.sort(key=lambda check: -check[0])
    return [f"{text}" for ratio, text in checks if ratio > 1], max((ratio for ratio, _ in checks), default=0.0)
