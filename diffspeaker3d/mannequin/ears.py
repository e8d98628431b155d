"""The left ear: a polar height field with the folds an ear has: helix, antihelix, bowl, tragus and lobe."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.mannequin.parts import Part, polar_grid

_PLACE = np.array([6.52, -1.2, -1.45])  # where the middle of the ear sits, cm
_FLARE, _LEAN = np.deg2rad(24.0), np.deg2rad(-12.0)  # the back edge stands off the skull; the top leans back


def _outline(turn: np.ndarray) -> np.ndarray:
    """Outline (N, 2) in the ear's plane, backwards and upwards: round above, narrowing to the lobe."""
    up = 2.95 * np.sin(turn) + 0.05
    narrow = np.interp(up, [-3.0, -2.2, -1.0, 0.8, 3.0], [0.80, 0.72, 0.84, 1.0, 1.06])
    back = 1.80 * np.cos(turn) * narrow + 0.10 * np.sin(turn) - 0.18 * (up < -0.6) * np.abs(np.sin(turn)) ** 3
    return np.stack([back, up], 1)


def _ridge(points: np.ndarray, curve: np.ndarray, width: float) -> np.ndarray:
    """Bump (N,) of height one along a polyline (M, 2)."""
    dense = np.stack(
        [np.interp(np.linspace(0, len(curve) - 1, 80), np.arange(len(curve)), curve[:, k]) for k in (0, 1)], 1
    )
    distance = np.linalg.norm(points[:, None] - dense[None], axis=2).min(1)
    return np.exp(-((distance / width) ** 2))


def ear() -> Part:
    """Left ear as a sheet closed to the back: outer face, rim, and a back that dives into the skull."""
    turn = np.arange(44) / 44 * 2 * np.pi
    rim = _outline(turn)
    radii = (0.0, 0.16, 0.32, 0.46, 0.58, 0.68, 0.77, 0.85, 0.92, 0.98)
    front = np.concatenate([rim * r for r in radii])
    antihelix = np.array([[-0.1, -1.35], [0.55, -0.9], [0.72, -0.1], [0.50, 0.8], [0.05, 1.45]])
    tragus = np.array([[-1.12, -0.75], [-1.05, -0.25]])
    helix_root = np.array([[-0.55, -0.15], [-1.1, 0.35], [-1.3, 1.1]])
    r = np.repeat(radii, len(turn))
    lobe = np.clip((-1.5 - front[:, 1]) / 0.7, 0, 1)
    height = 0.30 + 0.34 * _ridge(front, antihelix, 0.36) + 0.40 * _ridge(front, tragus, 0.30)
    height += 0.28 * _ridge(front, helix_root, 0.24)
    helix = np.exp(-(((r - 0.95) / 0.115) ** 2)) * np.tile(
        np.clip(0.75 + np.sin(turn) + 0.45 * np.cos(turn), 0, 1), len(radii)
    )
    height += 0.44 * helix * (1 - lobe) + 0.22 * lobe
    bowl = np.exp(-(((front[:, 0] + 0.35) / 0.62) ** 2) - ((front[:, 1] + 0.45) / 0.80) ** 2)
    height -= 0.46 * bowl
    height -= 0.5 * np.clip((r - 0.75) / 0.2, 0, 1) * np.tile(np.clip(-np.cos(turn) - 0.55, 0, 1), len(radii))
    layers = [np.concatenate([front, height[:, None]], 1).reshape(len(radii), len(turn), 3)]
    edge = layers[0][-1]
    for scale, drop in ((1.02, 0.10), (1.0, 0.24), (0.94, 0.36), (0.80, 0.50), (0.62, 1.5)):
        layers.append(np.concatenate([rim * scale, np.minimum(edge[:, 2:] - drop, 0.5 - drop)], 1)[None])
    back, up, out = np.concatenate(layers).transpose(2, 1, 0)
    x = out * np.cos(_FLARE) + (back + 1.5) * np.sin(_FLARE)
    z = -(back * np.cos(_FLARE)) + out * np.sin(_FLARE) * 0.6
    vertices = np.stack([x, up * np.cos(_LEAN) + z * np.sin(_LEAN), up * np.sin(_LEAN) + z * np.cos(_LEAN)], -1)
    vertices, faces = polar_grid(vertices + _PLACE)
    return Part(vertices, faces[:, ::-1].copy(), np.tile(np.array([[0, 0, 0]]), (len(vertices), 1)))
