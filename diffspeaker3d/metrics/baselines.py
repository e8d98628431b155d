"""What any number must beat: predictors without a network, fitted in one pass over the training clips.

They see what the model sees, arrays of audio features (T, F) and displacements (T, D) at the motion's frame rate, and
know nothing of where these come from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from diffspeaker3d.errors import InputError

CONTEXT_FRAMES = 4  # frames of sound on each side that a per-frame predictor hears
Clip = tuple[np.ndarray, np.ndarray]
"""Audio features (T, F) and displacements (T, D) of one clip."""


class Baseline(Protocol):
    """A predictor of displacements (T, D) from audio features (T, F)."""

    def __call__(self, features: np.ndarray) -> np.ndarray: ...


def mean_face(clips: Iterable[Clip]) -> Baseline:
    """The mean training frame, whatever is said: how far a metric gets by doing nothing."""
    total, count = 0.0, 0
    for _, motion in clips:
        total, count = total + motion.sum(0, dtype=np.float64), count + len(motion)
    _need(count)
    face = np.asarray(total / count, np.float32)
    return lambda features: np.repeat(face[None], len(features), 0)


def nearest_neighbour(clips: Iterable[Clip], max_frames: int = 4000) -> Baseline:
    """For every frame the training frame that sounds most alike (Euclidean distance of standardised features in context).

    Args:
        clips: training clips.
        max_frames: how many training frames are kept, drawn evenly at random with a fixed seed; bounds the memory.
    """
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(0)
    heard: list[np.ndarray] = []
    seen: list[np.ndarray] = []
    count = 0
    for features, motion in clips:  # reservoir sampling: every frame has the same chance, none is kept in vain
        for sound, face in zip(in_context(features), motion, strict=True):
            place = count if count < max_frames else int(rng.integers(count + 1))
            count += 1
            if place == len(heard):
                heard.append(sound)
                seen.append(face.astype(np.float16))
            elif place < max_frames:
                heard[place], seen[place] = sound, face.astype(np.float16)
    _need(count)
    centre, spread = np.mean(heard, 0), np.std(heard, 0) + 1e-6
    tree = cKDTree((np.array(heard) - centre) / spread)

    def predict(features: np.ndarray) -> np.ndarray:
        _, places = tree.query((in_context(features) - centre) / spread)
        return np.array([seen[place] for place in places], np.float32)

    return predict


def ridge_regression(clips: Iterable[Clip], strength: float = 1e-2) -> Baseline:
    """The best linear map from sound in context to motion, frame by frame.

    W = (X^T X / n + strength diag(var X))^-1 X^T Y / n on centred data, gathered clip by clip.

    Args:
        clips: training clips.
        strength: regularisation relative to each feature's variance.
    """
    count = 0
    sums: list[np.ndarray] = []
    for features, motion in clips:
        sound, face = in_context(features).astype(np.float64), motion.astype(np.float64)
        parts = [sound.sum(0), face.sum(0), sound.T @ sound, sound.T @ face]
        sums = [a + b for a, b in zip(sums, parts, strict=True)] if sums else parts
        count += len(face)
    _need(count)
    heard, seen, squares, products = (s / count for s in sums)
    covariance = squares - np.outer(heard, heard)
    penalty = strength * np.maximum(np.diag(covariance), 1e-9)
    weights = np.linalg.solve(covariance + np.diag(penalty), products - np.outer(heard, seen))
    return lambda features: ((in_context(features) - heard) @ weights + seen).astype(np.float32)


def in_context(features: np.ndarray) -> np.ndarray:
    """Each frame with its neighbours: (T, F) to (T, F * (2 * CONTEXT_FRAMES + 1)), ends repeated."""
    padded = np.pad(features, ((CONTEXT_FRAMES, CONTEXT_FRAMES), (0, 0)), mode="edge")
    return np.concatenate([padded[k : k + len(features)] for k in range(2 * CONTEXT_FRAMES + 1)], axis=1)


def _need(count: int) -> None:
    if count == 0:
        raise InputError("baselines: no training frame to learn from; prepare a corpus with a train split")
