"""Many samples of one clip: how much they differ, and how close they come."""

from __future__ import annotations

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.metrics.frames import as_array
from diffspeaker3d.metrics.vertex import lip_vertex_error, mean_vertex_error


class CoverageError(NamedTuple):
    """LVE of N samples, squared units.

    Attributes:
        best: lowest of the N (coverage error of ProbTalk3D: does any sample come close?).
        mean: mean of the N.
        of_mean: LVE of the samples' mean face (their mean estimate error).
    """

    best: float
    mean: float
    of_mean: float


def diversity(samples: Any) -> float:
    """Mean distance between samples, over all pairs, frames and vertices, in the vertices' unit.

    Div = 2/(N(N-1)) sum_{a<b} MVE(sample_a, sample_b). See FaceDiffuser (Stan et al. 2023), who compare styles, and
    ProbTalk3D (Wu et al. 2024), who compare draws. Large is not good by itself: noise is diverse too.

    Args:
        samples (sequence of (T, V, 3)): at least two predictions for one sound.

    Raises:
        InputError: fewer than two samples.
    """
    if len(samples) < 2:
        raise InputError(f"metrics: diversity needs at least two samples, got {len(samples)}")
    return float(np.mean([mean_vertex_error(a, b) for a, b in combinations(samples, 2)]))


def coverage_error(samples: Any, target: Any, lips: np.ndarray) -> CoverageError:
    """LVE of the best sample, of a sample on average, and of the samples' mean. See ProbTalk3D (Wu et al. 2024).

    Args:
        samples (sequence of (T, V, 3)): N predictions for one sound.
        target (array or Tensor (T, V, 3)): the recording.
        lips (array (n,)): vertex indices.
    """
    if len(samples) == 0:
        raise InputError("metrics: coverage error needs at least one sample")
    errors = [lip_vertex_error(sample, target, lips) for sample in samples]
    mean_face = sum(as_array(s).astype(np.float64) for s in samples) / len(samples)
    return CoverageError(min(errors), float(np.mean(errors)), lip_vertex_error(mean_face, target, lips))
