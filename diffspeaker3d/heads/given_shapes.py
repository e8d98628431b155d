"""Shapes put into a glTF file that has none: its meshes, materials and textures stay, morph targets are added."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from diffspeaker3d.geometry.gltf import BufferBuilder, Gltf, Piece, pieces
from diffspeaker3d.geometry.gltf.editing import gathered
from diffspeaker3d.geometry.gltf.schema import check_document
from diffspeaker3d.geometry.surface import Surface
from diffspeaker3d.heads.fit.prepare import close_seams

SMALLEST = 1e-5  # of the head's size: a shape that moves a mesh by less does not move it
NORMAL_EPSILON = 1e-3


def with_shapes(gltf: Gltf, names: Sequence[str], deltas: np.ndarray) -> Gltf:
    """The file with morph targets, as if it had been read so.

    Args:
        gltf: a file without any.
        names: K names.
        deltas (array (K, V, 3)): displacements in the scene, of all vertices that `pieces(gltf)` gives.
    """
    document, data = gathered(gltf)
    document.setdefault("buffers", [{"byteLength": 0}])
    shown = list(pieces(gltf))
    starts = np.cumsum([0, *(len(piece.vertices) for piece in shown)])
    tilts = _Tilts(shown, starts)
    buffer = BufferBuilder(document, data)
    originals = copy.deepcopy(document["meshes"])
    smallest = SMALLEST * float(np.ptp(np.concatenate([piece.vertices for piece in shown]), axis=0).max())
    taken: set[int] = set()
    for node in dict.fromkeys(piece.node for piece in shown):
        own = [
            (p, deltas[:, a : a + len(p.vertices)], a) for p, a in zip(shown, starts, strict=False) if p.node == node
        ]
        moving = [k for k in range(len(names)) if max(np.abs(moved[k]).max() for _, moved, _ in own) > smallest]
        if not moving:
            continue
        index = own[0][0].mesh
        if index in taken:  # shown a second time, elsewhere: its shapes are others there
            document["meshes"].append(copy.deepcopy(originals[index]))
            index = document["nodes"][node]["mesh"] = len(document["meshes"]) - 1
        taken.add(index)
        mesh = document["meshes"][index]
        for primitive in mesh["primitives"]:
            primitive["targets"] = []
        for piece, moved, start in own:
            primitive = mesh["primitives"][piece.number]
            primitive["targets"] = [_target(buffer, piece, moved[k], tilts, start, deltas[k], smallest) for k in moving]
        for number, primitive in enumerate(mesh["primitives"]):
            if not primitive["targets"]:  # lines and points must have as many
                count = gltf.count(gltf.document.meshes[own[0][0].mesh].primitives[number])
                zeros = [buffer.sparse_accessor(np.zeros((count, 3), np.float32), 1.0, bounds=True) for _ in moving]
                primitive["targets"] = [{"POSITION": zero} for zero in zeros]
        mesh["extras"] = {**(mesh.get("extras") or {}), "targetNames": [names[k] for k in moving]}
        mesh["weights"] = [0.0] * len(moving)
    document["buffers"][0]["byteLength"] = len(data)
    others = [None] * (len(document["buffers"]) - 1)
    return Gltf(gltf.path, document, check_document(document, str(gltf.path)), (memoryview(bytes(data)), *others))


def _target(
    buffer: BufferBuilder,
    piece: Piece,
    moved: np.ndarray,
    tilts: _Tilts,
    start: int,
    everywhere: np.ndarray,
    smallest: float,
) -> dict[str, Any]:
    local = piece.out_of_scene(moved)
    scale = np.median(np.linalg.norm(piece.matrices[..., :3, 0], axis=-1))
    target = {"POSITION": buffer.sparse_accessor(local.astype(np.float32), smallest / 10 / float(scale), bounds=True)}
    if "NORMAL" in piece.primitive.attributes:
        tilt = tilts(everywhere, piece, start).astype(np.float32)
        target["NORMAL"] = buffer.sparse_accessor(tilt, NORMAL_EPSILON, bounds=False)
    return target


class _Tilts:
    """How a shape tilts normals: those of the whole scene's surface, seams closed, before and after."""

    def __init__(self, shown: list[Piece], starts: np.ndarray) -> None:
        vertices = np.concatenate([piece.vertices for piece in shown])
        faces = np.concatenate([piece.faces + start for piece, start in zip(shown, starts, strict=False)])
        self.surface, self.place = close_seams(vertices, faces)
        self.first = np.zeros(len(self.surface.vertices), np.int64)
        self.first[self.place] = np.arange(len(vertices))
        self.latest: tuple[int, np.ndarray] | None = None

    def __call__(self, deltas: np.ndarray, piece: Piece, start: int) -> np.ndarray:
        """Differences (n, 3) of a piece's normals in its own coordinates under a shape of the whole scene (V, 3)."""
        if self.latest is None or self.latest[0] != id(deltas):
            moved = Surface(self.surface.vertices + deltas[self.first], self.surface.faces)
            self.latest = id(deltas), moved.normals
        rows = self.place[start : start + len(piece.vertices)]
        before, after = (_own_normals(piece, normals[rows]) for normals in (self.surface.normals, self.latest[1]))
        return after - before


def _own_normals(piece: Piece, normals: np.ndarray) -> np.ndarray:
    """Unit normals (n, 3) in the scene as unit normals in the piece's own coordinates."""
    back = np.swapaxes(piece.matrices[..., :3, :3], -1, -2)
    turned = np.einsum("ij,vj->vi" if back.ndim == 2 else "vij,vj->vi", back, normals)
    return turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-30)
