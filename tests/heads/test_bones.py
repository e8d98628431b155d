"""Bones of a character: lower teeth follow the jaw, eyes look, whatever the armature's axes; what stays still is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats.character import write
from diffspeaker3d.geometry.gltf import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, BufferBuilder, open_gltf, pack, pieces
from diffspeaker3d.geometry.gltf.scene import local_matrix
from diffspeaker3d.heads.character import load_character
from diffspeaker3d.heads.character_mesh import character_topology
from diffspeaker3d.topology import Topology

HINGE = np.array([0.0, -0.02, -0.01])  # of the jaw, near the ears, metres
ARMATURES = {"plain": np.eye(4), "mixamo": np.eye(4), "turned": np.eye(4)}
ARMATURES["mixamo"][:3, :3] = 0.01 * Rotation.from_euler("x", -90, degrees=True).as_matrix()
ARMATURES["turned"][:3, :3] = Rotation.from_euler("xyz", [20, 70, -35], degrees=True).as_matrix()
ARMATURES["turned"][:3, 3] = (0.1, 1.2, -0.3)


def character(
    path: Path,
    mannequin: Topology,
    armature: np.ndarray,
    shapes: tuple[str, ...] = ("jawOpen", "mouthClose", "browInnerUp"),
    jaw: str = "CC_Base_JawRoot",
    eyes: tuple[str, str] = ("CC_Base_L_Eye", "CC_Base_R_Eye"),
    chin_on_bone: bool = False,
    rigid: bool = False,
) -> Path:
    """The mannequin as a rig: its skin with some shapes, teeth, tongue and eyes on bones without any.

    With `rigid`, parts hang on bones in place of being bound to them. `armature` stands above the bones, and their bind pose is the mannequin in the scene; every bone's own axes are turned too.
    """
    rest = mannequin.template().astype(np.float64)
    basis = mannequin.blendshapes
    assert basis is not None
    centres = [rest[mannequin.region(f"eye_{side}")].mean(0) for side in ("left", "right")]
    places = [np.array([0, 0.05, 0]), HINGE, *centres]
    twists = [Rotation.from_euler("xyz", [30 * n, -50 * n, 80 + n], degrees=True).as_matrix() for n in range(4)]
    worlds = []
    for place, twist in zip(places, twists, strict=True):
        world = np.eye(4)
        world[:3, :3], world[:3, 3] = twist, place
        worlds.append(world)
    above = [armature, worlds[0], worlds[0], worlds[0]]
    nodes: list[dict[str, Any]] = [{"name": "Armature", "children": [1], **_trs(armature)}]
    for number, (name, world, parent) in enumerate(zip(("Head", jaw, *eyes), worlds, above, strict=True)):
        nodes.append({"name": name, **_trs(np.linalg.solve(parent, world))})
        if number == 0:
            nodes[1]["children"] = [2, 3, 4]
    buffer = BufferBuilder()
    binds = np.stack([np.linalg.inv(w).T for w in worlds]).astype(np.float32).reshape(-1, 16)
    inverse = buffer.accessor(binds, "MAT4")
    parts = {"Skin": ("skin", 0), "Lower": ("teeth_lower", 1), "Upper": ("teeth_upper", 0), "Tongue": ("tongue", 1),
             "LeftEye": ("eye_left", 2), "RightEye": ("eye_right", 3)}  # fmt: skip
    meshes = []
    jaw_travel = np.linalg.norm(basis.deltas[basis.names.index("jawOpen")], axis=1)
    for name, (region, bone) in parts.items():
        inside = np.zeros(len(rest), bool)
        inside[mannequin.region(region)] = True
        vertices = np.flatnonzero(inside)
        faces = np.searchsorted(vertices, mannequin.faces[inside[mannequin.faces].all(1)])
        joints = np.zeros((len(vertices), 4), np.uint8)
        joints[:, 0], joints[:, 1] = bone, 1
        weights = np.zeros((len(vertices), 4), np.float32)
        weights[:, 0] = 1
        if chin_on_bone and name == "Skin":
            weights[:, 1] = jaw_travel[vertices] / jaw_travel.max()
            weights[:, 0] -= weights[:, 1]
        primitive: dict[str, Any] = {
            "attributes": {
                "POSITION": buffer.accessor(rest[vertices].astype(np.float32), "VEC3", ARRAY_BUFFER, bounds=True),
                "JOINTS_0": buffer.accessor(joints, "VEC4", ARRAY_BUFFER),
                "WEIGHTS_0": buffer.accessor(weights, "VEC4", ARRAY_BUFFER),
            },
            "indices": buffer.accessor(faces.astype(np.uint16).reshape(-1), "SCALAR", ELEMENT_ARRAY_BUFFER),
        }
        mesh: dict[str, Any] = {"name": name, "primitives": [primitive]}
        if name == "Skin" and shapes:
            deltas = [basis.deltas[basis.names.index(shape)][vertices] for shape in shapes]
            primitive["targets"] = [{"POSITION": buffer.accessor(d, "VEC3", ARRAY_BUFFER, bounds=True)} for d in deltas]
            mesh["extras"] = {"targetNames": list(shapes)}
        if rigid:
            nodes[1 + bone].setdefault("children", []).append(len(nodes))
            nodes.append({"name": name, "mesh": len(meshes), **_trs(np.linalg.inv(worlds[bone]))})
        else:
            nodes.append({"name": name, "mesh": len(meshes), "skin": 0})
        meshes.append(mesh)
    document = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0] if rigid else [0, *range(5, len(nodes))]}], "nodes": nodes,
        "meshes": meshes, "skins": [{"joints": [1, 2, 3, 4], "inverseBindMatrices": inverse}],
        "accessors": buffer.accessors, "bufferViews": buffer.views,
    }  # fmt: skip
    path.write_bytes(pack(document, bytes(buffer.data), ".glb"))
    return path


def _trs(matrix: np.ndarray) -> dict[str, list[float]]:
    scale = np.linalg.norm(matrix[:3, :3], axis=0)
    turn = Rotation.from_matrix(matrix[:3, :3] / scale)
    return {"translation": matrix[:3, 3].tolist(), "rotation": turn.as_quat().tolist(), "scale": scale.tolist()}


def performance(mannequin: Topology, **curves: list[float]) -> Animation:
    weights = np.zeros((len(next(iter(curves.values()))), len(CONTROL_NAMES)), np.float32)
    for name, curve in curves.items():
        weights[:, CONTROL_NAMES.index(name)] = curve
    return Animation.from_weights(weights, 30.0, mannequin, mannequin.template())


def shown(path: Path, frame: int, name: str) -> np.ndarray:
    """Vertices of a node's mesh as a viewer shows it in a frame of the last animation: bones and shapes."""
    gltf = open_gltf(path)
    document = gltf.document
    clip = gltf.json["animations"][-1]
    local, weights = {}, {}
    for channel in clip["channels"]:
        output = gltf.accessor(clip["samplers"][channel["sampler"]]["output"])
        node = channel["target"]["node"]
        if channel["target"]["path"] == "rotation":
            matrix = local_matrix(document.nodes[node])
            scale = np.linalg.norm(matrix[:3, :3], axis=0)
            matrix[:3, :3] = Rotation.from_quat(output[frame]).as_matrix() * scale
            local[node] = matrix
        else:
            count = len(gltf.json["meshes"][document.nodes[node].mesh]["extras"]["targetNames"])
            weights[node] = output.reshape(-1, count)[frame]
    for piece in pieces(gltf, local):
        if document.nodes[piece.node].name == name:
            moved = piece.vertices
            for number, weight in enumerate(weights.get(piece.node, ())):
                moved = moved + weight * piece.into_scene(gltf.target(piece.primitive, number))
            return moved
    raise AssertionError(name)


