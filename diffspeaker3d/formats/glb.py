"""Morph-target animation as glTF 2.0 (.glb, .gltf): for three.js, Blender, Unreal, Unity, Godot.

Metres, Y up, vertex order kept. Weights lie in [0, 1] (Blender clamps others), normals have targets (three.js would shade
the neutral face), and one joint skins everything (Unreal has morph targets on skeletal meshes only).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.formats.common.mesh import in_units, linear_colors, metres_per_unit
from diffspeaker3d.formats.common.morphs import MorphOptions, Morphs, find_morphs, normal_deltas
from diffspeaker3d.geometry.gltf import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, BufferBuilder, open_gltf, pack

SUFFIXES = {
    ".glb": "morph targets for web, Blender, Unreal, Unity",
    ".gltf": "the same as text",
}


POSITION_EPSILON = 5e-7  # metres; smaller displacements are not stored
NORMAL_EPSILON = 1e-3
CLAY = (0.70, 0.57, 0.45, 1.0)  # linear albedo where the topology has no colours


def write(animation: Animation, path: Path, options: MorphOptions | None = None) -> tuple[Path, ...]:
    """Write .glb, or .gltf with the buffer inside; achieved errors and provenance stand in `asset.extras`."""
    morphs = find_morphs(animation, options)
    buffer = BufferBuilder()
    document = _document(animation, morphs, buffer)
    document |= {"accessors": buffer.accessors, "bufferViews": buffer.views}
    with atomic_path(path) as temporary:
        temporary.write_bytes(pack(document, bytes(buffer.data), path.suffix.lower()))
    return (path,)


def _document(animation: Animation, morphs: Morphs, buffer: BufferBuilder) -> dict[str, Any]:
    """Everything but accessors and buffer views, which gather in `buffer`."""
    scale = metres_per_unit(animation.topology)
    extras = {
        "fps": animation.fps, "frames": len(animation), "topology": animation.topology.name, "unit": animation.topology.unit,
        "max_error_m": morphs.max_error * scale, "rms_error_m": morphs.rms_error * scale, "provenance": animation.provenance,
    }  # fmt: skip
    mesh = {
        "name": animation.topology.name, "primitives": [_primitive(animation, morphs, buffer)],
        "weights": [0.0] * len(morphs.names), "extras": {"targetNames": list(morphs.names)},
    }  # fmt: skip
    inverse_bind = buffer.accessor(np.eye(4, dtype=np.float32).reshape(1, 16), "MAT4")
    times = buffer.accessor((np.arange(len(animation)) / animation.fps).astype(np.float32), "SCALAR", bounds=True)
    weights = buffer.accessor(morphs.weights.reshape(-1), "SCALAR")
    return {
        "asset": {"version": "2.0", "generator": "diffspeaker3d", "extras": extras},
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [{"name": "face", "mesh": 0, "skin": 0}, {"name": "head"}],
        "skins": [{"joints": [1], "inverseBindMatrices": inverse_bind}],
        "materials": [_material(animation)],
        "meshes": [mesh],
        "animations": [{
            "name": "speech",
            "samplers": [{"input": times, "output": weights, "interpolation": "LINEAR"}],
            "channels": [{"sampler": 0, "target": {"node": 0, "path": "weights"}}],
        }],
    }  # fmt: skip


def _primitive(animation: Animation, morphs: Morphs, buffer: BufferBuilder) -> dict[str, Any]:
    topology, scale = animation.topology, np.float32(metres_per_unit(animation.topology))
    normals, deltas = normal_deltas(animation, morphs)
    count = topology.num_vertices
    attributes = {
        "POSITION": buffer.accessor(
            np.asarray(animation.template, np.float32) * scale, "VEC3", ARRAY_BUFFER, bounds=True
        ),
        "NORMAL": buffer.accessor(normals, "VEC3", ARRAY_BUFFER),
        "JOINTS_0": buffer.accessor(np.zeros((count, 4), np.uint8), "VEC4", ARRAY_BUFFER),
        "WEIGHTS_0": buffer.accessor(
            np.tile(np.array([255, 0, 0, 0], np.uint8), (count, 1)), "VEC4", ARRAY_BUFFER, normalized=True
        ),
    }
    if topology.colors is not None:
        attributes["COLOR_0"] = buffer.accessor(_color_words(topology.colors), "VEC4", ARRAY_BUFFER, normalized=True)
    targets = [
        {"POSITION": buffer.sparse_accessor(shape * scale, POSITION_EPSILON, bounds=True),
         "NORMAL": buffer.sparse_accessor(tilt, NORMAL_EPSILON, bounds=False)}
        for shape, tilt in zip(morphs.deltas, deltas, strict=True)
    ]  # fmt: skip
    faces = topology.faces.astype(np.uint32)
    solid = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    indices = buffer.accessor(faces[solid].reshape(-1), "SCALAR", ELEMENT_ARRAY_BUFFER)
    return {"attributes": attributes, "indices": indices, "material": 0, "targets": targets}


def _color_words(colors: np.ndarray) -> np.ndarray:
    """sRGB bytes (V, 3) -> linear 16-bit (V, 4): glTF vertex colours are linear, and 8 bits would band in the dark."""
    opaque = np.concatenate([linear_colors(colors), np.ones((len(colors), 1))], 1)
    return np.rint(opaque * 65535).astype(np.uint16)


def _material(animation: Animation) -> dict[str, Any]:
    colour = (1.0, 1.0, 1.0, 1.0) if animation.topology.colors is not None else CLAY
    return {
        "name": "clay", "doubleSided": True,
        "pbrMetallicRoughness": {"baseColorFactor": list(colour), "metallicFactor": 0.0, "roughnessFactor": 0.75},
    }  # fmt: skip


def verify(animation: Animation, path: Path) -> None:
    """Reopen the file and blend five frames from its accessors; the error it states itself is allowed."""
    from diffspeaker3d.formats import check_frames

    written = open_gltf(path)
    primitive = written.document.meshes[0].primitives[0]
    scale = metres_per_unit(animation.topology)
    base = written.accessor(primitive.attributes["POSITION"])
    output = written.accessor(written.document.animations[0].samplers[0].output)
    targets = np.stack([written.accessor(target["POSITION"]) for target in primitive.targets])
    weights = output.reshape(-1, len(targets))
    if len(weights) != len(animation):
        raise InputError(
            f"{path}: reads back {len(weights)} frames of {len(animation)}; write it again, and report this"
        )
    slack = (
        in_units(1e-5, animation.topology, animation.template) + written.json["asset"]["extras"]["max_error_m"] / scale
    )
    check_frames(path, animation, lambda t: (base + np.tensordot(weights[t], targets, 1)) / scale, slack)
