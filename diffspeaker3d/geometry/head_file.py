"""Heads from files: .obj .ply .stl .glb into vertices and triangles, vertex order kept."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from diffspeaker3d.errors import InputError

SUFFIXES = (".obj", ".ply", ".stl", ".glb", ".gltf")
MOST_VERTICES = 400_000


@dataclass(frozen=True, eq=False)
class Head:
    """A neutral head as it came.

    Attributes:
        name: file stem.
        vertices (array (V, 3) float64): the file's order, unit and axes.
        faces (array (F, 3) int): triangles.
        unit: "m" if its size is that of a head in metres, else "mm", "cm" or "units".
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    unit: str


def load_head(path: str | Path) -> Head:
    """Read a head without shapes. STL has no vertex order: equal corners are joined, in order of appearance.

    Raises:
        InputError: missing, unknown suffix, no faces, vertices that are not finite, or too many of them.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: not a mesh file known here; known: {' '.join(SUFFIXES)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path")
    try:
        vertices, faces = _read_obj(path) if suffix == ".obj" else _read_other(path)
    except (ValueError, KeyError, IndexError, TypeError, OSError) as error:
        raise InputError(f"{path}: not a readable {suffix} mesh ({error}); export it again") from error
    if len(faces) == 0 or len(vertices) == 0:
        raise InputError(f"{path}: holds no triangles; export the head as a mesh")
    if len(vertices) > MOST_VERTICES:
        raise InputError(f"{path}: {len(vertices)} vertices; reduce the mesh to at most {MOST_VERTICES}")
    if not np.isfinite(vertices).all():
        raise InputError(
            f"{path}: vertex {int(np.argmin(np.isfinite(vertices).all(1)))} is not a finite number; repair the mesh"
        )
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"{path}: a face refers to vertex {faces.max()} of {len(vertices)}; repair the mesh")
    return Head(path.stem, vertices, faces, _unit(vertices))


def _unit(vertices: np.ndarray) -> str:
    """The unit in which a head is 15 to 60 cm large."""
    size = float(np.ptp(vertices, axis=0).max())
    for unit, metres in (("m", 1.0), ("cm", 0.01), ("mm", 0.001)):
        if 0.15 <= size * metres <= 0.6:
            return unit
    return "units"


def _read_obj(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """`v` and `f` lines only, so that no texture seam splits or reorders a vertex; polygons become fans."""
    vertices: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        parts = line.split()
        if parts[:1] == ["v"]:
            vertices.append([float(x) for x in parts[1:4]])
        elif parts[:1] == ["f"]:
            corners = [int(p.split("/")[0]) for p in parts[1:]]
            corners = [c - 1 if c > 0 else len(vertices) + c for c in corners]
            faces += [(corners[0], b, c) for b, c in pairwise(corners[1:])]
    return np.array(vertices, np.float64).reshape(-1, 3), np.array(faces, np.int64).reshape(-1, 3)


def _read_other(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        import trimesh
    except ImportError as error:
        raise InputError(
            f"{path}: needs trimesh to be read; run pip install diffspeaker3d[mesh], or give an .obj"
        ) from error
    mesh: Any = trimesh.load(str(path), process=False, force="mesh")
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    if path.suffix.lower() == ".stl" and len(vertices):
        _, first, joined = np.unique(vertices, axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return vertices[np.sort(first)], place[joined.reshape(-1)][faces]
    return vertices, faces
