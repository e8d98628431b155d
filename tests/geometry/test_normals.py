"""Vertex normals: exact on a ball whatever its triangles, unit length everywhere."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from diffspeaker3d.geometry.normals import VertexNormals


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_exact_on_a_ball_whatever_its_triangles(unit: float):
    points = np.random.default_rng(0).normal(size=(300, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    faces = ConvexHull(points).simplices  # slivers among them
    a, b, c = (points[faces[:, k]] for k in range(3))
    inwards = (np.cross(b - a, c - a) * (a + b + c)).sum(1) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    normals = VertexNormals(faces, len(points))((points * unit)[None])[0]
    assert normals.dtype == np.float32
    assert (normals * points).sum(1).min() > 1 - 1e-4


def test_lone_and_flat_vertices_get_a_unit_normal_too():
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 9, 9], [2, 0, 0], [2, 0, 0]], np.float32)
    faces = np.array([[0, 1, 2], [1, 4, 5]])
    frames = np.stack([points, points @ np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], np.float32)])
    normals = VertexNormals(faces, len(points))(frames)
    assert np.allclose(np.linalg.norm(normals, axis=2), 1)
    assert np.allclose(normals[0, [0, 1, 2]], [0, 0, 1])
    assert np.allclose(normals[1, [0, 1, 2]], [1, 0, 0])
    assert np.allclose(normals[:, 3:], [0, 0, 1])
