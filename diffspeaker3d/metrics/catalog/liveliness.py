"""How lively a face is: dynamics, blinks, trembling."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.metrics.metric import ClipPair, Metric
from diffspeaker3d.metrics.vertex import jitter, upper_face_dynamics_deviation

BLINK = 0.5  # mean lid weight above which the eyes count as closed
LIDS = (CONTROL_NAMES.index("eyeBlinkLeft"), CONTROL_NAMES.index("eyeBlinkRight"))


def count_blinks(weights: np.ndarray) -> int:
    """How often the lids close: rising crossings of BLINK by the mean of both lids' weights (T, K)."""
    lids = weights[:, LIDS].mean(1)
    return int((np.diff((lids > BLINK).astype(np.int8), prepend=0) > 0).sum())


def _dynamics_deviation(pair: ClipPair) -> float | None:
    if "upper_face" not in pair.topology.regions:
        return None
    region = pair.topology.region("upper_face")
    return upper_face_dynamics_deviation(pair.predicted, pair.recorded, pair.template, region)


def _magnitude(pair: ClipPair) -> float | None:
    deviation = _dynamics_deviation(pair)
    return None if deviation is None else abs(deviation)


def _blinks_per_minute(pair: ClipPair) -> float | None:
    if pair.predicted_weights is None:
        return None
    return count_blinks(pair.predicted_weights) * 60 * pair.fps / len(pair)


METRICS = (
    Metric(
        "fdd",
        "Upper-face dynamics deviation (FDD), signed",
        "u²",
        "zero",
        "How much livelier the recorded upper face is than the predicted; negative is too lively. Mean over clips, so "
        "clips may cancel.",
        region="upper_face",
        pooling="clips",
        compute=_dynamics_deviation,
    ),
    Metric(
        "fdd_absolute",
        "FDD, magnitude",
        "u²",
        "low",
        "The same, but without the sign of each clip: clips do not cancel.",
        region="upper_face",
        pooling="clips",
        compute=_magnitude,
    ),
    Metric(
        "blinks_per_minute",
        "Blinks per minute",
        "1/min",
        "recorded",
        "How often both lids close beyond half (mean of eyeBlinkLeft and eyeBlinkRight).",
        compute=_blinks_per_minute,
        needs_recording=False,
    ),
    Metric(
        "jitter",
        "Jitter",
        "u/s³",
        "recorded",
        "Mean jerk. Far above the recording: trembling; far below: over-smoothed.",
        compute=lambda pair: jitter(pair.predicted, pair.fps),
        needs_recording=False,
    ),
)
