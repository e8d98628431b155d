"""Nearest points on triangles against brute force."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.geometry.surface import Surface, barycentric


def test_nearest_point_of_a_triangle_is_the_best_of_many_samples() -> None:
    generator = np.random.default_rng(0)
    a, b, c = generator.normal(size=(3, 200, 3))
    points = 2 * generator.normal(size=(200, 3))
    weights = barycentric(points, a, b, c)
    assert weights.min() >= -1e-12 and np.allclose(weights.sum(-1), 1)
    found = np.linalg.norm(points - np.einsum("nk,nkd->nd", weights, np.stack([a, b, c], 1)), axis=1)
    trials = generator.dirichlet((0.5, 0.5, 0.5), 4000)
    sampled = np.linalg.norm(points[:, None] - np.einsum("sk,nkd->nsd", trials, np.stack([a, b, c], 1)), axis=-1).min(1)
    assert (found <= sampled + 1e-9).all() and (sampled - found).mean() < 0.02


def test_facing_sheets_are_told_apart_by_normals() -> None:
    """Two sheets a millimetre apart, back to back: a query with a normal lands on the sheet that faces its way."""
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    vertices = np.concatenate([square, square + np.array([0, 0, 0.001])])
    sheets = Surface(vertices, np.array([[0, 2, 1], [0, 3, 2], [4, 5, 6], [4, 6, 7]]))
    query = np.array([[0.5, 0.4, 0.0009], [0.5, 0.4, 0.0002]])
    match = sheets.nearest(query, np.array([[0, 0, -1.0], [0, 0, 1.0]]))
    assert np.allclose(match.points[:, 2], [0, 0.001]) and (match.facing > 0.99).all()
    assert sheets.components.max() == 1