def truth(mannequin: Topology, region: str, **weights: float) -> np.ndarray:
    basis = mannequin.blendshapes
    assert basis is not None
    inside = np.sort(mannequin.region(region))
    return mannequin.template()[inside] + sum(
        w * basis.deltas[basis.names.index(n)][inside] for n, w in weights.items()
    )


@pytest.mark.parametrize("armature", ARMATURES)
@pytest.mark.parametrize("jaw", ["CC_Base_JawRoot", "mixamorig:Jaw", "FACIAL_C_Jaw", "jaw_master", "J_Adj_C_FaceJaw"])
def test_lower_teeth_follow_the_lips(jaw: str, armature: str, mannequin: Topology, tmp_path: Path) -> None:
    found = load_character(character(tmp_path / "cc4.glb", mannequin, ARMATURES[armature], jaw=jaw))
    assert [turn.name for turn in found.turns] == [jaw, "CC_Base_L_Eye", "CC_Base_R_Eye"]
    write(performance(mannequin, jawOpen=[0, 1, 0.5]), tmp_path / "out.glb", found)
    for frame, weight in enumerate((0, 1, 0.5)):
        expected = truth(mannequin, "teeth_lower", jawOpen=weight)
        off = np.linalg.norm(shown(tmp_path / "out.glb", frame, "Lower") - expected, axis=1)
        assert off.max() < 0.004, (frame, off.max())  # of 30 mm: the hinge is where the rig says
        upper = truth(mannequin, "teeth_upper")
        assert np.allclose(shown(tmp_path / "out.glb", frame, "Upper"), upper, atol=1e-5)
    topology = character_topology(found)
    driven = found.perform(performance(mannequin, jawOpen=[0, 1, 0.5]), topology)
    lower = slice(len(mannequin.region("skin")), len(mannequin.region("skin")) + len(mannequin.region("teeth_lower")))
    for frame in range(3):  # other formats go the straight way there
        written = shown(tmp_path / "out.glb", frame, "Lower")
        assert np.abs(np.asarray(driven.vertices[frame])[lower] - written).max() < 0.0015


