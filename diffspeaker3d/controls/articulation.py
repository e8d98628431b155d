"""Phones to speech controls: blended gesture targets, then the rules that blending alone breaks.

Blending after Cohen and Massaro (1993): every segment p has a dominance D_p(t) per articulator that decays from the
segment outwards, and a gesture is sum_p D_p(t) T_p / sum_p D_p(t). Rules after JALI (Edwards et al. 2016): bilabials
meet, labiodentals touch, other sounds part the lips, sibilants narrow the jaw, a pause closes the mouth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.controls.style import Manner
from diffspeaker3d.controls.targets import (
    BREATH,
    CARRIER,
    GESTURES,
    LIP_HEAVY,
    PAUSE_CLOSURE,
    SEAL,
    TRAIL,
    Rules,
    load_rules,
)
from diffspeaker3d.speech.phones import VOWELS, Phone, Segment, segments

SILENT = frozenset({"sil", BREATH, TRAIL})
JAW_LIMIT = {"SS": 0.15, "CH": 0.15, "PP": 0.20}
TEETH_ROLL = 0.72  # lower-lip roll at which the lip touches the upper teeth
JITTER = 0.05  # no two renditions of a target are alike
_G = {name: index for index, name in enumerate(GESTURES)}
_K = {name: index for index, name in enumerate(CONTROL_NAMES)}


def articulate(
    phones: Sequence[Phone],
    duration: float,
    fps: float,
    manner: Manner | None = None,
    seed: int = 0,
    *,
    loudness: np.ndarray | None = None,
    rules: Rules | None = None,
) -> np.ndarray:
    """Phones with times to the speech part of the controls; eyes and brows stay 0.

    Args:
        phones: what is said; what no phone covers is silence. Seconds.
        duration: of the clip, seconds.
        fps: motion frames per second; frame i shows the instant i / fps.
        manner: how it is said; None is neutral.
        seed: of the small variation between renditions.
        loudness (array (T,)): relative loudness in [-1, 1], 0 the clip's median; None leaves the jaw uncoupled.
        rules: the numbers of the articulation; None is those fitted to people.

    Returns:
        array (T, K) float32: controls in the order of arkit.CONTROL_NAMES, T = floor(duration * fps).
    """
    manner, rules = manner or Manner.from_style(), rules or load_rules()
    times = np.arange(int(duration * fps + 1e-6)) / fps
    if not len(times):
        return np.zeros((0, len(CONTROL_NAMES)), np.float32)
    spoken = _breathing(_with_silence(segments(phones), duration), rules)
    gestures = _blend(spoken, times, manner, rules, np.random.default_rng(seed))
    gestures[:, _G["jawOpen"]] = np.maximum(gestures[:, _G["jawOpen"]], manner.rest_jaw)
    if loudness is not None:
        share = float(np.clip(rules.loudness + manner.loudness, 0.0, 0.5))
        gestures[:, _G["jawOpen"]] *= 1.0 + share * np.asarray(loudness, np.float64)[: len(times)]
    _part_lips(gestures, spoken, times, fps, rules)
    _narrow_jaw(gestures, spoken, times, fps)
    _touch_teeth(gestures, spoken, times, fps)
    _close_pauses(gestures, spoken, times, rules)
    _seal_bilabials(gestures, spoken, times, fps, rules)
    return _to_controls(gestures, manner)


def _with_silence(spoken: list[Segment], duration: float) -> list[Segment]:
    """Fill what no segment covers with silence, and join neighbouring silences."""
    filled: list[Segment] = []
    reached = 0.0
    for segment in [*sorted(spoken, key=lambda s: s.start), Segment("sil", duration, duration, 0, "sil")]:
        if segment.start > reached + 1e-3:
            filled.append(Segment("sil", reached, segment.start, 0, "sil"))
        if segment.end > segment.start:
            filled.append(segment)
        reached = max(reached, segment.end)
    joined: list[Segment] = []
    for segment in filled:
        if joined and segment.viseme == joined[-1].viseme == "sil":
            joined[-1] = joined[-1]._replace(end=segment.end)
        else:
            joined.append(segment)
    return joined


def _breathing(spoken: list[Segment], rules: Rules) -> list[Segment]:
    """Pauses that begin with a mouth on its way to rest and end with the breath before speech: at most half of each."""
    found: list[Segment] = []
    for index, segment in enumerate(spoken):
        if segment.viseme != "sil":
            found.append(segment)
            continue
        most = 0.5 * (segment.end - segment.start)
        rest = segment.start + (min(rules.trail, most) if index else 0.0)
        breath = segment.end - (min(rules.breath, most) if index < len(spoken) - 1 else 0.0)
        parts = ((TRAIL, segment.start, rest), ("sil", rest, breath), (BREATH, breath, segment.end))
        found += [Segment(name, a, b, 0, "sil") for name, a, b in parts if b - a > 1e-3]
    return found


def _blend(
    spoken: list[Segment], times: np.ndarray, manner: Manner, rules: Rules, rng: np.random.Generator
) -> np.ndarray:
    """Dominance-weighted targets: gestures (T, G)."""
    visemes = [s.viseme for s in spoken]
    targets, dominance = rules.arrays(visemes)
    targets = targets * _gains(spoken, manner, rules, rng)
    targets[[v == "sil" for v in visemes], _G["jawOpen"]] = manner.rest_jaw
    onset, release = _time_constants(visemes, manner, rules)
    start, end = (np.array([getattr(s, name) for s in spoken])[:, None] for name in ("start", "end"))
    before, after = np.maximum(start - times, 0.0), np.maximum(times - end, 0.0)  # (P, T)
    blended = np.zeros((len(times), len(GESTURES)))
    for articulator in range(dominance.shape[1]):
        distance = before / onset[:, articulator, None] + after / release[:, articulator, None]
        weight = dominance[:, articulator, None] * np.exp(-((1.6 * distance) ** 1.5)) + 1e-9
        carried = articulator == CARRIER
        blended[:, carried] = (weight.T @ targets[:, carried]) / weight.sum(0)[:, None]
    return blended


def _gains(spoken: list[Segment], manner: Manner, rules: Rules, rng: np.random.Generator) -> np.ndarray:
    """Factors (P, G) on the targets: manner, stress, undershoot of short vowels, and chance."""
    by_articulator = np.array([manner.jaw, manner.lips, manner.lips, manner.tongue])
    gains = np.repeat(by_articulator[CARRIER][None], len(spoken), 0)
    gains *= np.exp(JITTER * rng.standard_normal((len(spoken), 4)))[:, CARRIER]
    gains[:, [_G["funnel"], _G["pucker"]]] *= manner.rounding
    gains[:, _G["close"]] = 1.0  # contact is contact
    undershoot = float(np.clip(rules.undershoot + manner.undershoot, 0.0, 0.8))
    for row, segment in zip(gains, spoken, strict=True):
        if segment.viseme in VOWELS:
            reached = 1.0 - undershoot * np.exp(-(segment.end - segment.start) / rules.reduction)
            row[:-2] *= reached * rules.stress[segment.stress]
        if segment.phone in ("m", "em"):
            row[_G["cheekPuff"]] = 0.0
    return gains


def _time_constants(visemes: list[str], manner: Manner, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Onset and release times (P, 4), seconds: how far a segment reaches before and after itself."""
    onset, release = np.tile(rules.onset, (len(visemes), 1)), np.tile(rules.release, (len(visemes), 1))
    for row, viseme in enumerate(visemes):
        if viseme in LIP_HEAVY:
            onset[row, 2], release[row, 2] = rules.protrusion
        if viseme in ("PP", "FF"):
            onset[row, 1], release[row, 1] = rules.contact
    return onset * manner.anticipation, release


