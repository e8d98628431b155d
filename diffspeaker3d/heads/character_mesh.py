"""A character file as one mesh with blendshapes, so that every other format can show the character too."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.gltf import Gltf, pieces, visible_nodes
from diffspeaker3d.heads.bones import posed
from diffspeaker3d.heads.character import Character
from diffspeaker3d.heads.vrm import is_first_version
from diffspeaker3d.topology import Blendshapes, Topology

HALF_TURN = np.array([-1.0, 1.0, -1.0], np.float32)  # about Y: avatars of VRM 0 look along -Z, everything here along +Z
LARGEST = 1_000_000  # vertices; beyond this a motion of vertices is not what anybody wants
MOST_NUMBERS = 1 << 26  # of all shapes


def character_topology(character: Character) -> Topology:
    """All triangles that the character shows at rest, in the scene's space, with the shapes of every driven mesh.

    Vertices keep the file's order, node after node; skinned ones stand where their bones put them. A bone's turn is a shape too, the
    straight way to where it ends. An avatar of VRM 0 is turned to look along +Z.

    Returns:
        Topology: template `rest`, unit m, `blendshapes` named as `character.names`.

    Raises:
        InputError: no triangles, broken arrays, or more vertices than LARGEST.
    """
    gltf, names = character.gltf, character.names
    check_size(gltf, len(names))
    shown = list(pieces(gltf))
    if not shown:
        raise InputError(f"{gltf.path}: no triangles in its scene; export it again")
    starts = np.cumsum([0, *(len(piece.vertices) for piece in shown)])
    deltas = np.zeros((len(names), int(starts[-1]), 3), np.float32)
    for piece, start in zip(shown, starts, strict=False):
        for number, name in enumerate(character.meshes.get(piece.mesh, ())):
            if name is not None and (delta := gltf.target(piece.primitive, number)) is not None:
                deltas[names.index(name), start : start + len(delta)] += piece.into_scene(delta)
    for name, (turn, control) in character.bone_shapes.items():
        deltas[names.index(name)] += posed(gltf, turn, control)
    template = np.concatenate([piece.vertices for piece in shown]).astype(np.float32)
    faces = np.concatenate([piece.faces + start for piece, start in zip(shown, starts, strict=False)])
    if is_first_version(gltf.json) and _faces_back(template, deltas):
        template, deltas = template * HALF_TURN, deltas * HALF_TURN
    return Topology(
        gltf.path.stem,
        faces.astype(np.int32),
        len(template),
        templates={"rest": template},
        blendshapes=Blendshapes(names, deltas),
    )


def _faces_back(template: np.ndarray, deltas: np.ndarray) -> bool:
    """Whether the shapes move what lies towards -Z of the head, which is what stands as high as they."""
    travel = np.linalg.norm(deltas, axis=-1).max(0)
    moving = travel > 0.3 * travel.max()
    head = template[:, 1] > template[moving, 1].min()
    return bool(travel.any() and template[moving, 2].mean() < template[head, 2].mean())


def check_size(gltf: Gltf, num_shapes: int = 0) -> None:
    """Raise InputError if what the file shows is larger than anybody wants to move, before it is unpacked."""
    document = gltf.document
    meshes = [document.nodes[node].mesh for node in visible_nodes(document)]
    count = sum(gltf.count(p) for mesh in meshes if mesh is not None for p in document.meshes[mesh].primitives)
    if count > LARGEST or 3 * count * num_shapes > MOST_NUMBERS:
        raise InputError(
            f"{gltf.path}: {count} vertices with {num_shapes} shapes, more than can be moved at once; reduce the mesh"
        )
