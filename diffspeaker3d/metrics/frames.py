"""Two sequences side by side, in pieces: arrays, tensors and lazily computed vertices alike, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from diffspeaker3d.errors import InputError

CHUNK_FRAMES = 128


def as_array(values: Any) -> np.ndarray:
    """NumPy view of an array, a tensor on any device, or anything `np.asarray` takes."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def paired_chunks(pred: Any, target: Any, region: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pieces (at most CHUNK_FRAMES, V or n, 3) float64 of two sequences of equal shape (T, V, 3).

    Args:
        region (array (n,)): vertices to keep; all when None.

    Raises:
        InputError: the shapes differ, are not (T, V, 3), or there is no frame.
    """
    check_pair(pred, target)
    for start in range(0, len(target), CHUNK_FRAMES):
        pieces = [as_array(x[start : start + CHUNK_FRAMES]) for x in (pred, target)]
        p, g = (x if region is None else x[:, region] for x in pieces)
        yield p.astype(np.float64), g.astype(np.float64)


def check_pair(pred: Any, target: Any) -> None:
    """Raise InputError unless both are (T, V, 3) with T > 0: a metric never guesses which frames belong together."""
    shapes = tuple(pred.shape), tuple(target.shape)
    if shapes[0] != shapes[1] or len(shapes[0]) != 3 or shapes[0][2] != 3 or shapes[0][0] == 0:
        raise InputError(
            f"metrics: prediction {shapes[0]} and target {shapes[1]} must both be (T, V, 3) with the same T and V; cut them to the same frames"
        )


def check_region(indices: np.ndarray, name: str) -> np.ndarray:
    """The indices as they are; raises InputError for an empty region."""
    if len(indices) == 0:
        raise InputError(f"metrics: region {name} is empty; choose another topology or region file")
    return indices