@pytest.mark.parametrize("eyes", [("CC_Base_L_Eye", "CC_Base_R_Eye"), ("LeftEye", "RightEye"), ("eye.L", "eye.R"), ("mixamorig:LeftEye", "mixamorig:RightEye"), ("J_Adj_L_FaceEye", "J_Adj_R_FaceEye")])  # fmt: skip
def test_eyes_look_where_the_performance_does(eyes: tuple[str, str], mannequin: Topology, tmp_path: Path) -> None:
    looks = {
        "eyeLookUpLeft": [1, 0, 0.3],
        "eyeLookUpRight": [1, 0, 0.3],
        "eyeLookOutLeft": [0, 1, 0.5],
        "eyeLookInRight": [0, 1, 0.5],
    }
    theirs = character(tmp_path / "rig.glb", mannequin, ARMATURES["turned"], eyes=eyes)
    write(performance(mannequin, **looks), tmp_path / "out.glb", load_character(theirs))
    for frame in range(2):
        for node, region in (("LeftEye", "eye_left"), ("RightEye", "eye_right")):
            side = node.removesuffix("Eye")
            weights = {name: curve[frame] for name, curve in looks.items() if name.endswith(side)}
            turned, expected = shown(tmp_path / "out.glb", frame, node), truth(mannequin, region, **weights)
            # the mannequin's eye turns about a point that is not quite its middle
            assert np.abs((turned - turned.mean(0)) - (expected - expected.mean(0))).max() < 0.0005


VRM1 = {"VRMC_vrm": {
    "humanoid": {"humanBones": {"leftEye": {"node": 3}, "rightEye": {"node": 4}, "jaw": {"node": 2}, "head": 3}},
    "lookAt": {"type": "bone", "rangeMapVerticalUp": {"inputMaxValue": 90.0, "outputScale": 9.0}, "rangeMapVerticalDown": 4},
}}  # fmt: skip
VRM0 = {"VRM": {
    "humanoid": {"humanBones": [{"bone": "leftEye", "node": 3}, {"bone": "rightEye", "node": 4}, {"bone": "jaw", "node": 2}, 7]},
    "firstPerson": {"lookAtTypeName": "Bone", "lookAtVerticalUp": {"xRange": 90.0, "yRange": 9.0, "curve": []}},
}}  # fmt: skip


@pytest.mark.parametrize("extension", [VRM1, VRM0], ids=["1", "0"])
def test_a_vrm_says_which_bones_and_how_far(extension: dict[str, Any], mannequin: Topology, tmp_path: Path) -> None:
    theirs = character(tmp_path / "me.glb", mannequin, ARMATURES["mixamo"], jaw="b1", eyes=("b2", "b3"))
    gltf = open_gltf(theirs)
    document = {**gltf.json, "extensions": extension}
    (tmp_path / "me.vrm").write_bytes(pack(document, bytes(gltf.buffers[0] or b""), ".glb"))
    turns = {turn.name: turn for turn in load_character(tmp_path / "me.vrm").turns}
    assert set(turns) == {"b1", "b2", "b3"}
    assert np.degrees(np.linalg.norm(turns["b2"].vectors["eyeLookUpLeft"])) == pytest.approx(2.5)
    assert np.degrees(np.linalg.norm(turns["b3"].vectors["eyeLookDownRight"])) == pytest.approx(25)


