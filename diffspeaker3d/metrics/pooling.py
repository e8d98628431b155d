"""From the values of many clips to one number, and how sure of it one may be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diffspeaker3d.errors import InputError

POOLINGS = ("frames", "clips")


def pool(values: Sequence[float], num_frames: Sequence[float], pooling: str = "frames") -> float:
    """One number from the values of many clips; clips whose value is nan (nothing to measure) do not count.

    Args:
        values: one per clip.
        num_frames: length of each clip, or any other weight.
        pooling: `frames` weighs a clip by its length, as if all frames were one clip (CodeTalker's LVE); `clips` takes
            the plain mean (DiffSpeaker's evaluation, FaceDiffuser's MVE, everybody's FDD).

    Returns:
        float: nan when no clip has a value.

    Raises:
        InputError: an unknown pooling, or no clip.
    """
    if pooling not in POOLINGS:
        raise InputError(f"pooling: unknown {pooling!r}; known: {', '.join(POOLINGS)}")
    if len(values) == 0 or len(values) != len(num_frames):
        raise InputError(f"metrics: {len(values)} values of {len(num_frames)} clips cannot be pooled")
    known = ~np.isnan(values)
    weights = np.asarray(num_frames, np.float64) if pooling == "frames" else np.ones(len(values))
    return float(np.average(np.asarray(values)[known], weights=weights[known])) if known.any() else float("nan")


def confidence_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean of repeated measurements and the half width of its 95 % interval: 1.96 s / sqrt(n), s with n - 1.

    The values are whole evaluations under different seeds (as in DiffSpeaker's table), not clips of one evaluation. The
    half width is nan for a single value.
    """
    if len(values) == 0:
        raise InputError("metrics: no measurement to take a mean of")
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return float(np.mean(values)), 1.96 * spread / float(np.sqrt(len(values)))
