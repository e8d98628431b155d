"""Expressions of the eyes, lids, brows, upper cheeks and nose."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.mannequin.form import EYE, EYE_RADIUS, unit
from diffspeaker3d.mannequin.rings import THETA
from diffspeaker3d.mannequin.sculpt import Sculptor

GAZE_ANGLE = np.deg2rad(25.0)
# How far each ring of the lid follows its edge when the eye closes.
_FOLLOW = {
    "socket_near": 0.06,
    "lid_fold": 0.22,
    "lid_crease": 0.50,
    "lid_skin": 0.84,
    "lid_inner": 1.0,
}
_SOFT_RINGS = tuple(_FOLLOW)
_CLEARANCE = 0.055  # cm between the lids and the eyeball anywhere on their way
_UPPER = np.maximum(np.sin(THETA), 0.0) ** 1.2
_LOWER = np.maximum(-np.sin(THETA), 0.0) ** 1.2


def eye_shapes(sculptor: Sculptor) -> dict[str, np.ndarray]:
    """Displacements (V, 3) in cm of every shape of the upper face, by ARKit name."""
    head = sculptor.head
    left = {
        "eyeBlink": _lids(sculptor, _closing(sculptor)),
        "eyeWide": _lids(sculptor, _lifting(sculptor, 0.26, -0.07)),
        "eyeSquint": _lids(sculptor, _lifting(sculptor, -0.14, 0.24))
        + sculptor.bump((3.3, -1.6, 7.6), 1.1, (0, 0.22, 0.08)),
        "eyeLookUp": _lids(sculptor, _lifting(sculptor, 0.20, 0.05)),
        "eyeLookDown": _lids(sculptor, _lifting(sculptor, -0.50, -0.12)),
        "eyeLookIn": np.zeros_like(sculptor.points),
        "eyeLookOut": np.zeros_like(sculptor.points),
        "browDown": sculptor.bump((2.0, 2.0, 7.9), 1.7, (-0.20, -0.50, 0.10))
        + sculptor.bump((4.2, 2.0, 6.4), 1.3, (0, -0.22, 0)),
        "browOuterUp": sculptor.bump((4.0, 2.4, 6.8), 1.7, (0, 0.70, -0.05)),
        "cheekSquint": sculptor.bump((3.9, -2.6, 6.9), 1.6, (0, 0.60, 0.26))
        + _lids(sculptor, _lifting(sculptor, 0.0, 0.12)),
        "noseSneer": _sneer(sculptor),
    }
    shapes: dict[str, np.ndarray] = {}
    for name, field in left.items():
        shapes[f"{name}Left"] = head.ride(field)
    index = head.pieces["eye_left"]
    ball = head.vertices[index] - EYE
    for name, axis, sign in (("eyeLookDown", 1, -1), ("eyeLookUp", 1, 1), ("eyeLookIn", 0, -1), ("eyeLookOut", 0, 1)):
        shapes[f"{name}Left"][index] = _turn(ball, axis, sign * GAZE_ANGLE)
    for name in left:
        shapes[f"{name}Right"] = head.mirrored(shapes[f"{name}Left"])
    inner = sculptor.bump((1.5, 2.3, 8.0), 1.6, (0.0, 0.70, 0.05))
    shapes["browInnerUp"] = head.ride(inner + sculptor.mirrored(inner))
    return shapes


def _turn(ball: np.ndarray, axis: int, angle: float) -> np.ndarray:
    """Displacement (N, 3) of an eyeball turned so that its front moves along `axis` (0: x, 1: y)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    moved = ball.copy()
    moved[:, axis] = ball[:, axis] * cosine + ball[:, 2] * sine
    moved[:, 2] = ball[:, 2] * cosine - ball[:, axis] * sine
    return moved - ball


