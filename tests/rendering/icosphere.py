"""A ball for tests."""

import numpy as np
import pytest


def ball(subdivisions: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A unit icosphere: vertices (V, 3) float32, outward triangles (F, 3) int32."""
    trimesh = pytest.importorskip("trimesh")
    mesh = trimesh.creation.icosphere(subdivisions)
    return np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32)
