"""A small egg of a head with 53 named shapes and smooth random weights: real objects, tiny."""

from __future__ import annotations

import numpy as np
import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.topology import Blendshapes, Topology

RINGS, SEGMENTS = 17, 24


def egg() -> tuple[np.ndarray, np.ndarray]:
    """A closed egg, 25 cm high: vertices (V, 3) in metres and outward faces (F, 3)."""
    polar = np.linspace(0, np.pi, RINGS + 2)[1:-1, None]
    around = np.linspace(0, 2 * np.pi, SEGMENTS, endpoint=False)[None]
    ring = np.stack([np.sin(polar) * np.sin(around), np.cos(polar) + 0 * around, np.sin(polar) * np.cos(around)], -1)
    vertices = np.concatenate([ring.reshape(-1, 3), [[0, 1, 0], [0, -1, 0]]]) * (0.08, 0.125, 0.1)
    row, column = np.meshgrid(np.arange(RINGS - 1), np.arange(SEGMENTS), indexing="ij")
    a, b = row * SEGMENTS + column, row * SEGMENTS + (column + 1) % SEGMENTS
    quads = np.stack([a, a + SEGMENTS, b + SEGMENTS, a, b + SEGMENTS, b], -1).reshape(-1, 3)
    i = np.arange(SEGMENTS)
    top, last = len(vertices) - 2, (RINGS - 1) * SEGMENTS
    caps = [
        np.stack([np.full_like(i, top), i, (i + 1) % SEGMENTS], 1),
        np.stack([np.full_like(i, top + 1), last + (i + 1) % SEGMENTS, last + i], 1),
    ]
    return vertices.astype(np.float32), np.concatenate([quads, *caps]).astype(np.int32)


def egg_topology() -> Topology:
    """The egg with 53 local shapes of up to a centimetre and colours."""
    vertices, faces = egg()
    generator = np.random.default_rng(7)
    front = np.flatnonzero(vertices[:, 2] > 0.02)
    centres = vertices[generator.choice(front, len(CONTROL_NAMES), replace=False)]
    falloff = np.exp(-((vertices[None] - centres[:, None]) ** 2).sum(-1) / 0.02**2)
    falloff[falloff < 0.01] = 0
    directions = generator.normal(size=(len(CONTROL_NAMES), 1, 3))
    directions *= 0.01 / np.linalg.norm(directions, axis=-1, keepdims=True)
    colors = generator.integers(0, 255, (len(vertices), 3)).astype(np.uint8)
    shapes = Blendshapes(CONTROL_NAMES, (falloff[..., None] * directions).astype(np.float32))
    return Topology("egg", faces, len(vertices), templates={"egg": vertices}, blendshapes=shapes, colors=colors)


def smooth_weights(num_frames: int, count: int, seed: int = 3) -> np.ndarray:
    """Weights (T, K) in [0, 1] that move like speech, several of them touching zero."""
    generator = np.random.default_rng(seed)
    t = np.arange(num_frames)[:, None] / 30
    waves = np.sin(2 * np.pi * (generator.uniform(0.5, 4, count) * t + generator.uniform(0, 1, count)))
    return np.clip(0.35 + 0.45 * waves, 0, 1).astype(np.float32)


@pytest.fixture(scope="session")
def shaped() -> Animation:
    """45 frames at 30 fps from weights, with sound: what the mannequin gives."""
    topology = egg_topology()
    weights = smooth_weights(45, len(CONTROL_NAMES))
    weights[:, 5:9] = 0  # shapes that this clip does not use
    sound = (0.3 * np.sin(np.arange(24000) / 16000 * 2 * np.pi * 220)).astype(np.float32)
    return Animation.from_weights(
        weights,
        30.0,
        topology,
        topology.template(),
        waveform=sound,
        sample_rate=16000,
        provenance={"seed": 3, "style": "neutral"},
    )


@pytest.fixture(scope="session")
def free() -> Animation:
    """40 frames at 25 fps of vertices without any shapes, in millimetres: what a corpus such as BIWI gives."""
    topology = egg_topology()
    assert topology.blendshapes is not None
    bare = Topology("bare egg", topology.faces, topology.num_vertices, unit="mm")
    signed = 2 * smooth_weights(40, 12, seed=5) - 1
    moved = topology.template() + np.tensordot(signed, topology.blendshapes.deltas[:12], 1)
    return Animation((1000 * moved).astype(np.float32), 25.0, bare, 1000 * topology.template())
