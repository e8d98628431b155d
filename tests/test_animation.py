import dataclasses

import numpy as np
import pytest

from diffspeaker3d.animation import CHUNK_FRAMES, Animation
from diffspeaker3d.errors import InputError


def test_lazy_vertices_equal_the_product(tiny_animation):
    topology, weights = tiny_animation.topology, tiny_animation.weights
    expected = tiny_animation.template + np.einsum("tk,kvc->tvc", weights, topology.blendshapes.deltas)
    np.testing.assert_allclose(np.asarray(tiny_animation.vertices), expected, atol=1e-7)
    np.testing.assert_allclose(tiny_animation.vertices[3], expected[3], atol=1e-7)
    np.testing.assert_allclose(tiny_animation.vertices[2:7:2], expected[2:7:2], atol=1e-7)
    assert np.asarray(tiny_animation.vertices).dtype == np.float32


def test_chunks_walk_through_every_frame_once(tiny_topology):
    frames = CHUNK_FRAMES * 2 + 5
    vertices = np.random.default_rng(0).normal(size=(frames, 12, 3)).astype(np.float32)
    animation = Animation(vertices, 25.0, tiny_topology, tiny_topology.template())
    chunks = list(animation.chunks())
    assert max(map(len, chunks)) <= CHUNK_FRAMES
    np.testing.assert_array_equal(np.concatenate(chunks), vertices)
    assert animation.duration == frames / 25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": 0.0}, "fps must be positive"),
        ({"sample_rate": None}, "go together"),
        ({"template": np.zeros((5, 3), np.float32)}, "does not fit topology"),
        ({"vertices": np.zeros((0, 12, 3), np.float32)}, "do not fit template"),
        ({"weights": np.zeros((3, 2), np.float32)}, "names"),
    ],
)
def test_what_does_not_fit_together_is_refused(tiny_animation, change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(tiny_animation, **change)


def test_weights_need_shapes(tiny_animation):
    bare = dataclasses.replace(tiny_animation.topology, blendshapes=None)
    with pytest.raises(InputError, match="no blendshapes"):
        Animation.from_weights(tiny_animation.weights, 30.0, bare, tiny_animation.template)
