import dataclasses

import numpy as np
import pytest

from diffspeaker3d.errors import InputError
from diffspeaker3d.topology import Topology, load_topology


def test_save_and_load_keep_everything_within_half_a_quantisation_step(tiny_topology, tmp_path):
    colors = np.arange(36, dtype=np.uint8).reshape(12, 3)
    original = dataclasses.replace(tiny_topology, colors=colors)
    original.save(tmp_path / "t.npz")
    loaded = load_topology(tmp_path / "t.npz")
    assert (loaded.name, loaded.unit, loaded.hash) == (original.name, original.unit, original.hash)
    np.testing.assert_array_equal(loaded.faces, original.faces)
    np.testing.assert_array_equal(loaded.colors, colors)
    np.testing.assert_array_equal(loaded.template("neutral"), original.template("neutral"))
    np.testing.assert_array_equal(loaded.region("lips"), original.region("lips"))
    assert loaded.blendshapes.names == original.blendshapes.names
    step = np.abs(original.blendshapes.deltas).max((1, 2)) / 32767
    assert (np.abs(loaded.blendshapes.deltas - original.blendshapes.deltas) <= 0.51 * step[:, None, None]).all()


def test_the_hash_is_the_vertex_order(tiny_topology):
    reordered = dataclasses.replace(tiny_topology, faces=tiny_topology.faces[:, [1, 2, 0]])
    assert reordered.hash != tiny_topology.hash
    assert dataclasses.replace(tiny_topology, regions={}).hash == tiny_topology.hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"faces": np.zeros((0, 3), np.int32)}, "must be"),
        ({"faces": np.array([[0, 1, 12]], np.int32)}, "vertex 12 of 12"),
        ({"regions": {"lips": np.array([40])}}, "region lips names vertex 40"),
        ({"templates": {"x": np.zeros((5, 3), np.float32)}}, "does not fit topology tiny of 12"),
    ],
)
def test_what_does_not_fit_is_refused(tiny_topology, change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(tiny_topology, **change)


def test_unknown_names_list_the_known(tiny_topology, tmp_path):
    with pytest.raises(InputError, match="known: lips"):
        tiny_topology.region("nose")
    with pytest.raises(InputError, match="known: neutral"):
        tiny_topology.template("nobody")
    with pytest.raises(InputError, match="known: mannequin"):
        load_topology("nothing")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InputError, match="not a topology file"):
        load_topology(tmp_path / "text.npz")


def test_weights_move_vertices_linearly(tiny_topology):
    shapes = tiny_topology.blendshapes
    rng = np.random.default_rng(3)
    weights = rng.uniform(size=(4, len(shapes.names))).astype(np.float32)
    expected = np.einsum("tk,kvc->tvc", weights, shapes.deltas)
    np.testing.assert_allclose(shapes.displacements(weights), expected, atol=1e-7)


def test_a_topology_without_faces_cannot_be_made():
    with pytest.raises(InputError):
        Topology("bad", np.zeros((3, 2), np.int32), 3)