def _window(times: np.ndarray, start: float, end: float, attack: float, decay: float) -> np.ndarray:
    """1 on [start, end], smoothly to 0 over `attack` before and `decay` after."""
    ramp = np.clip(np.minimum((times - start) / attack, (end - times) / decay) + 1.0, 0.0, 1.0)
    return ramp * ramp * (3.0 - 2.0 * ramp)


def _caught(segment: Segment, fps: float) -> tuple[float, float]:
    """The segment's times, widened so that the frame nearest to its centre lies inside."""
    nearest = round(0.5 * (segment.start + segment.end) * fps) / fps
    return min(segment.start, nearest), max(segment.end, nearest)


def _part_lips(gestures: np.ndarray, spoken: list[Segment], times: np.ndarray, fps: float, rules: Rules) -> None:
    """Whatever is not a labial or silence parts the lips at its centre: without it "puppy" stays shut."""
    for segment in spoken:
        length = segment.end - segment.start
        if segment.viseme in SILENT | {"PP", "FF"} or length < 0.03:
            continue
        centre = 0.5 * (segment.start + segment.end)
        half = 0.5 * min(1.0 / fps, length)
        window = _window(times, centre - half, centre + half, 0.5 * length, 0.5 * length)
        close = gestures[:, _G["close"]]
        close -= window * np.maximum(close - rules.most_closure(segment.viseme), 0.0)


def _narrow_jaw(gestures: np.ndarray, spoken: list[Segment], times: np.ndarray, fps: float) -> None:
    """Sibilants need the teeth close together, and lips do not meet over a dropped jaw."""
    jaw = gestures[:, _G["jawOpen"]]
    for segment in spoken:
        if segment.viseme in JAW_LIMIT:
            window = _window(times, *_caught(segment, fps), 0.06, 0.06)
            jaw -= window * np.maximum(jaw - JAW_LIMIT[segment.viseme], 0.0)


