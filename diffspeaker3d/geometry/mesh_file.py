"""Meshes from files: vertices and triangles in the file's own order; nothing is merged, split, cleaned or reordered.

The one exception is STL, which has no vertices to keep: equal corners are joined in order of appearance.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.gltf import GLTF_SUFFIXES, open_gltf, pieces
from diffspeaker3d.geometry.gltf.reader import read_regular

MESH_SUFFIXES = (".obj", ".ply", ".stl", *GLTF_SUFFIXES)
MOST_VERTICES = 2_000_000
UNITS = (("m", 1.0), ("cm", 0.01), ("mm", 0.001))


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh as it came.

    Attributes:
        name: file stem.
        vertices (array (V, 3) float64): the file's order, unit and axes.
        faces (array (F, 3) int64): triangles; polygons become fans.
        colors (array (V, 3) uint8): of vertices, sRGB, or None.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray | None = None

    @property
    def unit(self) -> str:
        """The unit in which the mesh is as large as a head, 15 to 60 cm, else "units"."""
        size = float(np.ptp(self.vertices, axis=0).max())
        return next((unit for unit, metres in UNITS if 0.15 <= size * metres <= 0.6), "units")


def read_mesh(path: str | Path) -> Mesh:
    """Read an .obj, .ply, .stl, .glb, .gltf or .vrm; of glTF everything its scene shows, in the scene's place and size.

    Raises:
        InputError: missing, unknown suffix, broken, too large, no triangles, vertices that are not finite, or triangles of
            vertices that do not exist.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise InputError(f"{path}: not a mesh file known here; known: {' '.join(MESH_SUFFIXES)}")
    mesh = read_obj(path) if suffix == ".obj" else _read_gltf(path) if suffix in GLTF_SUFFIXES else _read_trimesh(path)
    if len(mesh.faces) == 0 or len(mesh.vertices) == 0:
        raise InputError(f"{path}: holds no triangles; export it as a mesh of triangles or polygons")
    if not np.isfinite(mesh.vertices).all() or np.abs(mesh.vertices).max() > 1e30:
        worst = int(np.argmin((np.abs(mesh.vertices) <= 1e30).all(1)))
        raise InputError(f"{path}: vertex {worst} is not a finite number; repair the mesh")
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        wrong = mesh.faces.max() if mesh.faces.min() >= 0 else mesh.faces.min()
        raise InputError(f"{path}: a face refers to vertex {wrong} of {len(mesh.vertices)}; repair the mesh")
    return mesh


def read_obj(path: Path) -> Mesh:
    """A Wavefront obj: its `v` and `f` lines, all else ignored; vertex indices count from 1, or back from the latest.

    Our own reader, since others split vertices along texture seams. An obj without faces gives zero triangles.

    Raises:
        InputError: missing, too large, or a line that cannot be understood, with its number.
    """
    text = _text(read_regular(path))
    if text.count("\nv ") > MOST_VERTICES:
        raise InputError(f"{path}: more than {MOST_VERTICES} vertices; reduce the mesh")
    # A backslash continues a line; both lines still count.
    lines = re.sub(r"\\\n", lambda _: "\0", text).split("\n") if "\\\n" in text else text.split("\n")
    points: list[list[float]] = []
    triangles: list[tuple[int, int, int]] = []
    number = 0
    for line in lines:
        number += 1 + line.count("\0")
        words = line.replace("\0", " ").split()
        try:
            if words[:1] == ["v"]:
                points.append([float(word) for word in words[1:]])
                if len(words) < 4:
                    raise ValueError(f"a vertex of {len(words) - 1} numbers")
            elif words[:1] == ["f"]:
                corners = [_corner(word, len(points)) for word in words[1:]]
                if len(corners) < 3:
                    raise ValueError(f"a face of {len(corners)} corners")
                triangles += [(corners[0], b, c) for b, c in pairwise(corners[1:])]
        except ValueError as error:
            raise InputError(f"{path}: not a readable .obj (line {number}: {error}); export it again") from error
    if triangles and (furthest := max(map(max, triangles))) >= len(points):
        raise InputError(f"{path}: a face refers to vertex {furthest + 1} of {len(points)}; repair the mesh")
    vertices = np.array([point[:3] for point in points], np.float64).reshape(-1, 3)
    return Mesh(path.stem, vertices, np.array(triangles, np.int64).reshape(-1, 3), _obj_colors(points))


