"""Whether the lips close where speech demands it, and only there."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.metrics.metric import ClipPair, Metric
from diffspeaker3d.metrics.mouth import Share, bilabial_closure_recall, false_closure
from diffspeaker3d.speech.phones import VISEMES, VOWELS

NEAR_FRAMES = 5  # width of the window around a p, b, m in which a vowel is not counted
QUIET_FRAMES = 9  # width of the window that has to be silent around a frame of silence


def _bilabial(pair: ClipPair) -> np.ndarray | None:
    """Which frames (T,) are p, b or m; None where nothing is known."""
    if pair.visemes is None or not pair.has_mouth:
        return None
    return pair.visemes == VISEMES.index("PP")


def _within(marks: np.ndarray, width: int) -> np.ndarray:
    """Frames (T,) with a mark in a window of `width` frames around them."""
    return np.convolve(marks, np.ones(width), "same")[: len(marks)] > 0.5


def _recall(pair: ClipPair) -> Share | None:
    bilabial = _bilabial(pair)
    return None if bilabial is None else bilabial_closure_recall(pair.opening, bilabial, pair.closure_threshold)


def _closed_vowels(pair: ClipPair) -> Share | None:
    bilabial = _bilabial(pair)
    if bilabial is None or pair.visemes is None:
        return None
    vowel = np.isin(pair.visemes, [VISEMES.index(name) for name in VOWELS])
    open_vowel = vowel & ~_within(bilabial, NEAR_FRAMES) & (pair.recorded_opening > pair.closure_threshold)
    return false_closure(pair.opening, open_vowel, pair.closure_threshold)


def _closed_in_silence(pair: ClipPair) -> Share | None:
    if pair.visemes is None or not pair.has_mouth:
        return None
    quiet = ~_within(pair.visemes != VISEMES.index("sil"), QUIET_FRAMES)
    return Share(int((pair.opening[quiet] <= pair.closure_threshold).sum()), int(quiet.sum()))


METRICS = (
    Metric(
        "closure_recall",
        "Closures on p, b, m",
        "share",
        "high",
        "How many of the spoken p, b and m show closed lips (within half a millimetre of the neutral mouth).",
        compute=_recall,
        needs_recording=False,
    ),
    Metric(
        "false_closures",
        "False closures",
        "share",
        "low",
        "How many vowel frames in which the recorded mouth is open show closed lips.",
        compute=_closed_vowels,
        needs_recording=False,
    ),
    Metric(
        "closed_in_silence",
        "Closed in silence",
        "share",
        "recorded",
        "How many frames of silence show closed lips.",
        compute=_closed_in_silence,
        needs_recording=False,
    ),
)
