"""Expressions of the jaw, what it carries, the closure that undoes its opening, and the tongue."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.mannequin.form import MOUTH_Y
from diffspeaker3d.mannequin.head import Head
from diffspeaker3d.mannequin.rings import MOUTH_RINGS, PHI, SEALED
from diffspeaker3d.mannequin.sculpt import RingMove, Sculptor, smoothstep
from diffspeaker3d.mannequin.shapes_mouth import LIPS, SHIFT

HINGE = np.array([0.0, -2.6, -0.4])  # axis of the jaw, cm
JAW_ANGLE = np.deg2rad(19.0)
_CHIN = np.array([0.0, -9.2, 6.9])
_CORNER_SHARE = 0.44  # of the jaw's drop that the corners follow: the open mouth is an ellipse about them
_UPPER_SHARE = 0.22  # of the way back together that the upper lip takes when the lips close over an open jaw
_BONE = ("bag_teeth", "bag_middle", "bag_back")  # the lower part of these rings belongs to the jaw bone
_FADE = {"mouth_near": 0.6, **dict.fromkeys(("lip_border", "lip_body", "lip_inner", "lip_contact", "bag_front"), 1.0)}
_CLOSE = {
    "bag_teeth": 0.5, "bag_front": 1.0, "lip_contact": 1.0, "lip_inner": 1.0, "lip_body": 0.96, "lip_border": 0.78,
    "mouth_near": 0.42,
}  # fmt: skip


def rotate_jaw(points: np.ndarray) -> np.ndarray:
    """Displacement (N, 3) of points (N, 3) that are bone of the fully open jaw."""
    y, z = points[:, 1] - HINGE[1], points[:, 2] - HINGE[2]
    cosine, sine = np.cos(JAW_ANGLE), np.sin(JAW_ANGLE)
    return np.stack([np.zeros_like(y), y * cosine - z * sine - y, y * sine + z * cosine - z], 1)


def jaw_shapes(s: Sculptor) -> dict[str, np.ndarray]:
    """Skin displacements (S, 3) in cm of the jaw's shapes and of `mouthClose`, by ARKit name."""
    p = s.points
    above = (p[:, 1] > -3.4) | ((p[:, 1] > -6.0) & (p[:, 2] < 3.2)) | (p[:, 2] < 0.2) | (p[:, 1] < -12.8)
    still = above & ~s.in_rings()
    chin = np.flatnonzero((np.linalg.norm(p - _CHIN, axis=1) < 1.75) & (p[:, 0] >= 0))
    bone = {int(i): move for i, move in zip(chin, rotate_jaw(p[chin]), strict=True)}
    opened = s.lips(_opening(s), dict.fromkeys(MOUTH_RINGS[1:], 1.0), still, bone)

    def forward(name: str, rel: np.ndarray) -> np.ndarray:
        return np.tile([0.0, 0.0, 0.42], (31, 1)) * np.where((s.up < 0) | (name in SEALED), 1.0, 0.55)[:, None]

    def aside(name: str, rel: np.ndarray) -> np.ndarray:
        return np.stack([0 * s.up, 0.55 + 0.15 * np.maximum(-s.up, 0) * (name not in SEALED), 0 * s.up], 1)

    shift = s.lips(aside, SHIFT, still, s.patch((0, -9.2, 7.2), 1.9, (0, 1.0, 0)))[:, 1:2] * [0.75, 0, 0]
    return {
        "jawOpen": opened,
        "mouthClose": _closure(s, opened),
        "jawForward": s.lips(forward, LIPS, still, dict.fromkeys(bone, np.array([0.0, 0.0, 0.75]))),
        "jawLeft": shift,
        "jawRight": s.mirrored(shift),
    }


def _opening(s: Sculptor) -> RingMove:
    """The ring move of the opening jaw."""
    arc = np.abs(s.up)

    def move(name: str, rel: np.ndarray) -> np.ndarray:
        reach = arc**0.35 if name in _BONE else arc
        share = np.where(s.up < 0, _CORNER_SHARE + (1 - _CORNER_SHARE) * reach, _CORNER_SHARE * (1 - reach))
        result = rotate_jaw(np.add(rel, [0, MOUTH_Y, 0])) * share[:, None]
        fade = _FADE.get(name, 0.0)
        result[:, 0] -= 0.19 * fade * rel[:, 0]
        result[:, 1] += 0.12 * fade * np.maximum(s.up, 0) ** 0.7
        result[:, 2] -= 0.28 * fade * s.side**2
        return result

    return move


def _closure(s: Sculptor, opened: np.ndarray) -> np.ndarray:
    """Field (S, 3) that brings the lips of the open jaw together: `opened` plus this moves both lips alike."""

    def back(name: str, rel: np.ndarray) -> np.ndarray:
        apart = opened[s.rings[name if name in SEALED else "lip_contact"]]
        upper = np.where(PHI[:, None] > 0, apart, apart[::-1])
        lower = np.where(PHI[:, None] > 0, apart[::-1], apart)
        meeting = (1 - _UPPER_SHARE) * upper + _UPPER_SHARE * lower + [0, 0, 0.40]  # and both pout a little
        return meeting - apart

    still = s.beyond(5.0) | (np.linalg.norm(s.points - _CHIN, axis=1) < 1.2)
    return s.lips(back, _CLOSE, still)


def carry_jaw(head: Head, shapes: dict[str, np.ndarray]) -> None:
    """Make the lower teeth and the tongue follow the jaw in `shapes`, name -> displacements (V, 3), in place."""
    for name in ("teeth_lower", "tongue"):
        index = head.pieces[name]
        shapes["jawOpen"][index] = rotate_jaw(head.vertices[index])
        shapes["jawForward"][index] = [0, 0, 0.55]
        shapes["jawLeft"][index] = [0.55, 0, 0]
        shapes["jawRight"][index] = [-0.55, 0, 0]


def tongue_shapes(head: Head) -> dict[str, np.ndarray]:
    """Displacements (V, 3) in cm of `tongueOut` (past the lips, wants an open jaw) and `tongueUp` (tip to the gum)."""
    index = head.pieces["tongue"]
    x, _, z = head.vertices[index].T
    reach = (z - z.min()) / np.ptp(z)
    out, up = np.zeros_like(head.vertices), np.zeros_like(head.vertices)
    out[index] = np.stack([0 * z, 0.25 * smoothstep(reach) - 0.35 * reach**6, 2.9 * reach**1.4], 1)
    up[index] = np.stack([-0.10 * x * reach, 0.95 * smoothstep((reach - 0.35) / 0.65), 0.10 * reach], 1)
    return {"tongueOut": out, "tongueUp": up}
