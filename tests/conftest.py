"""Tiny real objects that many tests need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.arkit import CONTROL_NAMES, close_lips
from diffspeaker3d.errors import InputError
from diffspeaker3d.topology import Blendshapes, Topology, load_topology

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """The team's reference data beside the checkout; tests that need it skip elsewhere."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared beside this checkout")
    return SHARED


@pytest.fixture
def tiny_topology() -> Topology:
    """A 12-vertex icosahedron with all named shapes, drawn from a fixed seed."""
    golden = (1 + 5**0.5) / 2
    corners = [(0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
    vertices = np.array([np.roll(c, k) for k in range(3) for c in corners], np.float32) * 0.05
    from scipy.spatial import ConvexHull

    faces = ConvexHull(vertices).simplices.astype(np.int32)
    normals = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    inward = (normals * vertices[faces].mean(1)).sum(1) < 0
    faces[inward] = faces[inward][:, ::-1]
    deltas = np.random.default_rng(0).normal(size=(len(CONTROL_NAMES), 12, 3)).astype(np.float32) * 0.005
    return Topology(
        name="tiny",
        faces=faces,
        num_vertices=12,
        regions={"lips": np.arange(4, dtype=np.int32)},
        templates={"neutral": vertices},
        blendshapes=Blendshapes(CONTROL_NAMES, deltas),
    )


@pytest.fixture
def tiny_animation(tiny_topology: Topology) -> Animation:
    """Half a second of random smooth weights with sound."""
    rng = np.random.default_rng(1)
    phase = rng.uniform(0, 6, (1, len(CONTROL_NAMES)))
    controls = 0.5 + 0.5 * np.sin(np.linspace(0, 6, 15)[:, None] + phase).astype(np.float32)
    waveform = rng.uniform(-0.5, 0.5, 8000).astype(np.float32)
    return Animation.from_weights(
        close_lips(controls),
        30.0,
        tiny_topology,
        tiny_topology.template(),
        waveform=waveform,
        sample_rate=16_000,
        provenance={"seed": 0},
    )


@pytest.fixture(scope="session")
def mannequin() -> Topology:
    try:
        return load_topology("mannequin")
    except InputError:
        pytest.skip("the mannequin is not built")
