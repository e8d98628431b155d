"""A user's head through the door's own path: an .obj gets the mannequin's shapes, a character keeps its file."""

import numpy as np
import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import load_animation, save
from diffspeaker3d.formats.character import save_on_head
from diffspeaker3d.formats.common.morphs import MorphOptions
from diffspeaker3d.heads.open import is_head_file, open_head
from diffspeaker3d.topology import load_topology


def speaking(frames=5):
    weights = np.zeros((frames, len(CONTROL_NAMES)), np.float32)
    weights[:, CONTROL_NAMES.index("jawOpen")] = np.linspace(0, 0.6, frames)
    topology = load_topology()
    return Animation.from_weights(weights, 30.0, topology, topology.template())


def test_names_are_identities_and_files_are_heads():
    assert is_head_file("character.GLB") and is_head_file("a/b.obj")
    assert not is_head_file("maya") and not is_head_file(None)


def test_a_mesh_of_another_size_and_order_opens_its_mouth(tmp_path):
    mannequin = load_topology()
    skin = np.isin(mannequin.faces, np.setdiff1d(mannequin.region("skin"), mannequin.region("eyes"))).all(1)
    order = np.random.default_rng(0).permutation(mannequin.num_vertices)
    vertices = 10 * mannequin.template("maya")[order]
    faces = np.argsort(order)[mannequin.faces[skin]]
    lines = [f"v {x} {y} {z}" for x, y, z in vertices] + [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces]
    (tmp_path / "head.obj").write_text("\n".join(lines))
    guest = open_head(str(tmp_path / "head.obj"), mannequin)
    save_on_head(speaking(), guest, str(tmp_path / "out.npz"))
    moved = load_animation(tmp_path / "out.npz")
    upper, lower = (np.argsort(order)[mannequin.region(n)[0]] for n in ("lip_upper_mid", "lip_lower_mid"))
    gap = np.linalg.norm(np.asarray(moved.vertices)[:, upper] - np.asarray(moved.vertices)[:, lower], axis=-1) / 10
    assert gap[0] < 0.001 and gap[-1] > 0.01, "metres, at the mannequin's size"
    assert (np.diff(gap) > 0).all()


def test_a_character_comes_back_as_its_own_file_talking(tmp_path):
    character, talking = tmp_path / "character.glb", tmp_path / "talking.glb"
    save(speaking(), character, MorphOptions())
    guest = open_head(str(character), load_topology())
    save_on_head(speaking(), guest, str(talking))
    assert len(talking.read_bytes()) > len(character.read_bytes())
    save_on_head(speaking(), guest, str(tmp_path / "out.npz"))
    assert len(load_animation(tmp_path / "out.npz")) == 5


def test_what_is_no_head_is_refused(tmp_path):
    (tmp_path / "cube.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(InputError, match=r"cube"):
        open_head(str(tmp_path / "cube.obj"), load_topology())
    with pytest.raises(InputError, match="no such file"):
        open_head(str(tmp_path / "missing.ply"), load_topology())
