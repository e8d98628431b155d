"""Where a head is: scale, rotation and translation that lay it over the mannequin, from landmarks or from nothing."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

SAMPLES = 300  # points of each head that look for their nearest on the other
HEAD_TRIM, REFERENCE_TRIM = (
    0.75,
    0.5,
)  # shares of best matches that count: hair and shoulders differ, the back may be missing
SIZES = (0.65, 0.8, 1.0, 1.25)


@dataclass(frozen=True, eq=False)
class Similarity:
    """x -> scale * rotation @ x + translation."""

    scale: float
    rotation: np.ndarray
    translation: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) moved."""
        return self.scale * points @ self.rotation.T + self.translation

    def inverse(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) moved back."""
        return self.inverse_vectors(points - self.translation)

    def inverse_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """Displacements (..., 3) of the moved head as displacements of the original."""
        return vectors @ self.rotation / self.scale


def fit_similarity(source: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None) -> Similarity:
    """Least-squares similarity that takes source (n, 3) to target (n, 3) (Umeyama 1991)."""
    weights = np.ones(len(source)) if weights is None else weights
    weights = weights / weights.sum()
    middle_s, middle_t = weights @ source, weights @ target
    s, t = source - middle_s, target - middle_t
    u, values, vt = np.linalg.svd((t * weights[:, None]).T @ s)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u * sign @ vt
    scale = float((values * sign).sum() / max((weights @ s**2).sum(), 1e-30))
    return Similarity(scale, rotation, middle_t - scale * rotation @ middle_s)


def find_similarity(
    head: np.ndarray, reference: np.ndarray, rotations: list[np.ndarray] | None = None
) -> tuple[Similarity, float]:
    """Lay an unknown head over the reference, both (n, 3): rotations in some sizes are tried, the best refined.

    Args:
        head: points of the one.
        reference: points of the other.
        rotations: matrices (3, 3) to start from; every axis order if None.

    Returns:
        tuple[Similarity, float]: the similarity, and the trimmed mean distance left, in the reference's unit.
    """
    generator = np.random.default_rng(0)
    head_tree, reference_tree = cKDTree(head), cKDTree(reference)
    some = generator.choice(len(head), min(SAMPLES, len(head)), replace=False)
    marks = generator.choice(len(reference), min(SAMPLES, len(reference)), replace=False)
    search = _Search(head, reference, head_tree, reference_tree, head[some], reference[marks])
    extent = (
        np.ptp(np.percentile(reference, (2, 98), axis=0), axis=0).max()
        / np.ptp(np.percentile(head, (2, 98), axis=0), axis=0).max()
    )
    trials = []
    for rotation, size in itertools.product(rotations or _axis_rotations(), SIZES):
        start = Similarity(extent * size, rotation, np.zeros(3))
        start = Similarity(start.scale, rotation, np.median(reference, 0) - np.median(start(head), 0))
        trials.append(search.refine(start, 6))
    best = sorted(trials, key=lambda trial: trial[1])[:6]
    return min((search.refine(similarity, 40) for similarity, _ in best), key=lambda trial: trial[1])


@dataclass(frozen=True, eq=False)
class _Search:
    """Trimmed iterated closest points in both directions, so that the head can neither shrink into the reference nor outgrow it."""

    head: np.ndarray
    reference: np.ndarray
    head_tree: cKDTree
    reference_tree: cKDTree
    some: np.ndarray
    marks: np.ndarray

    def refine(self, start: Similarity, rounds: int) -> tuple[Similarity, float]:
        """The similarity after some rounds, and the mean of the distances that counted."""
        current = start
        for _ in range(rounds):
            forth, at = self.reference_tree.query(current(self.some))
            back, near = self.head_tree.query(current.inverse(self.marks))
            kept_forth, kept_back = forth <= np.quantile(forth, HEAD_TRIM), back <= np.quantile(back, REFERENCE_TRIM)
            source = np.concatenate([self.some[kept_forth], self.head[near[kept_back]]])
            target = np.concatenate([self.reference[at[kept_forth]], self.marks[kept_back]])
            distance = np.concatenate([forth[kept_forth], back[kept_back] * current.scale])
            current = fit_similarity(source, target)
        return current, float(distance.mean())


def turns_about(axis: int) -> list[np.ndarray]:
    """Rotations that bring `axis` (1 or 2) of a mesh upright, to the reference's +Y, in four quarter turns about it."""
    upright = np.eye(3) if axis == 1 else np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    quarter = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    return [np.linalg.matrix_power(quarter, n) @ upright for n in range(4)]


def _axis_rotations() -> list[np.ndarray]:
    """The 24 rotations that map axes to axes."""
    rotations = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.eye(3)[list(order)] * np.array(signs)[:, None]
            if np.linalg.det(matrix) > 0:
                rotations.append(matrix)
    return rotations
