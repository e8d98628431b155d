"""Meshes in, vertex order kept: nothing is merged, split, cleaned or reordered."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from diffspeaker3d.errors import InputError

MESH_SUFFIXES = (".obj", ".ply", ".glb", ".gltf")


def read_mesh(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float32 and triangles (F, 3) int32 of an obj, ply, glb or gltf, in the file's own order.

    Polygons become fans of triangles.

    Raises:
        InputError: no such file, unknown suffix, unreadable, or no triangles.
    """
    path = Path(path)
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise InputError(f"{path}: unknown mesh format; known: {', '.join(MESH_SUFFIXES)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path")
    vertices, faces = read_obj(path) if path.suffix.lower() == ".obj" else _read_trimesh(path)
    if len(faces) == 0 or faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"{path}: no triangles, or triangles without vertices; export the mesh again")
    return vertices, faces


def read_obj(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float32 and triangles (F, 3) int32 of a Wavefront obj: its `v` and `f` lines, all else ignored.

    Our own reader, since others split vertices along texture seams. An obj without faces gives zero triangles.
    """
    corners: list[list[str]] = []
    triangles: list[tuple[int, int, int]] = []
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("v "):
                    corners.append(line.split()[1:4])
                elif line.startswith("f "):
                    numbers = [int(corner.split("/")[0]) for corner in line.split()[1:]]
                    ring = [n - 1 if n > 0 else len(corners) + n for n in numbers]  # 1-based, or counted from the end
                    triangles += [(ring[0], ring[k], ring[k + 1]) for k in range(1, len(ring) - 1)]
        vertices = np.array(corners, np.float32).reshape(-1, 3)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable obj ({error}); export the mesh again") from error
    return vertices, np.array(triangles, np.int32).reshape(-1, 3)


def _read_trimesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        import trimesh
    except ImportError as error:
        raise InputError(
            f"{path}: reading {path.suffix} needs an extra; pip install diffspeaker3d[mesh], or give an obj"
        ) from error
    try:
        mesh = trimesh.load_mesh(str(path), process=False, maintain_order=True)
        vertices, faces = np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError, NotImplementedError) as error:
        raise InputError(f"{path}: not a readable mesh ({type(error).__name__} {error}); export it again") from error
    return vertices, faces
