"""Where the vertices of a glTF file stand when nothing moves: node hierarchies, skins, hidden nodes and other scenes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.gltf.reader import Gltf
from diffspeaker3d.geometry.gltf.schema import Document, Node, Primitive


@dataclass(frozen=True, eq=False)
class Piece:
    """A primitive as one visible node shows it.

    Attributes:
        node, mesh: indices.
        primitive: the primitive.
        number: of the primitive in its mesh.
        matrices (array (4, 4) or (V, 4, 4)): the mesh's own coordinates to the scene's; one per vertex under a skin.
        vertices (array (V, 3) float64): positions in the scene, metres, Y up.
        faces (array (F, 3) int64): triangles, counter-clockwise from outside also where the node mirrors.
    """

    node: int
    mesh: int
    primitive: Primitive
    number: int
    matrices: np.ndarray
    vertices: np.ndarray
    faces: np.ndarray

    def into_scene(self, deltas: np.ndarray) -> np.ndarray:
        """Displacements (..., V, 3) of the mesh's own coordinates as displacements in the scene."""
        return _turned(self.matrices[..., :3, :3], deltas)

    def out_of_scene(self, deltas: np.ndarray) -> np.ndarray:
        """The other way; where a matrix flattens the mesh, the nearest displacement."""
        return _turned(np.linalg.pinv(self.matrices[..., :3, :3]), deltas)


def _turned(matrices: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    return np.einsum("ij,...vj->...vi" if matrices.ndim == 2 else "vij,...vj->...vi", matrices, deltas)


def visible_nodes(document: Document) -> list[int]:
    """Nodes of the scene that is shown, parents first, without those that are hidden and what hangs below them."""
    roots: tuple[int, ...]
    if document.scenes:
        roots = document.scenes[document.scene or 0].nodes
    else:
        children = {child for node in document.nodes for child in node.children}
        roots = tuple(n for n in range(len(document.nodes)) if n not in children)
    found: dict[int, None] = {}
    pending = list(reversed(roots))
    while pending:
        number = pending.pop()
        if number in found or not document.nodes[number].extensions.visibility.visible:
            continue
        found[number] = None
        pending += reversed(document.nodes[number].children)
    return list(found)


def world_matrices(document: Document, local: Mapping[int, np.ndarray] | None = None) -> np.ndarray:
    """Matrices (N, 4, 4) of all nodes, from their own coordinates to the scene's.

    Args:
        document: the file's.
        local: node -> its matrix (4, 4) relative to its parent, in place of the one in the file: a pose.
    """
    children = {child for node in document.nodes for child in node.children}
    matrices = np.tile(np.eye(4), (len(document.nodes), 1, 1))
    pending = [(n, np.eye(4)) for n in range(len(document.nodes)) if n not in children]
    while pending:
        number, above = pending.pop()
        node = document.nodes[number]
        own = (local or {}).get(number)
        matrices[number] = above @ (local_matrix(node) if own is None else own)
        pending += [(child, matrices[number]) for child in node.children]
    return matrices


def local_matrix(node: Node) -> np.ndarray:
    """A node's matrix (4, 4) relative to its parent, from its own matrix or translation, rotation (x, y, z, w), scale."""
    if node.matrix is not None:
        return np.array(node.matrix, float).reshape(4, 4).T
    length = float(np.linalg.norm(node.rotation))
    x, y, z, w = np.array(node.rotation) / length if length > 0 else (0.0, 0.0, 0.0, 1.0)
    rotation = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * np.array(node.scale)
    matrix[:3, 3] = node.translation
    return matrix


def pieces(gltf: Gltf, local: Mapping[int, np.ndarray] | None = None) -> Iterator[Piece]:
    """Every primitive with triangles that the file shows, node after node, in its rest pose or the one given (see `world_matrices`).

    Raises:
        InputError: broken arrays, numbers that are not finite, or a skin that does not fit.
    """
    document = gltf.document
    world = world_matrices(document, local)
    for number in visible_nodes(document):
        node = document.nodes[number]
        if node.mesh is None:
            continue
        for which, primitive in enumerate(document.meshes[node.mesh].primitives):
            faces = gltf.triangles(primitive)
            rest = gltf.floats(primitive, "POSITION")
            if rest is None or len(faces) == 0:
                continue
            if rest.ndim != 2 or rest.shape[1] != 3:
                raise InputError(
                    f"{gltf.path}: mesh {node.mesh} has positions that are no points; export the file again"
                )
            matrices = world[number] if node.skin is None else skin_matrices(gltf, primitive, node.skin, world)
            vertices = _turned(matrices[..., :3, :3], rest) + matrices[..., :3, 3]
            if not np.isfinite(vertices).all():
                raise InputError(
                    f"{gltf.path}: node {number} stands nowhere (its matrices are not finite); repair the file"
                )
            if np.median(np.linalg.det(matrices[..., :3, :3])) < 0:  # a mirror turns the triangles inside out
                faces = faces[:, ::-1]
            yield Piece(number, node.mesh, primitive, which, matrices, vertices, faces)


def skin_matrices(gltf: Gltf, primitive: Primitive, skin: int, world: np.ndarray) -> np.ndarray:
    """Matrices (V, 4, 4) of a skinned primitive: the joints' mean by weight; the node's own place does not count.

    Raises:
        InputError: joints, weights and bind matrices that do not fit each other.
    """
    joints = np.array(gltf.document.skins[skin].joints)
    matrices = world[joints]
    bind = gltf.document.skins[skin].inverse_bind_matrices
    if bind is not None:
        inverse = gltf.accessor(bind).astype(np.float64)
        if inverse.shape[1:] != (16,) or len(inverse) < len(joints):
            raise InputError(
                f"{gltf.path}: skin {skin} has {len(joints)} joints and another number of bind matrices; export it again"
            )
        matrices = matrices @ inverse[: len(joints)].reshape(-1, 4, 4).transpose(0, 2, 1)
    total = np.zeros((gltf.count(primitive), 4, 4))
    summed = np.zeros(len(total))
    for n in range(8):
        which, share = gltf.attribute(primitive, f"JOINTS_{n}"), gltf.floats(primitive, f"WEIGHTS_{n}")
        if which is None or share is None:
            break
        if (
            which.shape != (len(total), 4)
            or share.shape != which.shape
            or which.dtype.kind not in "iu"
            or which.max() >= len(joints)
        ):
            raise InputError(f"{gltf.path}: skin {skin} has joints that do not exist; export the file again")
        for column in range(4):
            total += share[:, column, None, None] * matrices[which[:, column]]
            summed += share[:, column]
    free = np.abs(summed) < 1e-6  # bound to nothing: to the first joint, as viewers do
    total[free], summed[free] = matrices[0], 1.0
    return total / summed[:, None, None]
