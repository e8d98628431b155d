"""Coverage, depth and weights of the NumPy z-buffer against geometry that is known."""

import numpy as np

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
    weights = np.concatenate([seen.weights[pixel], 1 - seen.weights[pixel].sum(1, keepdims=True)], 1)
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
