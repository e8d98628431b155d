"""A character file as one mesh with ARKit blendshapes, so that every other format can show the character too."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.gltf import Gltf, pieces, visible_nodes
from diffspeaker3d.heads.character import Character
from diffspeaker3d.topology import Blendshapes, Topology

LARGEST = 1_000_000  # vertices; beyond this a motion of vertices is not what anybody wants
MOST_NUMBERS = 1 << 26  # of all shapes


def character_topology(character: Character) -> Topology:
    """All triangles that the character shows at rest, in the scene's space, with the ARKit shapes of every driven mesh.

    Vertices keep the file's order, node after node; skinned ones stand where their bones put them.

    Returns:
        Topology: template `rest`, unit m, `blendshapes` named as in `arkit`.

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
                deltas[names.index(name), start : start + len(delta)] = piece.into_scene(delta)
    template = np.concatenate([piece.vertices for piece in shown]).astype(np.float32)
    faces = np.concatenate([piece.faces + start for piece, start in zip(shown, starts, strict=False)])
    return Topology(
        gltf.path.stem,
        faces.astype(np.int32),
        len(template),
        templates={"rest": template},
        blendshapes=Blendshapes(names, deltas),
    )


def check_size(gltf: Gltf, num_shapes: int = 0) -> None:
    """Raise InputError if what the file shows is larger than anybody wants to move, before it is unpacked."""
    document = gltf.document
    meshes = [document.nodes[node].mesh for node in visible_nodes(document)]
    count = sum(gltf.count(p) for mesh in meshes if mesh is not None for p in document.meshes[mesh].primitives)
    if count > LARGEST or 3 * count * num_shapes > MOST_NUMBERS:
        raise InputError(
            f"{gltf.path}: {count} vertices with {num_shapes} shapes, more than can be moved at once; reduce the mesh"
        )
