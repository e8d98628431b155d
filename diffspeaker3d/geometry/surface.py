"""Geometry of triangle meshes that alignment, registration and transfer share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

CANDIDATES = 12  # triangles looked at per query: those with the nearest centroids


@dataclass(frozen=True, eq=False)
class Surface:
    """A triangle mesh that can be asked for its nearest points.

    Attributes:
        vertices (array (V, 3) float64).
        faces (array (F, 3) int).
    """

    vertices: np.ndarray
    faces: np.ndarray

    @cached_property
    def face_normals(self) -> np.ndarray:
        """(F, 3), length = twice the area."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        return np.cross(b - a, c - a)

    @cached_property
    def normals(self) -> np.ndarray:
        """Unit vertex normals (V, 3), area-weighted."""
        summed = np.zeros_like(self.vertices)
        for k in range(3):
            np.add.at(summed, self.faces[:, k], self.face_normals)
        return summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-30)

    @cached_property
    def adjacency(self) -> sparse.csr_array:
        """(V, V) ones between vertices that share an edge."""
        edges = np.concatenate([self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]])
        both = np.concatenate([edges, edges[:, ::-1]])
        matrix = sparse.coo_array(
            (np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(len(self.vertices),) * 2
        ).tocsr()
        matrix.data[:] = 1.0
        return matrix

    @cached_property
    def laplacian(self) -> sparse.csr_array:
        """(V, V) vertex minus the mean of its neighbours; rows of lone vertices are zero."""
        degree = np.asarray(self.adjacency.sum(1)).reshape(-1)
        inverse = sparse.diags_array(1 / np.maximum(degree, 1))
        return (sparse.diags_array((degree > 0).astype(float)) - inverse @ self.adjacency).tocsr()

    @cached_property
    def components(self) -> np.ndarray:
        """(V,) number of the connected part of each vertex."""
        return connected_components(self.adjacency, directed=False)[1]

    @cached_property
    def _centroids(self) -> cKDTree:
        return cKDTree(self.vertices[self.faces].mean(1))

    def nearest(self, points: np.ndarray, normals: np.ndarray | None = None) -> Nearest:
        """Nearest points on the surface; with normals given, on triangles facing the same way where any of the near ones does."""
        _, near = self._centroids.query(points, k=min(CANDIDATES, len(self.faces)))
        near = near.reshape(len(points), -1)
        a, b, c = (self.vertices[self.faces[near, k]] for k in range(3))
        weights = barycentric(points[:, None], a, b, c)
        found = weights[..., :1] * a + weights[..., 1:2] * b + weights[..., 2:] * c
        distance = np.linalg.norm(found - points[:, None], axis=-1)
        facing = np.ones_like(distance)
        if normals is not None:
            directions = self.face_normals[near]
            directions = directions / np.maximum(np.linalg.norm(directions, axis=-1, keepdims=True), 1e-30)
            facing = np.einsum("nkd,nd->nk", directions, normals)
        best = (distance + np.where(facing < 0.2, 1e3 * (1 + distance.max()), 0.0)).argmin(1)
        rows = np.arange(len(points))
        return Nearest(
            near[rows, best], weights[rows, best], found[rows, best], distance[rows, best], facing[rows, best]
        )


@dataclass(frozen=True, eq=False)
class Nearest:
    """For n queries: face (n,), barycentric weights (n, 3), points (n, 3), distance (n,), cosine between normals (n,)."""

    face: np.ndarray
    weights: np.ndarray
    points: np.ndarray
    distance: np.ndarray
    facing: np.ndarray


def barycentric(p: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Barycentric coordinates (..., 3) of the point of triangle abc nearest to p (Ericson, Real-Time Collision Detection, 5.1.5)."""
    ab, ac, ap, bp, cp = b - a, c - a, p - a, p - b, p - c

    def dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x * y).sum(-1)

    d1, d2, d3, d4, d5, d6 = dot(ab, ap), dot(ac, ap), dot(ab, bp), dot(ac, bp), dot(ab, cp), dot(ac, cp)
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2

    def ratio(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.clip(x / np.where(np.abs(y) < 1e-30, 1e-30, y), 0, 1)

    total = va + vb + vc
    v, w = ratio(vb, total), ratio(vc, total)
    result = np.stack([1 - v - w, v, w], -1)
    one, zero = np.ones_like(d1), np.zeros_like(d1)
    t = ratio(d4 - d3, (d4 - d3) + (d5 - d6))
    result = np.where(((va <= 0) & (d4 >= d3) & (d5 >= d6))[..., None], np.stack([zero, 1 - t, t], -1), result)
    t = ratio(d2, d2 - d6)
    result = np.where(((vb <= 0) & (d2 >= 0) & (d6 <= 0))[..., None], np.stack([1 - t, zero, t], -1), result)
    t = ratio(d1, d1 - d3)
    result = np.where(((vc <= 0) & (d1 >= 0) & (d3 <= 0))[..., None], np.stack([1 - t, t, zero], -1), result)
    result = np.where(((d6 >= 0) & (d5 <= d6))[..., None], np.stack([zero, zero, one], -1), result)
    result = np.where(((d3 >= 0) & (d4 <= d3))[..., None], np.stack([zero, one, zero], -1), result)
    return np.where(((d1 <= 0) & (d2 <= 0))[..., None], np.stack([one, zero, zero], -1), result)
