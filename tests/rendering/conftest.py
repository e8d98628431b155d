"""A small head that renders in milliseconds."""

from __future__ import annotations

import numpy as np
import pytest
from icosphere import ball

from diffspeaker3d.animation import Animation
from diffspeaker3d.topology import Topology


@pytest.fixture(scope="session")
def head() -> Topology:
    """An egg with a nose, 642 vertices, metres."""
    directions, faces = ball()
    nose = 0.02 * np.exp(-((directions - [0, -0.1, 1]) ** 2).sum(1) / 0.05)
    vertices = directions * np.array([0.075, 0.11, 0.09]) + directions * nose[:, None]
    return Topology(
        name="egg", faces=faces, num_vertices=len(vertices), templates={"neutral": vertices.astype(np.float32)}
    )


@pytest.fixture
def nodding(head: Topology) -> Animation:
    """Twelve frames that grow by a centimetre, with sound."""
    template = head.template()
    growth = np.linspace(0, 0.1, 12, dtype=np.float32)[:, None, None]
    waveform = np.sin(np.arange(8000) / 5).astype(np.float32) * 0.3
    return Animation(template * (1 + growth), 25.0, head, template, waveform=waveform, sample_rate=16_000)
