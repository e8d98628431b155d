"""What several writers need to know of a mesh: its scale in metres, its colours and its normals."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from diffspeaker3d.topology import METRES_PER_UNIT, Topology

HEAD_HEIGHT = 0.25  # metres, chin to crown; gives tolerances to heads whose unit is not a length


def metres_per_unit(topology: Topology) -> float:
    """Factor from the topology's unit to metres; a unit that is not a length ("unit area") is kept as it is: 1."""
    return METRES_PER_UNIT.get(topology.unit, 1.0)


def in_units(metres: float, topology: Topology, template: np.ndarray) -> float:
    """A length such as a tolerance, metres -> the topology's unit; judged by the head's height where it has no metres."""
    if topology.unit in METRES_PER_UNIT:
        return metres / METRES_PER_UNIT[topology.unit]
    return metres / HEAD_HEIGHT * float(np.ptp(template[:, 1]))


def linear_colors(colors: np.ndarray) -> np.ndarray:
    """sRGB bytes (V, 3) -> linear light (V, 3) float32 in [0, 1] (IEC 61966-2-1)."""
    srgb = colors[:, :3].astype(np.float64) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


class VertexNormals:
    """Area-weighted vertex normals of a fixed triangulation.

    Args:
        faces (array (F, 3) int): counter-clockwise triangles.
        num_vertices: V.
    """

    def __init__(self, faces: np.ndarray, num_vertices: int) -> None:
        self.faces = np.asarray(faces)
        corners, triangles = self.faces.reshape(-1), np.repeat(np.arange(len(faces)), 3)
        entries = (np.ones(len(corners), np.float32), (corners, triangles))
        self.incidence = sparse.csr_array(entries, shape=(num_vertices, len(faces)))

    def __call__(self, vertices: np.ndarray) -> np.ndarray:
        """Vertices (T, V, 3) -> unit normals (T, V, 3) float32; vertices without area get +Z."""
        frames = len(vertices)
        a, b, c = (np.asarray(vertices, np.float32)[:, self.faces[:, k]] for k in range(3))
        crosses = np.cross(b - a, c - a).transpose(1, 0, 2).reshape(len(self.faces), -1)
        summed = (self.incidence @ crosses).reshape(-1, frames, 3).transpose(1, 0, 2)
        lengths = np.linalg.norm(summed, axis=-1, keepdims=True)
        flat = lengths[..., 0] < 1e-30
        summed = summed / np.maximum(lengths, 1e-30)
        summed[flat] = (0.0, 0.0, 1.0)
        return summed.astype(np.float32)
