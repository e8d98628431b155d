"""A stranger's character talks: their bytes stay, their names are understood, what is broken is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_glb import parse, values

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import save
from diffspeaker3d.formats.character import write
from diffspeaker3d.geometry.gltf import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, BufferBuilder, pack
from diffspeaker3d.heads.character import load_character
from diffspeaker3d.heads.character_mesh import character_topology

HEAD_NAMES = ["eyeBlink_L", "blendShape1.JawOpen", "mouthsmileleft", "hatTilt", "Mouth_Right"]
TEETH_NAMES = ["jaw_open", "ARKit_tongueOut"]


def character(path: Path, head_names: list[str] | None = None, bad: str = "") -> Path:
    """A head and teeth with materials, a skeleton, an animation of their own and unknown extras."""
    generator = np.random.default_rng(4)
    names = [HEAD_NAMES if head_names is None else head_names, TEETH_NAMES]
    buffer, meshes = BufferBuilder(), []
    for which, targets in enumerate(names):
        vertices = generator.normal(size=(20, 3)).astype(np.float32)
        if bad == "nan":
            vertices[3] = np.nan
        deltas = generator.normal(size=(len(targets), 20, 3)).astype(np.float32)
        meshes.append({
            "name": ["Head", "Teeth"][which], "extras": {"targetNames": targets, "tool": "theirs"},
            "primitives": [{
                "attributes": {"POSITION": buffer.accessor(vertices, "VEC3", ARRAY_BUFFER, bounds=bad != "nan")}, "material": which,
                "indices": buffer.accessor(np.arange(18, dtype=np.uint16), "SCALAR", ELEMENT_ARRAY_BUFFER),
                "targets": [{"POSITION": buffer.accessor(d, "VEC3", ARRAY_BUFFER, bounds=True)} for d in deltas],
            }],
        })  # fmt: skip
    meshes[0]["weights"] = [0.0, 0.0, 0.0, 0.6, 0.0][: len(names[0])]
    times = buffer.accessor(np.float32([0, 1]), "SCALAR", bounds=True)
    turn = buffer.accessor(np.float32([[0, 0, 0, 1], [0, 1, 0, 0]]), "VEC4")
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "another tool", "copyright": "theirs"}, "scene": 0,
        "scenes": [{"nodes": [0, 3]}],
        "nodes": [
            {"name": "Body", "mesh": 0, "scale": [2, 2, 2], "translation": [0, 1, 0], "children": [1, 2]},
            {"name": "Teeth", "mesh": 1, "rotation": [0, 0.7071068, 0, 0.7071068]}, {"name": "Hat"}, {"name": "Bone"},
        ],
        "materials": [{"name": "Skin", "extras": {"shader": 7}}, {"name": "Enamel"}], "meshes": meshes,
        "animations": [{"name": "turn", "samplers": [{"input": times, "output": turn}],
                        "channels": [{"sampler": 0, "target": {"node": 3, "path": "rotation"}}]}],
        "accessors": buffer.accessors, "bufferViews": buffer.views, "extras": {"anything": [1, 2]},
    }  # fmt: skip
    if bad == "view":
        document["bufferViews"][1]["byteOffset"] = 10**7
    if bad == "corner":
        buffer.data[document["bufferViews"][1]["byteOffset"]] = 200
    if bad == "accessor":
        meshes[0]["primitives"][0]["targets"][0]["POSITION"] = 999
    if bad == "count":
        meshes[0]["primitives"][0]["targets"].pop()
    path.write_bytes(pack(document, bytes(buffer.data), ".glb"))
    return path


def test_only_one_track_is_added(shaped: Animation, tmp_path: Path) -> None:
    theirs = character(tmp_path / "hero.glb")
    write(shaped, tmp_path / "talking.glb", load_character(theirs))
    before, old = parse(theirs)
    after, new = parse(tmp_path / "talking.glb")
    length = before["buffers"][0]["byteLength"]
    assert new[:length] == old[:length]
    for key in before:
        if key in ("accessors", "bufferViews", "animations"):
            assert after[key][: len(before[key])] == before[key]
        elif key != "buffers":
            assert after[key] == before[key]
    assert len(after["animations"]) == 2 and after["animations"][1]["name"] == "speech"


def test_their_shapes_follow_our_weights(shaped: Animation, tmp_path: Path) -> None:
    write(shaped, tmp_path / "talking.glb", load_character(character(tmp_path / "hero.glb")))
    document, data = parse(tmp_path / "talking.glb")
    track = document["animations"][1]
    driven = {channel["target"]["node"]: track["samplers"][channel["sampler"]] for channel in track["channels"]}
    assert set(driven) == {0, 1}
    head = values(document, data, driven[0]["output"]).reshape(45, 5)
    for column, name in ((0, "eyeBlinkLeft"), (1, "jawOpen"), (2, "mouthSmileLeft"), (4, "mouthRight")):
        expected = shaped.weights[:, shaped.weight_names.index(name)]
        if name == "jawOpen":  # without a shape that closes the lips the jaw closes
            expected = np.maximum(expected - shaped.weights[:, shaped.weight_names.index("mouthClose")], 0)
        assert np.allclose(head[:, column], expected, atol=1e-6)
    assert np.allclose(head[:, 3], 0.6)  # a shape that is not ours keeps its weight
    teeth = values(document, data, driven[1]["output"]).reshape(45, 2)
    assert np.array_equal(teeth[:, 1], shaped.weights[:, shaped.weight_names.index("tongueOut")])
    assert np.allclose(values(document, data, driven[0]["input"])[:, 0], np.arange(45) / 30, atol=1e-7)


def test_missing_shapes_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = load_character(character(tmp_path / "hero.glb"))
    assert set(found.names) == {"eyeBlinkLeft", "jawOpen", "mouthSmileLeft", "mouthRight", "tongueOut"}
    assert "the mouth lacks mouthClose, mouthFunnel" in caplog.text and "not known stay still: hatTilt" in caplog.text


@pytest.mark.parametrize(
    ("names", "bad", "message"),
    [
        (None, "view", "accessor 1 is broken"),
        (None, "accessor", "mesh 0 refers to number 999 of 13"),
        (None, "corner", "triangles of vertices that do not exist"),
        (None, "nan", "not finite"),
        (None, "count", "4 morph targets and 5 names"),
        (["jawOpen", "JawOpen", "a", "b", "c"], "", r"jawOpen twice \(jawOpen, JawOpen\)"),
    ],
)
def test_broken_characters_are_refused_in_one_line(
    names: list[str] | None, bad: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        load_character(character(tmp_path / "hero.glb", names, bad))
    assert "hero.glb" in str(refused.value) and "\n" not in str(refused.value)


def test_files_that_are_no_characters(shaped: Animation, free: Animation, tmp_path: Path) -> None:
    save(free, tmp_path / "free.glb")
    with pytest.raises(InputError, match=r"known to open the mouth; it has motion001.*names=map.yaml"):
        load_character(tmp_path / "free.glb")
    (tmp_path / "text.glb").write_text("hello")
    with pytest.raises(InputError, match="not a readable glTF"):
        load_character(tmp_path / "text.glb")
    hero = load_character(character(tmp_path / "hero.glb"))
    with pytest.raises(InputError, match="overwrite the character"):
        write(shaped, tmp_path / "hero.glb", hero)
    with pytest.raises(InputError, match=r"\.glb, \.gltf, \.vrm only"):
        write(shaped, tmp_path / "talking.fbx", hero)


def test_the_character_as_one_mesh_for_other_formats(shaped: Animation, tmp_path: Path) -> None:
    theirs = character(tmp_path / "hero.glb")
    found = load_character(theirs)
    topology = character_topology(found)
    document, data = parse(theirs)
    head = values(document, data, document["meshes"][0]["primitives"][0]["attributes"]["POSITION"])
    assert topology.num_vertices == 40 and np.allclose(topology.template()[:20], head * 2 + (0, 1, 0), atol=1e-6)
    teeth = values(document, data, document["meshes"][1]["primitives"][0]["attributes"]["POSITION"])
    quarter = np.stack([teeth[:, 2], teeth[:, 1], -teeth[:, 0]], 1)  # a quarter turn about Y
    assert np.allclose(topology.template()[20:], quarter * 2 + (0, 1, 0), atol=1e-5)
    shapes = topology.blendshapes
    assert shapes is not None and shapes.names == found.names
    jaw = values(document, data, document["meshes"][0]["primitives"][0]["targets"][1]["POSITION"])
    assert np.allclose(shapes.deltas[shapes.names.index("jawOpen"), :20], jaw * 2, atol=1e-6)
    weights = shaped.weights[:, [shaped.weight_names.index(n) for n in shapes.names]]
    save(Animation.from_weights(weights, 30.0, topology, topology.template()), tmp_path / "hero.npz")


def test_provenance_travels(shaped: Animation, tmp_path: Path) -> None:
    write(shaped, tmp_path / "talking.glb", load_character(character(tmp_path / "hero.glb")))
    track = parse(tmp_path / "talking.glb")[0]["animations"][1]
    assert track["extras"]["provenance"] == json.loads(shaped.provenance_json)
