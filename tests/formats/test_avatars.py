"""The world's characters: their shapes driven under their own names, VRM's expressions, and nothing thrown away unsaid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from test_glb import parse, values

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.arkit import ARKIT_NAMES
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import load_animation, save
from diffspeaker3d.formats.character import save_on_head, write
from diffspeaker3d.generation.jobs import open_template
from diffspeaker3d.geometry.gltf import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, BufferBuilder, pack
from diffspeaker3d.heads.character import load_character
from diffspeaker3d.heads.open import is_head_file, open_head

VOWELS = ["Fcl_MTH_A", "Fcl_MTH_I", "Fcl_MTH_U", "Fcl_MTH_E", "Fcl_MTH_O"]
INPUTS = {  # file of the shared inputs -> how many shapes it drives, some of them, and how many meshes
    "bs_prefix.glb": (52, ARKIT_NAMES, 4),
    "reallusion.glb": (52, ARKIT_NAMES, 4),
    "rpm_min.glb": (2, ("jawOpen", "mouthSmile"), 3),
    "rpm_vis_plus_blink.glb": (19, ("viseme_PP", "viseme_aa", "viseme_U", "jawOpen", "mouthSmile", "eyeBlinkLeft"), 3),
    "vroid.vrm": (6, (*VOWELS, "Fcl_EYE_Close"), 3),
}


def avatar(path: Path, labels: list[str] | None, extensions: dict[str, Any] | None = None, meshes: int = 1) -> Path:
    """Balls with a random shape per label, those of one label alike; without names where `labels` is None."""
    generator = np.random.default_rng(1)
    vertices = generator.normal(size=(60, 3))
    vertices = (0.1 * vertices / np.linalg.norm(vertices, axis=1, keepdims=True)).astype(np.float32)
    faces = ConvexHull(vertices).simplices
    deltas = generator.normal(size=(4 if labels is None else len(labels), *vertices.shape)).astype(np.float32) * 0.002
    buffer = BufferBuilder()
    mesh = {
        "primitives": [{
            "attributes": {"POSITION": buffer.accessor(vertices, "VEC3", ARRAY_BUFFER, bounds=True)},
            "indices": buffer.accessor(faces.astype(np.uint16).reshape(-1), "SCALAR", ELEMENT_ARRAY_BUFFER),
            "targets": [{"POSITION": buffer.accessor(d, "VEC3", ARRAY_BUFFER, bounds=True)} for d in deltas],
        }],
    }  # fmt: skip
    if labels is not None:
        mesh["extras"] = {"targetNames": labels}  # type: ignore[assignment]
    document: dict[str, Any] = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": list(range(meshes))}],
        "nodes": [{"mesh": n} for n in range(meshes)], "meshes": [mesh] * meshes,
        "accessors": buffer.accessors, "bufferViews": buffer.views,
    }  # fmt: skip
    if extensions is not None:
        document |= {"extensions": extensions, "extensionsUsed": list(extensions)}
    path.write_bytes(pack(document, bytes(buffer.data), ".glb"))
    return path


def columns(path: Path) -> dict[str, np.ndarray]:
    """The weights (T,) that a written file's last animation gives each label of its first mesh."""
    document, data = parse(path)
    clip = document["animations"][-1]
    channel = next(c for c in clip["channels"] if c["target"]["path"] == "weights")
    labels = document["meshes"][document["nodes"][channel["target"]["node"]]["mesh"]]["extras"]["targetNames"]
    output = values(document, data, clip["samplers"][channel["sampler"]]["output"]).reshape(-1, len(labels))
    return dict(zip(labels, output.T, strict=True))


def control(animation: Animation, name: str) -> np.ndarray:
    assert animation.weights is not None
    return animation.weights[:, animation.weight_names.index(name)]


@pytest.mark.parametrize("name", INPUTS)
def test_shared_inputs_are_driven(name: str, shared: Path, shaped: Animation, tmp_path: Path) -> None:
    theirs = shared / "data" / "inputs" / name
    if not theirs.is_file():
        pytest.skip(f"no {name} in ../shared")
    count, some, meshes = INPUTS[name]
    found = load_character(theirs)
    assert len(found.names) == count and set(some) <= set(found.names) and not found.binding.unknown
    assert len(found.meshes) == meshes
    out = tmp_path / f"talking{theirs.suffix}"
    write(shaped, out, found)
    before, _ = parse(theirs)
    after, _ = parse(out)
    assert all(before[key] == after[key] for key in ("nodes", "meshes", "materials"))
    assert before.get("extensions") == after.get("extensions")
    assert len(after["animations"][-1]["channels"]) == meshes
    moving = {label for label, curve in columns(out).items() if np.ptp(curve) > 0.01}
    assert len(moving) >= (0.5 if found.binding.by_visemes else 0.9) * count  # random weights strike few classes


