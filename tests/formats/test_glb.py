"""glTF by an independent reading of its bytes; the Khronos validator and three.js are in test_clients.py."""

from __future__ import annotations

import base64
import json
import logging
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import glb, save
from diffspeaker3d.formats.common.morphs import MorphOptions, find_morphs
from diffspeaker3d.geometry.normals import VertexNormals
from diffspeaker3d.topology import Topology


def parse(path: Path) -> tuple[dict[str, Any], bytes]:
    """A second reader: the specification's header, two chunks."""
    raw = path.read_bytes()
    magic, version, length, size, kind = struct.unpack_from("<4sIII4s", raw)
    assert (magic, version, length, kind) == (b"glTF", 2, len(raw), b"JSON") and size % 4 == 0
    document = json.loads(raw[20 : 20 + size])
    bin_size, bin_kind = struct.unpack_from("<I4s", raw, 20 + size)
    assert bin_kind == b"BIN\0" and 28 + size + bin_size == len(raw)
    return document, raw[28 + size :]


def values(document: dict[str, Any], data: bytes, index: int) -> np.ndarray:
    """Accessor values by np.frombuffer, sparse entries applied."""
    accessor = document["accessors"][index]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor["type"]]
    kinds = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}

    def view(v: int, kind: int, count: int) -> np.ndarray:
        return np.frombuffer(data, kinds[kind], count, document["bufferViews"][v]["byteOffset"])

    out = np.zeros(accessor["count"] * width, kinds[accessor["componentType"]])
    if "bufferView" in accessor:
        out = view(accessor["bufferView"], accessor["componentType"], len(out)).copy()
    out = out.reshape(-1, width)
    if "sparse" in accessor:
        s = accessor["sparse"]
        rows = view(s["indices"]["bufferView"], s["indices"]["componentType"], s["count"])
        assert (np.diff(rows.astype(int)) > 0).all()
        out[rows] = view(s["values"]["bufferView"], 5126, s["count"] * width).reshape(-1, width)
    return out


