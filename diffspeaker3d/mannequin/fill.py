"""Smooth interpolation on a mesh: a few prescribed displacements in, a displacement for every vertex out."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, diags, eye
from scipy.sparse.linalg import SuperLU, splu


class BiharmonicFill:
    """Minimises the bending |L x|^2 of a displacement field with some vertices held (L: inverse-edge-length Laplacian)."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        n = len(vertices)
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        weights = 1 / np.maximum(np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1), 0.03)
        rows, columns = np.r_[edges[:, 0], edges[:, 1]], np.r_[edges[:, 1], edges[:, 0]]
        links = coo_matrix((np.r_[weights, weights], (rows, columns)), shape=(n, n)).tocsr()
        degree = np.maximum(np.asarray(links.sum(1)).ravel(), 1e-9)
        laplacian = (eye(n) - diags(1 / degree) @ links).tocsr()
        self._bending = (laplacian.T @ laplacian).tocsr()
        self._solvers: dict[bytes, SuperLU] = {}

    def __call__(self, held: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Field (V, 3) that equals `values` (n, 3) at the vertices `held` (n,) and is smooth elsewhere."""
        n = self._bending.shape[0]
        is_held = np.zeros(n, bool)
        is_held[held] = True
        free = np.flatnonzero(~is_held)
        field = np.zeros((n, values.shape[1]))
        field[held] = values
        key = is_held.tobytes()
        if key not in self._solvers:
            system = self._bending[free][:, free] + 1e-6 * eye(len(free))
            self._solvers[key] = splu(system.tocsc())
        field[free] = self._solvers[key].solve(-(self._bending[free] @ field))
        return field