def test_ready_player_me_opens_as_far_as_the_lips(shaped: Animation, tmp_path: Path) -> None:
    write(shaped, tmp_path / "out.glb", load_character(avatar(tmp_path / "rpm.glb", ["mouthOpen", "mouthSmile"])))
    found = columns(tmp_path / "out.glb")
    opening = np.maximum(control(shaped, "jawOpen") - control(shaped, "mouthClose"), 0)
    assert np.allclose(found["mouthOpen"], opening, atol=1e-6)
    smile = (control(shaped, "mouthSmileLeft") + control(shaped, "mouthSmileRight")) / 2
    assert np.allclose(found["mouthSmile"], smile, atol=1e-6)


VRM1 = {"VRMC_vrm": {"specVersion": "1.0", "expressions": {
    "preset": {
        "aa": {"morphTargetBinds": [{"node": 0, "index": 2, "weight": 1.0}, {"node": 0, "index": 3, "weight": 0.25}]},
        "blinkLeft": {"morphTargetBinds": [{"node": 0, "index": 0, "weight": 0.5}]},
        "lookUp": {"morphTargetBinds": []},
        "happy": {"morphTargetBinds": [{"node": 0, "index": 1, "weight": 1.0}]},
        "ih": {"morphTargetBinds": [{"node": 7, "index": 99}, {"node": "x"}, 3]}, "ou": 5,
    },
    "custom": {"JawOpen": {"morphTargetBinds": [{"node": 0, "index": 1, "weight": 1.0}]}},
}}}  # fmt: skip
VRM0 = {"VRM": {"blendShapeMaster": {"blendShapeGroups": [
    {"name": "A", "presetName": "a", "binds": [{"mesh": 0, "index": 2, "weight": 100}, {"mesh": 0, "index": 3, "weight": 25}]},
    {"name": "Blink_L", "presetName": "blink_l", "binds": [{"mesh": 0, "index": 0, "weight": 50}]},
    {"name": "Joy", "presetName": "joy", "binds": [{"mesh": 0, "index": 1, "weight": 100}]},
    {"name": "jawOpen", "presetName": "unknown", "binds": [{"mesh": 0, "index": 1, "weight": 100}]},
    {"name": "broken", "binds": [{"mesh": -1}]}, "nonsense", {"binds": 3},
]}}}  # fmt: skip


@pytest.mark.parametrize("extension", [VRM1, VRM0], ids=["1", "0"])
@pytest.mark.parametrize("labels", [["p", "q", "r", "s"], None], ids=["named", "unnamed"])
def test_expressions_of_both_versions(
    extension: dict[str, Any], labels: list[str] | None, shaped: Animation, tmp_path: Path
) -> None:
    theirs = avatar(tmp_path / "me.vrm", labels, extension)
    found = load_character(theirs)
    recipes = [found.binding.recipes.get(name or "", {}) for name in found.meshes[0]]
    assert recipes == [{"eyeBlinkLeft": 0.5}, {"jawOpen": 1}, {"aa": 1}, {"aa": 0.25}]
    write(shaped, tmp_path / "talking.vrm", found)
    before, after = parse(theirs)[0], parse(tmp_path / "talking.vrm")[0]
    assert after["extensions"] == before["extensions"] and after["animations"][-1]["name"] == "speech"


def test_labels_of_arkit_come_before_expressions(tmp_path: Path) -> None:
    vowels = {"aa": {"morphTargetBinds": [{"node": 0, "index": ARKIT_NAMES.index("jawOpen"), "weight": 0.7}]}}
    theirs = avatar(tmp_path / "me.vrm", list(ARKIT_NAMES), {"VRMC_vrm": {"expressions": {"preset": vowels}}})
    assert load_character(theirs).meshes[0] == ARKIT_NAMES


@pytest.mark.parametrize(
    "extension",
    [{"VRMC_vrm": 3}, {"VRMC_vrm": {"expressions": []}}, {"VRM": {"blendShapeMaster": {"blendShapeGroups": {}}}}],
)
def test_broken_extensions_are_passed_over(extension: dict[str, Any], tmp_path: Path) -> None:
    assert load_character(avatar(tmp_path / "me.vrm", VOWELS, extension)).names == tuple(VOWELS)


