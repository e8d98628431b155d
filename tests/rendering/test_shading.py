"""Normals, colours and baked shadows."""

import numpy as np
import pytest
from icosphere import ball

from diffspeaker3d.geometry.normals import VertexNormals
from diffspeaker3d.rendering.camera import frame_head
from diffspeaker3d.rendering.catchlights import Catchlights, _sphere
from diffspeaker3d.rendering.shading import Clay, to_display, to_linear
from diffspeaker3d.rendering.shadows import Shadows
from diffspeaker3d.topology import Topology

UP = np.array([0, 1, 0], np.float32)


def normals_of(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    return VertexNormals(faces, len(vertices))(vertices[None])[0]


def test_display_curve_inverts_below_the_shoulder_and_keeps_the_hue_above():
    dark = np.linspace(0.01, 0.55, 20, dtype=np.float32)[:, None] * np.array([1, 0.8, 0.6], np.float32)
    np.testing.assert_allclose(to_linear(to_display(dark)), dark, atol=1e-5)
    bright = to_display(np.array([[4.0, 2.0, 1.0]]))
    assert bright.max() <= 1
    np.testing.assert_allclose(to_linear(bright) / to_linear(bright).max(), [[1, 0.5, 0.25]], atol=1e-4)


def test_the_side_towards_the_key_is_brighter(head):
    camera = frame_head(head.template(), (64, 64), (0, 0))
    colors = Clay(head, head.template(), camera, np.full(3, 0.8, np.float32))(head.template())
    normals = normals_of(head.template(), head.faces)
    front = normals[:, 2] > 0.3
    lit, away = front & (normals[:, 0] < -0.5), front & (normals[:, 0] > 0.5)
    assert colors[lit].mean() > colors[away].mean() + 0.05
    assert np.isfinite(colors).all() and colors.min() >= 0 and colors.max() <= 1


def test_a_hollow_is_darker_than_a_ball():
    vertices, faces = ball(4)
    cup = faces[(vertices[faces][:, :, 1] < 0.3).all(1)]
    inside = Topology(name="cup", faces=cup[:, ::-1].copy(), num_vertices=len(vertices))
    used = np.unique(cup)
    hollow = Shadows.bake(inside, vertices, normals_of(vertices, inside.faces), UP)
    assert hollow.sky[used].max() < 0.75
    solid = Topology(name="ball", faces=faces, num_vertices=len(vertices))
    convex = Shadows.bake(solid, vertices, normals_of(vertices, faces), UP)
    assert convex.sky.min() > 0.97, "a convex body shadows nothing of itself"


def test_catchlights_lie_on_the_eyeballs_they_find():
    points, faces = ball(2)
    centre, radius = _sphere((points[points[:, 2] > 0] * 0.012 + [0.03, 0.1, 0.05]).astype(np.float64))
    np.testing.assert_allclose(centre, [0.03, 0.1, 0.05], atol=1e-6)
    assert radius == pytest.approx(0.012, abs=1e-6)
    eyes = Topology(name="eye", faces=faces, num_vertices=len(points), regions={"eye_left": np.arange(len(points))})
    glints = Catchlights(eyes, np.array([0, 0, 1.0]))
    disc = glints(points, np.array([0, 0, 50.0]))
    assert disc.shape == (glints.num_vertices, 3) and (disc[:, 2] > 0.98).all()
    edges = disc[glints.faces]
    outward = np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0])
    assert (outward[:, 2] > 0).all(), "the discs face the viewer"