def _lids(s: Sculptor, targets: dict[str, np.ndarray]) -> np.ndarray:
    """Field (S, 3), left side only, that takes the eye rings to `targets`, never through the eyeball."""
    moves = {}
    for name, target in targets.items():
        start = s.points[s.rings[name]]
        moves[name] = _clear_way(start, target) - start
    inner = s.points[s.rings["lid_inner"]]
    for name in ("lid_edge", "lid_back"):  # the rim of the lid is stiff: it turns with its inner edge
        rim = s.points[s.rings[name]] - inner
        moves[name] = moves["lid_inner"] + _turned(rim, inner - EYE, inner + moves["lid_inner"] - EYE) - rim
    held = {int(i): move for name, ring in moves.items() for i, move in zip(s.rings[name], ring, strict=True)}
    distance = np.linalg.norm((s.points - EYE) * [1, 1, 0.8], axis=1)
    still = distance > 3.2
    field = s.fill(held, (still & still[s.head.skin.mirror]) | (s.points[:, 0] == 0))
    return field * (s.points[:, :1] > 0)


def _turned(vectors: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Vectors (N, 3) turned by the smallest rotations that take directions `start` to `stop`. See Rodrigues' formula."""
    a, b = unit(start), unit(stop)
    axis, cosine = np.cross(a, b), (a * b).sum(1, keepdims=True)
    along = (axis * vectors).sum(1, keepdims=True) / (1 + cosine)
    return vectors * cosine + np.cross(axis, vectors) + axis * along


def _clear_way(start: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Targets (N, 3) pushed away from the eyeball until the straight way from `start` clears it too."""
    a, b = start - EYE, target - EYE
    moving = np.linalg.norm(b - a, axis=1) > 1e-6
    steps = np.linspace(0, 1, 21)[:, None, None]
    needed = np.minimum(np.linalg.norm(a, axis=1), EYE_RADIUS + _CLEARANCE)
    for _ in range(60):
        way = np.linalg.norm(a + steps * (b - a), axis=2).min(0)
        short = moving & (way < needed - 1e-4)
        if not short.any():
            break
        b[short] *= 1.01
    return EYE + b


def _closing(s: Sculptor) -> dict[str, np.ndarray]:
    """Ring positions of the closed eye: the upper lid comes down over the eyeball, the lower rises a little."""
    margin = s.points[s.rings["lid_inner"]]
    low = np.sin(THETA) <= 0
    order = np.argsort(margin[low, 0])
    targets = {}
    for name in _SOFT_RINGS:
        start, follow = s.points[s.rings[name]], _FOLLOW[name]
        raised = 0.10 * np.abs(np.sin(THETA))
        meeting = np.interp(start[:, 0], margin[low, 0][order], margin[low, 1][order]) + raised
        drop = np.where(np.sin(THETA) > 0, meeting - start[:, 1], raised)
        targets[name] = _slid(start, follow * drop, follow)
    return targets


def _lifting(s: Sculptor, upper: float, lower: float) -> dict[str, np.ndarray]:
    """Ring positions with the upper and the lower lid raised by so many cm."""
    rise = upper * _UPPER + lower * _LOWER
    return {name: _slid(s.points[s.rings[name]], _FOLLOW[name] * rise, _FOLLOW[name]) for name in _SOFT_RINGS}


def _slid(start: np.ndarray, rise: np.ndarray, follow: float) -> np.ndarray:
    """Points (N, 3) moved up by `rise` (N,), keeping their distance from the eyeball as far as they `follow` the lid."""
    goal = start + np.stack([0 * rise, rise, 0 * rise], 1)
    offset = goal - EYE
    radius = np.linalg.norm(start - EYE, axis=1)
    on_ball = np.sqrt(np.maximum(radius**2 - offset[:, 0] ** 2 - offset[:, 1] ** 2, 0.02))
    if follow > 0.3:
        goal[:, 2] += (on_ball - offset[:, 2]) * follow
    return goal


def _sneer(s: Sculptor) -> np.ndarray:
    wing = s.bump((1.3, -3.7, 8.8), 1.0, (0.08, 0.52, 0.04)) + s.bump((2.3, -4.9, 8.0), 0.9, (0.05, 0.34, 0.10))
    return wing * np.clip((s.points[:, 1:2] + 6.0) / 0.6, 0, 1)