def played(document: dict[str, Any], data: bytes, attribute: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(times, weights, blended attribute of all frames) as any client computes them."""
    mesh = document["meshes"][0]
    primitive, sampler = mesh["primitives"][0], document["animations"][0]["samplers"][0]
    targets = np.stack([values(document, data, t[attribute]) for t in primitive["targets"]])
    times = values(document, data, sampler["input"])[:, 0]
    weights = values(document, data, sampler["output"]).reshape(len(times), len(targets))
    assert len(mesh["weights"]) == len(mesh["extras"]["targetNames"]) == len(targets)
    return (
        times,
        weights,
        values(document, data, primitive["attributes"][attribute]) + np.tensordot(weights, targets, 1),
    )


def test_own_shapes_play_exactly_with_their_names(shaped: Animation, tmp_path: Path) -> None:
    save(shaped, tmp_path / "a.glb")
    document, data = parse(tmp_path / "a.glb")
    times, weights, vertices = played(document, data, "POSITION")
    names = document["meshes"][0]["extras"]["targetNames"]
    assert set(names) == set(shaped.weight_names) - set(shaped.weight_names[5:9])
    assert np.abs(vertices - np.asarray(shaped.vertices)).max() < 1e-5
    assert np.allclose(times, np.arange(45) / 30, atol=1e-7) and weights.min() >= 0 and weights.max() <= 1
    primitive = document["meshes"][0]["primitives"][0]
    assert np.array_equal(values(document, data, primitive["indices"]).reshape(-1, 3), shaped.topology.faces)
    assert {"JOINTS_0", "WEIGHTS_0", "COLOR_0"} <= set(primitive["attributes"]) and len(
        document["skins"][0]["joints"]
    ) == 1


def test_free_vertices_become_directions_within_tolerance_in_metres(free: Animation, tmp_path: Path) -> None:
    save(free, tmp_path / "a.glb")
    document, data = parse(tmp_path / "a.glb")
    _, weights, vertices = played(document, data, "POSITION")
    error = np.abs(vertices - np.asarray(free.vertices) / 1000).max()
    assert error < 5e-5 + 1e-5 and document["asset"]["extras"]["max_error_m"] < 5e-5
    assert weights.min() >= 0 and weights.max() <= 1 + 1e-6 and weights.shape[1] <= 24  # twelve signed directions
    rest = values(document, data, document["meshes"][0]["primitives"][0]["attributes"]["POSITION"])
    assert np.allclose(rest, free.template / 1000, atol=1e-8)  # the base mesh stays neutral


def test_normal_targets_follow_the_true_normals(shaped: Animation, tmp_path: Path) -> None:
    save(shaped, tmp_path / "a.glb")
    document, data = parse(tmp_path / "a.glb")
    _, _, normals = played(document, data, "NORMAL")
    truth = VertexNormals(shaped.topology.faces, shaped.topology.num_vertices)(np.asarray(shaped.vertices))
    cosine = (normals * truth).sum(-1) / np.linalg.norm(normals, axis=-1)
    still = (truth[:1] * truth).sum(-1)
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).mean() < 0.2 * np.degrees(np.arccos(still.clip(-1, 1))).mean()


def test_gltf_text_holds_the_same_buffer(shaped: Animation, tmp_path: Path) -> None:
    save(shaped, tmp_path / "a.gltf")
    save(shaped, tmp_path / "a.glb")
    text = json.loads((tmp_path / "a.gltf").read_text())
    document, data = parse(tmp_path / "a.glb")
    decoded = base64.b64decode(text["buffers"][0]["uri"].split(",")[1])
    assert decoded == data[: len(decoded)] and text["accessors"] == document["accessors"]


def test_too_few_targets_warn_and_say_the_error(
    free: Animation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        glb.write(free, tmp_path / "a.glb", MorphOptions(max_targets=6))
    document, _ = parse(tmp_path / "a.glb")
    assert "morph targets follow" in caplog.text
    assert len(document["meshes"][0]["weights"]) <= 6 and document["asset"]["extras"]["max_error_m"] > 5e-5


def test_long_motion_is_measured_on_every_frame(shaped: Animation) -> None:
    """A single odd frame that the basis frames miss still ends within the tolerance."""
    topology = Topology("bare", shaped.topology.faces, shaped.topology.num_vertices)
    generator = np.random.default_rng(0)
    vertices = np.repeat(np.asarray(shaped.vertices[:30]), 30, axis=0)
    vertices[401] += generator.normal(size=vertices.shape[1:]).astype(np.float32) * 1e-3
    animation = Animation(vertices, 30.0, topology, shaped.template)
    morphs = find_morphs(animation)
    rebuilt = animation.template + np.tensordot(morphs.weights, morphs.deltas, 1)
    assert np.abs(rebuilt - vertices).max() < 5.1e-5 and morphs.max_error <= 5e-5


def test_a_still_face_is_a_valid_file(shaped: Animation, tmp_path: Path) -> None:
    topology = Topology("bare", shaped.topology.faces, shaped.topology.num_vertices)
    still = Animation(np.repeat(shaped.template[None], 3, 0), 30.0, topology, shaped.template)
    save(still, tmp_path / "a.glb")
    assert np.allclose(played(*parse(tmp_path / "a.glb"), "POSITION")[2], shaped.template)


def test_tampering_is_noticed(shaped: Animation, tmp_path: Path) -> None:
    path = tmp_path / "a.glb"
    glb.write(shaped, path)
    document, _ = parse(path)
    view = document["bufferViews"][
        document["accessors"][document["animations"][0]["samplers"][0]["output"]]["bufferView"]
    ]
    raw = bytearray(path.read_bytes())
    start = len(raw) - len(parse(path)[1]) + view["byteOffset"]
    raw[start : start + view["byteLength"]] = bytes(view["byteLength"])
    path.write_bytes(raw)
    with pytest.raises(InputError, match="reads back"):
        glb.verify(shaped, path)
