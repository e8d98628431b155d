"""Coverage, depth and weights of the NumPy z-buffer against geometry that is known."""

import numpy as np
import pytest

from diffspeaker3d.rendering.rasteriser import rasterise

FACES = np.array([[0, 2, 1]])  # counter-clockwise seen with y downward


def test_a_triangle_covers_exactly_the_pixel_centres_inside_it():
    x, y = np.array([1, 9, 1], np.float32), np.array([1, 1, 9], np.float32)
    seen = rasterise(x, y, np.ones(3, np.float32), FACES, (12, 12))
    rows, columns = np.mgrid[:12, :12] + 0.5
    inside = (columns > 1) & (rows > 1) & (columns + rows <= 10)
    np.testing.assert_array_equal(seen.face.reshape(12, 12) >= 0, inside)


def test_weights_reproduce_positions():
    x, y = np.array([0.3, 31.2, 4.1], np.float32), np.array([0.7, 3.9, 30.8], np.float32)
    seen = rasterise(x, y, np.ones(3, np.float32), FACES, (32, 32))
    pixel = np.flatnonzero(seen.face >= 0)
    weights = np.stack([*seen.weights[:, pixel], 1 - seen.weights[:, pixel].sum(0)], 1)
    np.testing.assert_allclose(weights @ x[FACES[0]], pixel % 32 + 0.5, atol=1e-4)
    np.testing.assert_allclose(weights @ y[FACES[0]], pixel // 32 + 0.5, atol=1e-4)


def test_the_nearer_triangle_wins_in_either_order():
    x, y = np.array([0, 8, 0] * 2, np.float32), np.array([0, 0, 8] * 2, np.float32)
    nearness = np.array([1, 1, 1, 2, 2, 2], np.float32)
    faces = np.concatenate([FACES, FACES + 3])
    assert set(rasterise(x, y, nearness, faces, (8, 8)).face) == {-1, 1}
    assert set(rasterise(x, y, nearness, faces[::-1], (8, 8)).face) == {-1, 0}


def test_back_faces_are_culled_and_buffers_stay_float32():
    x, y = np.array([0, 8, 0], np.float32), np.array([0, 0, 8], np.float32)
    back = FACES[:, ::-1]
    assert (rasterise(x, y, np.ones(3, np.float32), back, (8, 8)).face == -1).all()
    seen = rasterise(x, y, np.ones(3, np.float32), back, (8, 8), cull=False)
    assert (seen.face == 0).any() and seen.nearness.dtype == seen.weights.dtype == np.float32


def test_a_mesh_over_the_border_of_the_picture_is_clipped():
    x, y = np.array([-50, 60, -50], np.float32), np.array([-50, -50, 60], np.float32)
    seen = rasterise(x, y, np.ones(3, np.float32), FACES, (10, 6))
    rows, columns = np.divmod(np.arange(60), 10)
    np.testing.assert_array_equal(seen.face >= 0, columns + rows + 1 <= 10)


@pytest.mark.parametrize("seed", range(4))
def test_random_triangles_agree_with_asking_every_pixel_about_every_triangle(seed):
    rng = np.random.default_rng(seed)
    width, height, count = 26, 19, 30
    scale = rng.choice([2.0, 10.0, 200.0], (count, 1, 1))
    corners = rng.uniform(-5, 30, (count, 1, 2)) + rng.normal(size=(count, 3, 2)) * scale
    nearness = rng.uniform(0.5, 2, (count, 3))
    x, y, near = (a.ravel().astype(np.float32) for a in (corners[..., 0], corners[..., 1], nearness))
    seen = rasterise(x, y, near, np.arange(3 * count).reshape(-1, 3), (width, height), cull=False)
    best = np.full(width * height, -1)
    depth, doubtful = np.zeros(width * height), np.zeros(width * height, bool)
    centres = np.stack(np.divmod(np.arange(width * height), width)[::-1], 1) + 0.5
    for k in range(count):
        a, b, c = corners[k].astype(np.float32).astype(float)
        w1, w2 = np.linalg.solve(np.stack([b - a, c - a], 1), (centres - a).T)
        weights = np.stack([1 - w1 - w2, w1, w2], 1)
        z = weights @ nearness[k]
        inside = (weights >= 0).all(1)
        doubtful |= (np.abs(weights) < 1e-3).any(1) & (weights > -1e-3).all(1)
        doubtful |= inside & (np.abs(z - depth) < 1e-4)
        nearer = inside & (z > depth)
        best[nearer], depth[nearer] = k, z[nearer]
    assert doubtful.mean() < 0.2
    np.testing.assert_array_equal(seen.face[~doubtful], best[~doubtful])