def test_unknown_shapes_are_refused_and_listed(tmp_path: Path) -> None:
    for labels, listed in (
        (["hat", "eyeBlinkLeft", "Fat"], "hat, eyeBlinkLeft, Fat"),
        (None, "mesh 0 target 0, mesh 0 target 1"),
    ):
        with pytest.raises(InputError, match=rf"known to open the mouth; it has {listed}.*names=map.yaml") as refused:
            load_character(avatar(tmp_path / "odd.glb", labels))
        assert "\n" not in str(refused.value)


def test_own_map_reaches_the_file(shaped: Animation, tmp_path: Path) -> None:
    theirs = avatar(tmp_path / "odd.glb", ["Mund", "Hut", "jawOpen"])
    (tmp_path / "map.yaml").write_text("Mund: {jawOpen: 0.5, mouthFunnel: 0.25}\njawOpen: null\n")
    head = open_head(str(theirs), shaped.topology, names=str(tmp_path / "map.yaml"))
    save_on_head(shaped, head, str(tmp_path / "out.glb"))
    found = columns(tmp_path / "out.glb")
    opening = np.maximum(control(shaped, "jawOpen") - control(shaped, "mouthClose"), 0)
    assert np.allclose(found["Mund"], 0.5 * opening + 0.25 * control(shaped, "mouthFunnel"), atol=1e-6)
    assert not found["Hut"].any() and not found["jawOpen"].any()
    (tmp_path / "map.yaml").write_text("Nase: jawOpen\n")
    with pytest.raises(InputError, match="speaks of 'Nase', which it has not; it has Mund, Hut, jawOpen"):
        open_head(str(theirs), shaped.topology, names=str(tmp_path / "map.yaml"))


def test_every_format_shows_what_the_file_does(shaped: Animation, tmp_path: Path) -> None:
    head = open_head(str(avatar(tmp_path / "me.vrm", VOWELS, meshes=2)), shaped.topology)
    assert is_head_file("me.VRM") and head.character is not None
    save_on_head(shaped, head, str(tmp_path / "out.glb"))
    save_on_head(shaped, head, str(tmp_path / "out.npz"))
    written = load_animation(tmp_path / "out.npz")
    weights = columns(tmp_path / "out.glb")
    document, data = parse(tmp_path / "me.vrm")
    primitive = document["meshes"][0]["primitives"][0]
    rest = values(document, data, primitive["attributes"]["POSITION"])
    deltas = [values(document, data, target["POSITION"]) for target in primitive["targets"]]
    for frame in (0, 20, 44):
        blended = rest + sum(weights[label][frame] * delta for label, delta in zip(VOWELS, deltas, strict=True))
        assert np.allclose(written.vertices[frame], np.concatenate([blended, blended]), atol=1e-6)


def test_curves_hold_the_whole_performance(shaped: Animation, tmp_path: Path) -> None:
    head = open_head(str(avatar(tmp_path / "rpm.glb", ["mouthOpen", "mouthSmile"])), shaped.topology)
    save_on_head(shaped, head, str(tmp_path / "theirs.json"))
    save(shaped, tmp_path / "ours.json")
    theirs, ours = (json.loads((tmp_path / name).read_text()) for name in ("theirs.json", "ours.json"))
    assert theirs["weightMat"] == ours["weightMat"]


def test_a_vrm_comes_from_a_vrm(shaped: Animation, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"give template=avatar\.vrm"):
        save(shaped, tmp_path / "out.vrm")
    plain = load_character(avatar(tmp_path / "rpm.glb", ["mouthOpen"]))
    with pytest.raises(InputError, match=r"is no VRM avatar; write \.glb"):
        write(shaped, tmp_path / "out.vrm", plain)
    assert not (tmp_path / "out.vrm").exists()


def test_a_map_needs_a_character(shaped: Animation, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text("Mund: jawOpen\n")
    with pytest.raises(InputError, match=r"map\.yaml: says what drives the shapes of a head of yours"):
        open_template("maya", None, shaped.topology, str(tmp_path / "map.yaml"))
    with pytest.raises(InputError, match="has no shapes to be named; leave it out"):
        open_head(str(avatar(tmp_path / "bare.glb", [])), shaped.topology, names=str(tmp_path / "map.yaml"))
