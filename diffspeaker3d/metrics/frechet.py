"""Do predicted faces move like recorded ones, as a crowd? The Fréchet distance between two clouds of motion features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.metrics.frames import as_array


@dataclass(frozen=True, eq=False)
class MotionFeatures:
    """Principal coordinates of recorded displacements and their speed: what a frame looks like and where it is going.

    Not learned and not tied to a checkpoint, so that anyone gets the same number from the same recordings. Coordinates
    and speeds are divided by their standard deviations in the recordings: the distance has no unit.

    Attributes:
        basis (array (D, k)): principal directions of the recorded displacements.
        mean (array (D,)): their mean.
        scale (array (2k,)): standard deviations of the recorded features.
    """

    basis: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, clips: Iterable[Any], num_components: int = 16, max_frames: int = 2000) -> MotionFeatures:
        """From recorded displacements, each clip (T, V, 3) or (T, D); frames are thinned evenly to `max_frames`.

        Raises:
            InputError: fewer frames than components.
        """
        sequences = [_flat(clip) for clip in clips]
        frames = np.concatenate(sequences) if sequences else np.zeros((0, 1))
        if len(frames) <= num_components:
            raise InputError(f"metrics: {len(frames)} recorded frames are too few for {num_components} motion features")
        frames = frames[:: max(1, len(frames) // max_frames)]
        mean = frames.mean(0)
        _, _, directions = np.linalg.svd(frames - mean, full_matrices=False)
        plain = cls(directions[:num_components].T, mean, np.ones(2 * min(num_components, len(directions))))
        deviation = np.concatenate([plain(s) for s in sequences]).std(0)
        return cls(plain.basis, mean, np.maximum(deviation, 1e-12 + 1e-6 * deviation.max()))

    def __call__(self, clip: Any) -> np.ndarray:
        """Features (T - 1, 2k) of displacements (T, V, 3) or (T, D)."""
        coordinates = (_flat(clip) - self.mean) @ self.basis
        return np.concatenate([coordinates[1:], np.diff(coordinates, axis=0)], axis=1) / self.scale


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Fréchet distance between the Gaussians of two clouds of features (n, F) and (m, F).

    d^2 = |mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)). See Dowson & Landau 1982; Heusel et al. 2017. Grows for small
    clouds: compare only clouds of equal size. Blind to which sound a motion belongs to.

    Raises:
        InputError: fewer than two features, or another width.
    """
    if min(len(a), len(b)) < 2 or a.shape[1] != b.shape[1]:
        raise InputError(
            f"metrics: features {a.shape} and {b.shape} cannot be compared; each needs two rows of equal width"
        )
    shift = np.square(a.mean(0) - b.mean(0)).sum()
    covariances = [np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b)]
    # tr (S_a S_b)^(1/2) = sum of sqrt of the eigenvalues of the symmetric S_a^(1/2) S_b S_a^(1/2).
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariances[1] @ root), 0)).sum()
    return float(max(shift + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * cross, 0.0))


def _flat(clip: Any) -> np.ndarray:
    values = as_array(clip).astype(np.float64)
    return values.reshape(len(values), -1)