@pytest.mark.parametrize("degrees", [0, 180])
def test_an_avatar_of_vrm_0_looks_ahead(degrees: int, mannequin: Topology, tmp_path: Path) -> None:
    gltf = open_gltf(character(tmp_path / "me.glb", mannequin, np.eye(4), rigid=True))
    document = {**gltf.json, "extensions": VRM0}
    document["nodes"][0]["rotation"] = Rotation.from_euler("y", degrees, degrees=True).as_quat().tolist()
    (tmp_path / "me.vrm").write_bytes(pack(document, bytes(gltf.buffers[0] or b""), ".glb"))
    found = load_character(tmp_path / "me.vrm")
    topology = character_topology(found)
    moved = np.asarray(found.perform(performance(mannequin, jawOpen=[1]), topology).vertices[0])
    assert cKDTree(moved).query(truth(mannequin, "skin", jawOpen=1))[0].max() < 1e-5


def test_rigid_parts_turn_with_their_bone(mannequin: Topology, tmp_path: Path) -> None:
    found = load_character(character(tmp_path / "rig.glb", mannequin, ARMATURES["turned"], rigid=True))
    assert [turn.name for turn in found.turns] == ["CC_Base_JawRoot", "CC_Base_L_Eye", "CC_Base_R_Eye"]
    write(performance(mannequin, jawOpen=[0, 1]), tmp_path / "out.glb", found)
    assert np.abs(shown(tmp_path / "out.glb", 1, "Lower") - truth(mannequin, "teeth_lower", jawOpen=1)).max() < 0.004


def test_eyes_with_look_shapes_are_left_to_them(mannequin: Topology, tmp_path: Path) -> None:
    theirs = character(tmp_path / "rig.glb", mannequin, np.eye(4), shapes=("jawOpen", "eyeLookUpLeft"))
    assert [turn.name for turn in load_character(theirs).turns] == ["CC_Base_JawRoot"]


def test_a_jaw_bone_alone_opens_the_mouth(mannequin: Topology, tmp_path: Path) -> None:
    theirs = character(tmp_path / "rig.glb", mannequin, ARMATURES["mixamo"], shapes=("browInnerUp",), chin_on_bone=True)
    found = load_character(theirs)
    spoken = performance(mannequin, jawOpen=[1, 0.3], mouthClose=[0, 0.3])
    write(spoken, tmp_path / "out.glb", found)
    assert np.abs(shown(tmp_path / "out.glb", 0, "Lower") - truth(mannequin, "teeth_lower", jawOpen=1)).max() < 0.006
    assert np.abs(shown(tmp_path / "out.glb", 1, "Lower") - truth(mannequin, "teeth_lower")).max() < 1e-5  # lips sealed


def test_a_chin_that_is_opened_twice_is_not(
    mannequin: Topology, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = load_character(character(tmp_path / "rig.glb", mannequin, np.eye(4), chin_on_bone=True))
    assert "CC_Base_JawRoot" not in [turn.name for turn in found.turns]
    assert "carries the chin, which a shape opens too" in caplog.text


def test_what_stays_still_is_named(mannequin: Topology, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = load_character(character(tmp_path / "rig.glb", mannequin, np.eye(4), jaw="Bone.003"))
    assert "CC_Base_JawRoot" not in [turn.name for turn in found.turns]
    assert "stays still in the mouth while the jaw opens, without shapes and on no jaw bone: Lower" in caplog.text


def test_a_lock_of_hair_called_jaw_is_left_alone(mannequin: Topology, tmp_path: Path) -> None:
    names = (
        "CC_Base_JawRoot",
        "CC_Base_R_Eye",
    )  # the left eye hangs on a bone called jaw, the jaw on one called nothing
    found = load_character(character(tmp_path / "rig.glb", mannequin, np.eye(4), jaw="Bone.003", eyes=names))
    assert found.turns == ()


def test_no_mouth_at_all_is_refused(mannequin: Topology, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of its shapes is known to open the mouth; it has browInnerUp"):
        load_character(character(tmp_path / "rig.glb", mannequin, np.eye(4), shapes=("browInnerUp",), jaw="Bone.003"))


def test_shared_input_without_a_jaw_bone(shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    theirs = shared / "data" / "inputs" / "cc4_jawbone.glb"
    if not theirs.is_file():
        pytest.skip("no cc4_jawbone.glb in ../shared")
    assert len(load_character(theirs).names) == 52
    assert "no jaw bone: Teeth, Tongue" in caplog.text