def _corner(word: str, count: int) -> int:
    """Vertex of a corner `v/vt/vn`, from 0."""
    index = int(word.split("/", 1)[0])
    if index == 0 or index < -count:
        raise ValueError(f"a face refers to vertex {index}, {count} are there so far")
    return index - 1 if index > 0 else count + index


def _obj_colors(points: list[list[float]]) -> np.ndarray | None:
    """Colours (V, 3) uint8 that sculpting programs write behind the positions, as parts of 1 or of 255."""
    if not points or any(len(point) not in (6, 7) for point in points):
        return None
    values = np.array([point[-3:] for point in points])
    if not np.isfinite(values).all():
        return None
    return np.rint(values * (255 if values.max() <= 1 else 1)).clip(0, 255).astype(np.uint8)


def _text(raw: bytes) -> str:
    """Text of any line ends, with or without a byte-order mark."""
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return raw.decode(encoding, errors="replace").replace("\r\n", "\n").replace("\r", "\n")


def _read_gltf(path: Path) -> Mesh:
    shown = list(pieces(open_gltf(path)))
    if not shown:
        return Mesh(path.stem, np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    starts = np.cumsum([0, *(len(piece.vertices) for piece in shown)])
    faces = np.concatenate([piece.faces + start for piece, start in zip(shown, starts, strict=False)])
    return Mesh(path.stem, np.concatenate([piece.vertices for piece in shown]), faces)


def _read_trimesh(path: Path) -> Mesh:
    raw, suffix = read_regular(path), path.suffix.lower()
    declared = _declared(raw, suffix)
    if declared > max(len(raw), 1):
        raise InputError(f"{path}: announces {declared} parts in {len(raw)} bytes; it is cut off, export it again")
    try:
        import trimesh
    except ImportError as error:
        raise InputError(
            f'{path}: needs trimesh to be read; pip install "diffspeaker3d[mesh]", or give an .obj'
        ) from error
    try:
        loaded: Any = trimesh.load(
            io.BytesIO(raw), file_type=suffix[1:], process=False, maintain_order=True, force="mesh"
        )
        vertices, faces = np.asarray(loaded.vertices, np.float64), np.asarray(loaded.faces, np.int64)
        colors = loaded.visual.vertex_colors if loaded.visual.kind == "vertex" else None
        colors = None if colors is None else np.asarray(colors, np.uint8)[:, :3]
    except Exception as error:  # a foreign parser raises whatever it stumbles over
        reason = " ".join(f"{type(error).__name__} {error}".split())[:120]
        raise InputError(f"{path}: not a readable {suffix} mesh ({reason}); export it again") from error
    if vertices.ndim != 2 or vertices.shape[1:] != (3,) or faces.ndim != 2 or faces.shape[1:] != (3,):
        return Mesh(path.stem, np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    if suffix == ".stl":
        vertices, faces = _joined(vertices, faces)
    elif colors is not None and len(colors) != len(vertices):
        colors = None
    return Mesh(path.stem, vertices, faces, None if suffix == ".stl" else colors)


def _declared(raw: bytes, suffix: str) -> int:
    """How many parts, each of a byte or more, the file's head announces: a bound before anything is set aside."""
    if suffix == ".ply":
        head = raw[: raw.find(b"end_header") + 1 or 65536]
        return sum(int(count) for count in re.findall(rb"^\s*element\s+\S+\s+(\d{1,18})", head, re.M))
    if raw[:5].lower() == b"solid" or len(raw) < 84:
        return 0
    return 50 * int(struct.unpack_from("<I", raw, 80)[0])


def _joined(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equal corners as one vertex, in order of appearance."""
    if len(vertices) == 0:
        return vertices, faces
    _, first, joined = np.unique(vertices, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return vertices[np.sort(first)], place[joined.reshape(-1)][faces]
