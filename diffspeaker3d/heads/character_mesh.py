"""A character file as one mesh with ARKit blendshapes, so that every other format can show the character too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.gltf import read_accessor, unpack
from diffspeaker3d.heads.character import COMPRESSED, Character
from diffspeaker3d.topology import Blendshapes, Topology

TRIANGLES = 4  # glTF's default primitive mode
LARGEST = 1_000_000  # vertices; beyond this a motion of vertices is not what anybody wants


def character_topology(character: Character) -> Topology:
    """All triangles of the character at rest, in world space, with the ARKit shapes of every driven mesh.

    Skinned meshes lie in their bind pose. Vertices keep the file's order, mesh after mesh.

    Returns:
        Topology: template `rest`, unit m, `blendshapes` named as in `arkit`.

    Raises:
        InputError: compressed geometry, no triangles, or more vertices than LARGEST.
    """
    document, data = unpack(character.path)
    if any(extension in document.get("extensionsUsed", []) for extension in COMPRESSED):
        raise InputError(
            f"{character.path}: its geometry is compressed, so only .glb can be written from it; export it without compression"
        )
    positions: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    shapes: list[tuple[int, int, np.ndarray]] = []
    count = 0
    for mesh_index, matrix in _placed_meshes(document):
        names = character.meshes.get(mesh_index, ())
        for primitive in document["meshes"][mesh_index]["primitives"]:
            if primitive.get("mode", TRIANGLES) != TRIANGLES:
                continue
            rest = read_accessor(document, data, primitive["attributes"]["POSITION"]) @ matrix[:3, :3].T + matrix[:3, 3]
            corners = (
                read_accessor(document, data, primitive["indices"]) if "indices" in primitive else np.arange(len(rest))
            )
            positions.append(rest)
            faces.append(corners.astype(np.int64).reshape(-1, 3) + count)
            for name, target in zip(names, primitive.get("targets", []), strict=False):
                if name is not None and "POSITION" in target:
                    shapes.append(
                        (
                            character.names.index(name),
                            count,
                            read_accessor(document, data, target["POSITION"]) @ matrix[:3, :3].T,
                        )
                    )
            count += len(rest)
            if count > LARGEST:
                raise InputError(
                    f"{character.path}: more than {LARGEST} vertices; write .glb from it, or reduce the mesh"
                )
    if not faces:
        raise InputError(f"{character.path}: no triangles in its scene; export it again")
    deltas = np.zeros((len(character.names), count, 3), np.float32)
    for index, start, delta in shapes:
        deltas[index, start : start + len(delta)] = delta
    template = np.concatenate(positions).astype(np.float32)
    return Topology(
        character.path.stem,
        np.concatenate(faces).astype(np.int32),
        count,
        templates={"rest": template},
        blendshapes=Blendshapes(character.names, deltas),
    )


def _placed_meshes(document: dict[str, Any]) -> Iterator[tuple[int, np.ndarray]]:
    """(mesh, world matrix (4, 4)) of every node that shows one; a skinned mesh ignores its node, as glTF has it."""
    nodes = document.get("nodes", [])
    children = {child for node in nodes for child in node.get("children", [])}
    pending = [(index, np.eye(4)) for index in reversed(range(len(nodes))) if index not in children]
    while pending:
        index, above = pending.pop()
        node = nodes[index]
        matrix = above @ _local(node)
        if "mesh" in node:
            yield node["mesh"], np.eye(4) if "skin" in node else matrix
        pending += [(child, matrix) for child in reversed(node.get("children", []))]


def _local(node: dict[str, Any]) -> np.ndarray:
    """A node's matrix (4, 4) from its own matrix or translation, rotation (x, y, z, w), scale."""
    if "matrix" in node:
        return np.array(node["matrix"], float).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
    rotation = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * np.array(node.get("scale", (1.0, 1.0, 1.0)), float)
    matrix[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return matrix
