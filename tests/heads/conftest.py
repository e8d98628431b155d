"""The mannequin, and a head made from it that nothing in the code knows."""

from __future__ import annotations

import numpy as np
import pytest

from diffspeaker3d.geometry.mesh_file import Mesh
from diffspeaker3d.topology import Topology


@pytest.fixture(scope="session")
def stranger(mannequin: Topology) -> tuple[Mesh, np.ndarray]:
    """Another identity in millimetres with Z up, vertices shuffled; and the mannequin's index of each of its vertices."""
    order = np.random.default_rng(5).permutation(mannequin.num_vertices)
    place = np.argsort(order)
    x, y, z = 1000 * mannequin.template("olga")[order].astype(float).T
    return Mesh("olga", np.stack([x, -z, y], 1), place[mannequin.faces]), order
