"""How far the mouth opens, and when."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.metrics.metric import ClipPair, Metric
from diffspeaker3d.metrics.mouth import beat_alignment, mean_temporal_misalignment

MAX_LAG = 5  # frames either way in which the lag is looked for
STILL = 1e-3  # a mouth that moves less than this share of the recorded one has no timing


def lag(opening: np.ndarray, recorded: np.ndarray) -> float:
    """Frames by which the predicted opening (T,) comes late: the shift of best correlation; nan if either is still."""
    best = (-1.0, float("nan"))
    for shift in range(-MAX_LAG, MAX_LAG + 1):
        a, b = (
            (opening[shift:], recorded[: len(recorded) - shift]) if shift >= 0 else (opening[:shift], recorded[-shift:])
        )
        if len(a) > 2 * MAX_LAG and a.std() > 0 and b.std() > 0:
            best = max(best, (float(np.corrcoef(a, b)[0, 1]), float(shift)))
    return best[1]


def _has_timing(pair: ClipPair) -> bool:
    """A still mouth has no timing, and MTM would call it perfect."""
    return pair.has_mouth and bool(pair.opening.std() > STILL * pair.recorded_opening.std())


def _opening_distance(pair: ClipPair) -> float | None:
    return float(np.abs(pair.opening - pair.recorded_opening).mean()) if pair.has_mouth else None


def _misalignment(pair: ClipPair) -> float | None:
    return mean_temporal_misalignment(pair.opening, pair.recorded_opening, pair.fps) if _has_timing(pair) else None


def _beat_alignment(pair: ClipPair) -> float | None:
    return beat_alignment(pair.opening, pair.waveform, pair.sample_rate, pair.fps) if pair.has_mouth else None


METRICS = (
    Metric(
        "mouth_opening_distance",
        "Mouth opening distance",
        "m",
        "low",
        "Difference of the lips' distance between prediction and recording, mean over frames.",
        compute=_opening_distance,
    ),
    Metric(
        "mtm_ms",
        "Mean temporal misalignment (MTM)",
        "ms",
        "low",
        "How early or late the mouth's turning points are, after the best alignment. Absent for a mouth that does not move.",
        compute=_misalignment,
    ),
    Metric(
        "lag_frames",
        "Lag",
        "frames",
        "zero",
        "Shift at which the predicted mouth opening fits best; positive is late. Median over clips.",
        pooling="median",
        compute=lambda pair: lag(pair.opening, pair.recorded_opening) if _has_timing(pair) else None,
    ),
    Metric(
        "beat_alignment",
        "Beat alignment",
        "0 to 1",
        "recorded",
        "Whether the mouth opens on the syllables of the sound: 1 is on every one. Looks at the prediction only.",
        compute=_beat_alignment,
        needs_recording=False,
    ),
)
