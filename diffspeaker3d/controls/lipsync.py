"""A transcript guides the lips: p b m seal, f v touch the teeth, open vowels part, over the model's own motion.

Sound alone leaves some closures to chance (m and b are nearly as loud as vowels); phones with times do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.controls.targets import OPEN_VOWELS, SEAL, load_rules
from diffspeaker3d.speech.phones import VISEMES, Phone, Segment, segments

RAMP_SECONDS = 0.035  # into and out of what the phones demand
SEALED_JAW = 0.20  # the most a jaw is dropped behind sealed lips
TEETH_ROLL, TEETH_JAW, TEETH_CLOSURE = 0.76, 0.10, 0.60  # lower lip at the upper teeth; more closure would be a p
OPEN_CLOSURE = -0.05
SHUT = 0.012  # of the jaw's range: half a millimetre
FASTEST = 3.0  # of the jaw's range per second, the speed of lips that meet: 110 mm/s
LEAST_OPENING = 0.4  # share of the jaw that articulation would drop for the vowel: mumbled, but not shut
_FROM_TEETH = {
    "mouthFunnel": 0.15,
    "mouthLowerDownLeft": 0.05,
    "mouthLowerDownRight": 0.05,
}  # would pull the lip off them
_CHANNELS = ("mouthClose", "jawOpen", "mouthRollLower", *_FROM_TEETH)


def guide_controls(
    controls: np.ndarray, phones: Sequence[Phone], fps: float, names: tuple[str, ...] = CONTROL_NAMES
) -> np.ndarray:
    """Controls in which the lips do what the phones demand; whatever the phones leave free is the model's own.

    Each demand is a bound c* on a channel c, approached as c + w (c* - c) where c violates it, w rising and falling over
    RAMP_SECONDS around the phone. The vowels come first, the closures last: where both claim a frame, lips are closed.

    Args:
        controls (array (T, K)): the model's motion.
        phones: what is said and when, in seconds from the first frame.
        fps: motion frames per second; frame i shows the instant i / fps.
        names: the K names; a control that is not among them is left out.

    Returns:
        array (T, K) float32: guided controls; the same numbers where nothing is demanded.
    """
    guided = np.array(controls, np.float32)
    lips = {name: guided[:, names.index(name)] for name in _CHANNELS if name in names}  # views: written through
    spoken, targets = segments(phones), load_rules().targets
    times = np.arange(len(guided)) / fps
    for segment in spoken:
        if segment.viseme in OPEN_VOWELS:
            inside = _inside(times, segment)
            _at_most(lips, "mouthClose", OPEN_CLOSURE, inside)
            _at_least(lips, "jawOpen", LEAST_OPENING * targets[segment.viseme].gestures["jawOpen"], inside)
    lengths = [np.inf, *(s.end - s.start for s in spoken), np.inf]
    for segment, before, after in zip(spoken, lengths[:-2], lengths[2:], strict=True):
        if segment.viseme in ("FF", "PP"):
            held = _around(times, segment, fps, min(RAMP_SECONDS, 0.5 * before), min(RAMP_SECONDS, 0.5 * after))
            (_touch_teeth if segment.viseme == "FF" else _seal)(lips, held)
    return guided


@dataclass(frozen=True)
class LipRule:
    """How the lips follow the phones that are heard; measured on people (docs/voice.md).

    Attributes:
        temperature: the viseme head's logits are divided by it: it is surer of a voice than it is right.
        low, high: probabilities of p, b, m at which lips begin to close, and are sealed.
        closing, opening: seconds over which the rule leads up to a seal, and away from it, on top of the model's own motion.
    """

    temperature: float = 1.0
    low: float = 0.1
    high: float = 0.3
    closing: float = 0.05
    opening: float = 0.05


def follow_heard(
    controls: np.ndarray, visemes: np.ndarray, fps: float, rule: LipRule, names: tuple[str, ...] = CONTROL_NAMES
) -> np.ndarray:
    """Controls whose lips close as far as p, b, m is heard, with a person's speed.

    The sampled closure is a mean over what might be said, and stops short where the sound is ambiguous.

    Args:
        controls (array (T, K)): the model's motion.
        visemes (array (T, 24)): probabilities by the viseme head.
        fps: motion frames per second.
        rule: see `LipRule`.
        names: the K names.

    Returns:
        array (T, K) float32: the same but for `mouthClose`.
    """
    followed = np.array(controls, np.float32)
    jaw, close = followed[:, names.index("jawOpen")], followed[:, names.index("mouthClose")]  # views: written through
    likely = np.asarray(visemes, np.float64) ** (1.0 / rule.temperature)
    likely /= likely.sum(-1, keepdims=True)
    evidence = np.clip((likely[:, VISEMES.index("PP")] - rule.low) / (rule.high - rule.low), 0.0, 1.0)
    held = _swept(evidence, fps, rule.closing, rule.opening)
    close[:] = np.maximum(close, SEAL * held)
    _no_snap(jaw, close, fps)
    return followed


def _swept(evidence: np.ndarray, fps: float, before: float, after: float) -> np.ndarray:
    """The least envelope (T,) over evidence that rises over `before` seconds in front of it and falls over `after`."""
    swept = evidence.copy()
    for frames in range(1, max(int(before * fps), int(after * fps)) + 1):
        lead, trail = (_smooth(np.array(1.0 - frames / fps / length)) for length in (before, after))
        swept[:-frames] = np.maximum(swept[:-frames], lead * evidence[frames:])
        swept[frames:] = np.maximum(swept[frames:], trail * evidence[:-frames])
    return swept


def _no_snap(jaw: np.ndarray, close: np.ndarray, fps: float) -> None:
    """In the frame before lips meet they are at most as far apart as they travel in one frame."""
    apart = jaw * (1.0 - np.clip(close, 0.0, 1.0))
    snaps = np.flatnonzero((apart[1:] < SHUT) & (apart[:-1] > FASTEST / fps))
    close[snaps] = 1.0 - FASTEST / fps / jaw[snaps]


def _seal(lips: dict[str, np.ndarray], held: np.ndarray) -> None:
    _at_least(lips, "mouthClose", SEAL, held)
    _at_most(lips, "jawOpen", SEALED_JAW, held)


def _touch_teeth(lips: dict[str, np.ndarray], held: np.ndarray) -> None:
    _at_least(lips, "mouthRollLower", TEETH_ROLL, held)
    _at_most(lips, "jawOpen", TEETH_JAW, held)
    _at_most(lips, "mouthClose", TEETH_CLOSURE, held)
    for name, bound in _FROM_TEETH.items():
        _at_most(lips, name, bound, held)


def _at_least(lips: dict[str, np.ndarray], name: str, bound: float, weight: np.ndarray) -> None:
    if name in lips:
        lips[name] += weight * np.maximum(bound - lips[name], 0.0)


def _at_most(lips: dict[str, np.ndarray], name: str, bound: float, weight: np.ndarray) -> None:
    if name in lips:
        lips[name] -= weight * np.maximum(lips[name] - bound, 0.0)


def _around(times: np.ndarray, segment: Segment, fps: float, attack: float, decay: float) -> np.ndarray:
    """Weight (T,): 1 during the segment and at the frame nearest to its middle, a smooth ramp on either side."""
    nearest = round(0.5 * (segment.start + segment.end) * fps) / fps
    start, end = min(segment.start, nearest), max(segment.end, nearest)
    return _smooth(np.minimum((times - start) / max(attack, 1e-3), (end - times) / max(decay, 1e-3)) + 1.0)


def _inside(times: np.ndarray, segment: Segment) -> np.ndarray:
    """Weight (T,): rises from 0 inside the vowel, so that what precedes it is kept, and falls after it, where a
    diphthong goes on; a closure that follows has the last word."""
    ramp = min(RAMP_SECONDS, 0.5 * (segment.end - segment.start))
    return _smooth(np.minimum((times - segment.start) / max(ramp, 1e-3), (segment.end - times) / RAMP_SECONDS + 1.0))


def _smooth(ramp: np.ndarray) -> np.ndarray:
    ramp = np.clip(ramp, 0.0, 1.0)
    return (ramp * ramp * (3.0 - 2.0 * ramp)).astype(np.float32)