def _touch_teeth(gestures: np.ndarray, spoken: list[Segment], times: np.ndarray, fps: float) -> None:
    """f and v bring the lower lip to the upper teeth, with the jaw up."""
    for segment in spoken:
        if segment.viseme == "FF":
            window = _window(times, *_caught(segment, fps), 0.06, 0.05)
            jaw, roll = gestures[:, _G["jawOpen"]], gestures[:, _G["rollLower"]]
            jaw -= window * np.maximum(jaw - 0.10, 0.0)
            roll += window * np.maximum(TEETH_ROLL * 1.05 - roll, 0.0)


def _close_pauses(gestures: np.ndarray, spoken: list[Segment], times: np.ndarray, rules: Rules) -> None:
    """A pause that is long enough closes the mouth, and it stays closed up to a following p, b or m."""
    closes_after, opens_before = rules.rest
    for index, segment in enumerate(spoken):
        if segment.viseme != "sil" or segment.end - segment.start < rules.shortest_rest:
            continue
        first, last = index == 0, index == len(spoken) - 1
        held_from = segment.start if first or spoken[index - 1].viseme == "PP" else segment.start + closes_after
        held_to = segment.end if last or spoken[index + 1].viseme == "PP" else segment.end - opens_before
        if held_from >= held_to:
            held_from = held_to = 0.5 * (held_from + held_to)
        window = _window(times, held_from, held_to + (1.0 if last else 0.0), 0.20, 0.12)
        close = gestures[:, _G["close"]]
        close += window * np.maximum(PAUSE_CLOSURE - close, 0.0)


def _seal_bilabials(gestures: np.ndarray, spoken: list[Segment], times: np.ndarray, fps: float, rules: Rules) -> None:
    """p, b, m: closure at least 1 all the way, SEAL at the centre."""
    close = gestures[:, _G["close"]]
    closing, parting = rules.contact
    lengths = [np.inf, *(s.end - s.start for s in spoken), np.inf]
    for segment, before, after in zip(spoken, lengths[:-2], lengths[2:], strict=True):
        if segment.viseme == "PP":
            start, end = _caught(segment, fps)
            # A short neighbour still has to be seen open: the lips take at most half of it.
            held = _window(times, start, end, min(closing, 0.55 * before), min(parting, 0.5 * after))
            centre, half = 0.5 * (start + end), 0.5 * (end - start) + 0.02
            crest = 1.06 + (SEAL - 1.06) * _window(times, centre, centre, half, half)
            close += held * np.maximum(crest - close, 0.0)


def _to_controls(gestures: np.ndarray, manner: Manner) -> np.ndarray:
    """Gestures (T, G) to controls (T, K): left and right, and the manner's standing expression."""
    controls = np.zeros((len(gestures), len(CONTROL_NAMES)))
    seal = np.clip(gestures[:, _G["close"]], 0.0, 1.0)
    left, right = 1.0 + manner.asymmetry, 1.0 - manner.asymmetry
    for name in ("jawOpen", "jawForward", "cheekPuff", "tongueUp", "tongueOut"):
        controls[:, _K[name]] = gestures[:, _G[name]]
    for name in ("funnel", "pucker", "rollLower", "rollUpper", "shrugLower"):
        controls[:, _K["mouth" + name[0].upper() + name[1:]]] = gestures[:, _G[name]]
    for name in ("stretch", "smile", "press", "upperUp", "lowerDown"):
        for side, share in (("Left", left), ("Right", right)):
            controls[:, _K["mouth" + name[0].upper() + name[1:] + side]] = gestures[:, _G[name]] * share
    rounded = np.clip(gestures[:, _G["pucker"]] + gestures[:, _G["funnel"]], 0.0, 1.0)
    for side, share in (("Left", left), ("Right", right)):
        controls[:, _K[f"mouthSmile{side}"]] += max(manner.smile, 0.0) * share * (1.0 - 0.6 * rounded)
        controls[:, _K[f"mouthFrown{side}"]] += max(-manner.smile, 0.0) * share
        controls[:, _K[f"mouthPress{side}"]] += manner.tension * (0.4 + 0.6 * seal)
        controls[:, _K[f"mouthDimple{side}"]] += (0.5 * manner.tension + 0.3 * max(manner.smile, 0.0)) * share
    controls[:, _K["mouthLeft" if manner.asymmetry > 0 else "mouthRight"]] = 0.35 * abs(manner.asymmetry)
    controls = np.clip(controls, 0.0, 1.0)
    controls[:, _K["mouthClose"]] = np.clip(gestures[:, _G["close"]], -0.2, 1.3)
    return controls.astype(np.float32)
