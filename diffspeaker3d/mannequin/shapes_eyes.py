"""Expressions of the eyes, lids, brows, upper cheeks and nose."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.mannequin.form import EYE, EYE_RADIUS
from diffspeaker3d.mannequin.rings import EYE_RINGS, THETA
from diffspeaker3d.mannequin.sculpt import Sculptor

GAZE_ANGLE = np.deg2rad(27.0)
# How far each ring of the lid follows its edge when the eye closes.
_FOLLOW = {
    "socket_outer": 0.0, "socket_near": 0.06, "lid_fold": 0.22, "lid_crease": 0.50, "lid_skin": 0.84, "lid_edge": 1.0,
    "lid_inner": 1.0, "lid_back": 1.0,
}  # fmt: skip
_CLEARANCE = 0.035  # cm between the lids and the eyeball anywhere on their way
_UPPER = np.maximum(np.sin(THETA), 0.0) ** 0.7
_LOWER = np.maximum(-np.sin(THETA), 0.0) ** 0.7


def eye_shapes(sculptor: Sculptor) -> dict[str, np.ndarray]:
    """Displacements (V, 3) in cm of every shape of the upper face, by ARKit name."""
    head = sculptor.head
    left = {
        "eyeBlink": _lids(sculptor, _closing(sculptor)),
        "eyeWide": _lids(sculptor, _lifting(sculptor, 0.26, -0.07)),
        "eyeSquint": _lids(sculptor, _lifting(sculptor, -0.14, 0.24)) + sculptor.bump((3.3, -1.6, 7.6), 1.1, (0, 0.22, 0.08)),
        "eyeLookUp": _lids(sculptor, _lifting(sculptor, 0.20, 0.05)),
        "eyeLookDown": _lids(sculptor, _lifting(sculptor, -0.42, -0.12)),
        "eyeLookIn": np.zeros_like(sculptor.points),
        "eyeLookOut": np.zeros_like(sculptor.points),
        "browDown": sculptor.bump((2.0, 2.0, 7.9), 1.7, (-0.20, -0.50, 0.10)) + sculptor.bump((4.2, 2.0, 6.4), 1.3, (0, -0.22, 0)),
        "browOuterUp": sculptor.bump((4.0, 2.4, 6.8), 1.7, (0, 0.70, -0.05)),
        "cheekSquint": sculptor.bump((3.9, -2.6, 6.9), 1.6, (0, 0.42, 0.16)) + _lids(sculptor, _lifting(sculptor, 0.0, 0.12)),
        "noseSneer": _sneer(sculptor),
    }
    shapes: dict[str, np.ndarray] = {}
    for name, field in left.items():
        shapes[f"{name}Left"] = head.ride(field)
    index = head.pieces["eye_left"]
    ball = head.vertices[index] - EYE
    turns = {"eyeLookDown": (1, 2, -1), "eyeLookUp": (1, 2, 1), "eyeLookIn": (0, 2, -1), "eyeLookOut": (0, 2, 1)}
    for name, (axis, _, sign) in turns.items():
        shapes[f"{name}Left"][index] = _turn(ball, axis, sign * GAZE_ANGLE)
    for name in left:
        shapes[f"{name}Right"] = head.mirrored(shapes[f"{name}Left"])
    inner = sculptor.bump((1.5, 2.3, 8.0), 1.6, (0.0, 0.70, 0.05))
    shapes["browInnerUp"] = head.ride(inner + inner[head.skin.mirror] * [-1, 1, 1])
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
    held = {}
    for name, target in targets.items():
        index = s.rings[name]
        start = s.points[index]
        held.update(zip(index.tolist(), _clear_way(start, target) - start, strict=True))
    distance = np.linalg.norm((s.points - EYE) * [1, 1, 0.8], axis=1)
    still = distance > 3.2
    field = s.fill(held, (still & still[s.head.skin.mirror]) | (s.points[:, 0] == 0))
    return field * (s.points[:, :1] > 0)


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
    """Ring positions of the closed eye: the upper lid comes down over the front of the eyeball, the lower rises a little."""
    line = s.points[s.rings["lid_edge"]]
    low = np.sin(THETA) <= 0
    order = np.argsort(line[low, 0])
    targets = {}
    for name in EYE_RINGS[1:]:
        start, follow = s.points[s.rings[name]], _FOLLOW[name]
        lower_y = np.interp(start[:, 0], line[low, 0][order], line[low, 1][order]) + 0.10
        goal = start.copy()
        if name in ("lid_edge", "lid_inner", "lid_back"):
            goal[:, 1] = lower_y - (0.03 if name == "lid_edge" else 0.0)
        else:
            goal[:, 1] += (np.interp(start[:, 0], line[:, 0][np.argsort(line[:, 0])], 0 * line[:, 0]) + lower_y - start[:, 1]) * follow * (np.sin(THETA) > 0)
            goal[:, 1] += 0.10 * follow * _LOWER
        offset = goal - EYE
        radius = np.linalg.norm(start - EYE, axis=1)
        flat = offset[:, 0] ** 2 + offset[:, 1] ** 2
        on_ball = np.sqrt(np.maximum(np.maximum(radius, EYE_RADIUS + 0.05) ** 2 - flat, 0.02))
        goal[:, 2] += (EYE[2] + on_ball - goal[:, 2]) * (follow if follow > 0.3 else 0)
        targets[name] = goal
    return targets


def _lifting(s: Sculptor, upper: float, lower: float) -> dict[str, np.ndarray]:
    """Ring positions with the upper and the lower lid raised by so many cm, sliding over the eyeball."""
    targets = {}
    for name in EYE_RINGS[1:]:
        start, follow = s.points[s.rings[name]], _FOLLOW[name]
        goal = start.copy()
        goal[:, 1] += follow * (upper * _UPPER + lower * _LOWER)
        if follow > 0.8:
            radius = np.linalg.norm(start - EYE, axis=1)
            offset = goal - EYE
            goal[:, 2] = EYE[2] + np.sqrt(np.maximum(radius**2 - offset[:, 0] ** 2 - offset[:, 1] ** 2, 0.02))
        targets[name] = goal
    return targets


def _sneer(s: Sculptor) -> np.ndarray:
    wing = s.bump((1.3, -3.7, 8.8), 1.0, (0.06, 0.36, 0.02)) + s.bump((2.3, -4.9, 8.0), 0.9, (0.0, 0.22, 0.05))
    return wing * np.clip((s.points[:, 1:2] + 6.0) / 0.6, 0, 1)
