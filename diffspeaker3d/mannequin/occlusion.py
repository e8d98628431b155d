"""Light that does not reach folds: a mild ambient occlusion and cavity tone, baked into the clay's colour."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix

from diffspeaker3d.mannequin.form import head_distance


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3), area weighted."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    flat = np.cross(b - a, c - a)
    normals = np.stack(
        [sum(np.bincount(faces[:, k], flat[:, j], len(vertices)) for k in range(3)) for j in range(3)], 1
    )
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def occlusion(vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Share (V,) in 0..1 of nearby free space that the form takes away in front of each point.

    See I. Quilez, "ambient occlusion from a distance field": the field along the normal falls short of the way walked.
    """
    total = np.zeros(len(vertices))
    for step, weight in ((0.25, 0.30), (0.55, 0.25), (1.1, 0.25), (2.0, 0.20)):
        total += weight * np.clip(1 - head_distance(vertices + step * normals) / step, 0, 1)
    return total


def cavity(vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Signed bend (V,) per cm, positive in folds: how far the neighbours' mean lies in front of a vertex."""
    n = len(vertices)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    rows, columns = np.r_[edges[:, 0], edges[:, 1]], np.r_[edges[:, 1], edges[:, 0]]
    links = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(n, n)).tocsr()
    count = np.maximum(np.asarray(links.sum(1)).ravel(), 1)
    length = np.bincount(rows, np.linalg.norm(vertices[rows] - vertices[columns], axis=1), n) / count / 2
    bend = (((links @ vertices) / count[:, None] - vertices) * normals).sum(1) / np.maximum(length, 0.05) ** 2
    return (links @ bend + 3 * bend) / (count + 3)
