"""Vertex normals that do not show how a surface was cut into triangles."""

from __future__ import annotations

import numpy as np
from scipy import sparse


class VertexNormals:
    """Vertex normals of a fixed triangulation.

    Each corner of a triangle weighs sin(angle) / (product of its two edges): exact on a sphere whatever its triangles,
    where weights by area turn towards the side on which quads are cut and draw a line there.
    See N. Max, "Weights for computing vertex normals from facet normals" (1999).

    Args:
        faces (array (F, 3) int): counter-clockwise triangles.
        num_vertices: V.
    """

    def __init__(self, faces: np.ndarray, num_vertices: int) -> None:
        self.faces = np.asarray(faces)
        corners = self.faces.T.reshape(-1)  # the first corner of every face, then the second, then the third
        entries = (np.ones(len(corners), np.float32), (corners, np.arange(len(corners))))
        self._incidence = sparse.csr_array(entries, shape=(num_vertices, len(corners)))

    def __call__(self, vertices: np.ndarray) -> np.ndarray:
        """Vertices (T, V, 3) in any unit -> unit normals (T, V, 3) float32; vertices without area get +Z."""
        a, b, c = (np.asarray(vertices, np.float32)[:, self.faces[:, k]] for k in range(3))
        edges = b - a, c - b, a - c
        flat = np.cross(edges[0], edges[1])
        squares = np.stack([np.einsum("tfk,tfk->tf", edge, edge) for edge in edges])
        squares = np.maximum(squares / max(float(squares.max(initial=0.0)), 1e-30), np.float32(1e-12))
        weighted = flat / (squares * squares[[2, 0, 1]])[..., None]  # (3 corners, T, F, 3)
        columns = weighted.transpose(0, 2, 1, 3).reshape(self._incidence.shape[1], -1)
        summed = (self._incidence @ columns).reshape(-1, len(vertices), 3).transpose(1, 0, 2)
        lengths = np.linalg.norm(summed, axis=-1, keepdims=True)
        alone = lengths[..., 0] < 1e-30
        normals = summed / np.maximum(lengths, 1e-30)
        normals[alone] = (0.0, 0.0, 1.0)
        return normals.astype(np.float32)
