"""Whether the lips close where speech demands it, and only there."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.metrics.metric import ClipPair, Metric
from diffspeaker3d.metrics.mouth import (
    Rate,
    Share,
    bilabial_closure_recall,
    false_closure,
    lip_speeds,
    other_speech,
    wrong_closures,
)
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


def _wrong(pair: ClipPair) -> tuple[Share, Rate] | None:
    bilabial = _bilabial(pair)
    if bilabial is None or pair.visemes is None:
        return None
    elsewhere = other_speech(bilabial, pair.visemes == VISEMES.index("sil"), pair.fps)
    return wrong_closures(pair.opening, elsewhere, pair.fps, pair.closure_threshold)


def _wrongly_closed(pair: ClipPair) -> Share | None:
    found = _wrong(pair)
    return None if found is None else found[0]


def _wrong_per_second(pair: ClipPair) -> Rate | None:
    found = _wrong(pair)
    return None if found is None else found[1]


def _speed(pair: ClipPair, column: int) -> float | None:
    """Median speed (m/s) at which lips meet (0) or part (1) around p, b, m."""
    bilabial = _bilabial(pair)
    if bilabial is None:
        return None
    speeds = lip_speeds(pair.opening, bilabial, pair.fps, pair.closure_threshold)
    return float(np.median(speeds[:, column])) if len(speeds) else None


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
    Metric(
        "wrong_closures_per_second",
        "Wrong closures",
        "1/s",
        "low",
        "How often the lips shut in speech that shuts no person's: 100 ms from any pause and 50 ms from any p, b, m.",
        compute=_wrong_per_second,
        needs_recording=False,
    ),
    Metric(
        "wrongly_closed",
        "Frames wrongly closed",
        "share",
        "low",
        "Share of the frames of that speech in which the lips are shut.",
        compute=_wrongly_closed,
        needs_recording=False,
    ),
    Metric(
        "closing_speed",
        "Speed of lips that meet",
        "m/s",
        "recorded",
        "The largest speed in the 150 ms before p, b, m; median. People: 0.05 to 0.2.",
        pooling="median",
        compute=lambda pair: _speed(pair, 0),
        needs_recording=False,
    ),
    Metric(
        "opening_speed",
        "Speed of lips that part",
        "m/s",
        "recorded",
        "The same in the 150 ms after p, b, m.",
        pooling="median",
        compute=lambda pair: _speed(pair, 1),
        needs_recording=False,
    ),
)
