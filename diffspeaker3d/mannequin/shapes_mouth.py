"""Expressions of the jaw, lips, cheeks and tongue.

Two promises hold for every one: the upper and lower lip share one displacement along the contact line unless the shape
is a lip opener or opens the jaw, and `mouthClose` undoes exactly what `jawOpen` opens there. So sealed lips stay sealed.
"""

from __future__ import annotations

import numpy as np

from diffspeaker3d.mannequin.form import MOUTH_Y
from diffspeaker3d.mannequin.head import Head
from diffspeaker3d.mannequin.rings import HALF_WIDTH, MOUTH_RINGS
from diffspeaker3d.mannequin.sculpt import Sculptor, smoothstep

HINGE = np.array([0.0, -2.6, -0.4])  # axis of the jaw, cm
JAW_ANGLE = np.deg2rad(19.0)
_LIPS = {"bag_teeth": 0.6, "bag_front": 1.0, "lip_contact": 1.0, "lip_inner": 1.0, "lip_body": 0.95, "lip_border": 0.75, "mouth_near": 0.42}
_CORNERS = {**_LIPS, "bag_middle": 0.3, "bag_teeth": 0.8, "lip_body": 1.0, "lip_border": 0.95, "mouth_near": 0.75}

_SHIFT = {**_CORNERS, "lip_border": 0.96, "mouth_near": 0.75, "mouth_outer": 0.40}


def rotate_jaw(points: np.ndarray) -> np.ndarray:
    """Displacement (N, 3) of points that are bone of the fully open jaw."""
    y, z = points[:, 1] - HINGE[1], points[:, 2] - HINGE[2]
    cosine, sine = np.cos(JAW_ANGLE), np.sin(JAW_ANGLE)
    return np.stack([np.zeros_like(y), y * cosine - z * sine - y, y * sine + z * cosine - z], 1)


def mouth_shapes(sculptor: Sculptor) -> dict[str, np.ndarray]:
    """Displacements (V, 3) in cm of every shape of the lower face, by ARKit name."""
    head, skin = sculptor.head, {}
    skin |= _jaw(sculptor)
    skin |= _rounding(sculptor)
    skin |= _corners(sculptor)
    skin |= _single_lips(sculptor)
    shapes = {name: head.ride(field) for name, field in skin.items()}
    _move_jaw_parts(head, shapes)
    shapes |= _tongue(head)
    return shapes


def _jaw(s: Sculptor) -> dict[str, np.ndarray]:
    p = s.points
    above = (p[:, 1] > -3.4) | ((p[:, 1] > -6.0) & (p[:, 2] < 3.2)) | (p[:, 2] < 0.2) | (p[:, 1] < -12.8)
    still = above & ~s.in_rings()
    chin = (np.linalg.norm(p - [0, -9.2, 6.9], axis=1) < 1.75) & (p[:, 0] >= 0)
    bone = {int(i): m for i, m in zip(np.flatnonzero(chin), rotate_jaw(p[chin]), strict=True)}
    share = 0.44  # of the jaw's drop that the corners follow: an open mouth is an ellipse about them
    arc = np.abs(s.up)

    def open_move(name: str, rel: np.ndarray) -> np.ndarray:
        turned = rotate_jaw(rel + [0, MOUTH_Y, 0])
        lower = share + (1 - share) * arc
        upper = share * (1 - arc)
        if name.startswith("bag_t") or name.startswith("bag_m") or name.startswith("bag_b"):
            lower, upper = share + (1 - share) * arc**0.35, share * (1 - arc**0.35)
        move = turned * np.where(s.up < 0, lower, upper)[:, None]
        if name.startswith(("lip", "mouth_n", "bag_f")):
            fade = {"mouth_near": 0.6}.get(name, 1.0)
            move[:, 0] -= 0.19 * fade * rel[:, 0]
            move[:, 1] += 0.12 * fade * np.maximum(s.up, 0) ** 0.7
            move[:, 2] -= 0.28 * fade * s.side**2
        return move

    every = dict.fromkeys(MOUTH_RINGS[1:], 1.0)
    opened = s.lips(open_move, every, still, bone)

    def close_move(name: str, rel: np.ndarray) -> np.ndarray:
        contact = opened[s.rings["lip_contact"]]
        upper = np.where(s.up[:, None] > 0, contact, contact[::-1])
        lower = np.where(s.up[:, None] > 0, contact[::-1], contact)
        target = 0.78 * upper + 0.22 * lower + [0, 0, 0.40]  # the lower lip does most of it, and both pout
        if name.startswith("bag_t"):
            return 0.5 * (target - contact)
        return (target - contact) * {"mouth_near": 0.42, "lip_border": 0.78, "lip_body": 0.96}.get(name, 1.0)

    rings = dict.fromkeys(("bag_teeth", "bag_front", "lip_contact", "lip_inner", "lip_body", "lip_border", "mouth_near"), 1.0)
    closed = s.lips(close_move, rings, s.beyond(5.0) | (np.linalg.norm(p - [0, -9.2, 6.9], axis=1) < 1.2))

    def slide(move: tuple[float, float, float], lip: float) -> np.ndarray:
        solid = {i: np.array(move) for i in bone}
        solid = {i: v * (1 if p[i, 0] != 0 or v[0] == 0 else 1) for i, v in solid.items()}
        return s.lips(lambda name, rel: np.tile(np.array(move), (31, 1)) * lip * np.where(s.up < 0, 1.0, _upper(name))[:, None], _LIPS, still, solid)

    def _upper(name: str) -> float:
        return 1.0 if name in ("lip_contact", "bag_front") else 0.55

    forward = slide((0, 0, 0.75), 0.55)
    shift = sideways(s, 0.75, still)
    return {"jawOpen": opened, "mouthClose": closed, "jawForward": forward, "jawLeft": shift, "jawRight": shift * [-1, 1, 1]}


def sideways(s: Sculptor, amount: float, still: np.ndarray) -> np.ndarray:
    """Field (S, 3): the lower face shifted to the subject's left, most at the chin."""
    weight = s.lips(
        lambda name, rel: np.stack([0 * s.up, 0.55 + 0.15 * np.maximum(-s.up, 0) * (name not in ("lip_contact", "bag_front")), 0 * s.up], 1),
        _SHIFT, still, s.patch((0, -9.2, 7.2), 1.9, (0, 1.0, 0)),
    )  # fmt: skip
    return weight[:, 1:2] * np.array([amount, 0, 0])


def _rounding(s: Sculptor) -> dict[str, np.ndarray]:
    arc, sign = np.abs(s.up), np.sign(s.up)

    def pucker(name: str, rel: np.ndarray) -> np.ndarray:
        plump = {"lip_inner": 0.05, "lip_body": 0.13, "lip_border": 0.10}.get(name, 0.0)
        out = {"lip_inner": 1.0, "lip_body": 1.05, "lip_border": 0.90}.get(name, 0.82)
        return np.stack([-0.50 * rel[:, 0], plump * sign * arc, out - 0.10 * s.side], 1)

    def funnel(name: str, rel: np.ndarray) -> np.ndarray:
        flare = {"lip_inner": 0.18, "lip_body": 0.10}.get(name, 0.0)
        y = np.where(sign > 0, 0.40, -0.62) * arc**0.9 - 0.12 * s.side
        return np.stack([-0.42 * rel[:, 0], y, 0.62 + flare * arc], 1)

    def shift(name: str, rel: np.ndarray) -> np.ndarray:
        return np.tile([0.0, 1.0, 0.0], (31, 1))

    weight = s.lips(shift, _SHIFT)[:, 1:2]
    left = weight * np.array([0.95, 0.0, -0.10]) + s.points[:, :1] * weight * np.array([0.0, 0.06, -0.10])
    puff = s.patch((4.0, -6.0, 5.6), 1.0, (0.75, 0.0, 0.42)) | s.patch((5.0, -5.2, 3.4), 0.7, (0.6, 0.0, 0.1))
    blown = s.lips(lambda name, rel: np.tile([0.0, 0, 0.22], (31, 1)) * (1 - 0.4 * s.side)[:, None], {"lip_contact": 0.7, "lip_inner": 0.7, "lip_body": 0.8, "lip_border": 1.2, "mouth_near": 1.7, "mouth_outer": 1.6}, s.beyond(6.6) | (s.points[:, 1] > -2.6), puff)
    return {
        "mouthPucker": s.lips(pucker, _LIPS), "mouthFunnel": s.lips(funnel, _LIPS), "mouthLeft": left,
        "mouthRight": left[s.head.skin.mirror] * [-1, 1, 1], "cheekPuff": blown,
    }  # fmt: skip


def _corners(s: Sculptor) -> dict[str, np.ndarray]:
    pull = s.side**2.6
    arc, sign = np.abs(s.up), np.sign(s.up)

    def along(x: float, y: float, z: float, thin: float = 0.0) -> np.ndarray:
        def move(name: str, rel: np.ndarray) -> np.ndarray:
            squeeze = thin * {"lip_inner": 0.3, "lip_body": 0.8, "lip_border": 1.0}.get(name, 0.0)
            return np.stack([x * pull, y * pull - squeeze * sign * arc, z * pull], 1)
        return move  # type: ignore[return-value]

    wide = s.beyond(7.0) | (s.points[:, 1] > -1.3) | (np.abs(s.points[:, 2]) < 1.5)
    cheeks = s.patch((3.9, -3.3, 7.0), 0.75, (0.12, 0.42, 0.30)) | s.patch((3.2, -5.2, 7.2), 0.4, (0.35, 0.42, 0.05))
    pairs = {
        "mouthSmile": s.lips(along(0.66, 0.60, -0.50, 0.07), _CORNERS, wide, cheeks),
        "mouthFrown": s.lips(along(0.10, -0.62, -0.12), _CORNERS),
        "mouthDimple": s.lips(along(0.34, 0.10, -0.55, 0.05), _CORNERS),
        "mouthStretch": s.lips(along(0.70, -0.14, -0.45, 0.14), _CORNERS),
        "mouthPress": s.lips(along(0.08, 0.05, -0.10, 0.22), _LIPS),
    }
    return {f"{name}{side}": half for name, field in pairs.items() for side, half in zip(("Left", "Right"), s.halves(field), strict=True)}


def _single_lips(s: Sculptor) -> dict[str, np.ndarray]:
    arc, upper = np.abs(s.up) ** 1.6, (s.up > 0).astype(float)

    def one(of_upper: bool, y: dict[str, float], z: dict[str, float]) -> np.ndarray:
        mine = upper if of_upper else 1 - upper

        def move(name: str, rel: np.ndarray) -> np.ndarray:
            # The contact line belongs to both lips: it moves as one.
            share = np.ones_like(mine) if name == "lip_contact" else mine
            return np.stack([0 * arc, y.get(name, 0.0) * arc * share, z.get(name, 0.0) * arc * share], 1)
        return s.lips(move, dict.fromkeys(_LIPS, 1.0))

    def part(of_upper: bool, y: float, z: float) -> np.ndarray:
        mine = upper if of_upper else 1 - upper
        return s.lips(lambda name, rel: np.stack([0 * arc, y * arc * mine, z * arc * mine], 1), _LIPS)

    raised = s.halves(part(True, 0.55, 0.10))
    lowered = s.halves(part(False, -0.60, 0.06))
    return {
        "mouthRollLower": one(False,
            {"bag_front": 0.30, "lip_contact": 0.10, "lip_inner": 0.24, "lip_body": 0.42, "lip_border": 0.46, "mouth_near": 0.16},
            {"bag_front": -0.10, "lip_contact": -0.20, "lip_inner": -0.46, "lip_body": -0.50, "lip_border": -0.18}),
        "mouthRollUpper": one(True,
            {"bag_front": -0.10, "lip_contact": -0.06, "lip_inner": -0.18, "lip_body": -0.32, "lip_border": -0.36, "mouth_near": -0.12},
            {"bag_front": -0.08, "lip_contact": -0.18, "lip_inner": -0.42, "lip_body": -0.46, "lip_border": -0.16}),
        "mouthShrugLower": one(False,
            {"bag_front": 0.22, "lip_contact": 0.22, "lip_inner": 0.28, "lip_body": 0.32, "lip_border": 0.34, "mouth_near": 0.36},
            {"bag_front": 0.05, "lip_contact": 0.08, "lip_inner": 0.18, "lip_body": 0.24, "lip_border": 0.16, "mouth_near": 0.08}),
        "mouthShrugUpper": one(True,
            {"bag_front": 0.16, "lip_contact": 0.16, "lip_inner": 0.22, "lip_body": 0.28, "lip_border": 0.28, "mouth_near": 0.20},
            {"bag_front": 0.05, "lip_contact": 0.08, "lip_inner": 0.16, "lip_body": 0.20, "lip_border": 0.14, "mouth_near": 0.08}),
        "mouthUpperUpLeft": raised[0], "mouthUpperUpRight": raised[1],
        "mouthLowerDownLeft": lowered[0], "mouthLowerDownRight": lowered[1],
    }  # fmt: skip


def _move_jaw_parts(head: Head, shapes: dict[str, np.ndarray]) -> None:
    """Lower teeth and tongue are carried by the jaw bone."""
    for name in ("teeth_lower", "tongue"):
        index = head.pieces[name]
        shapes["jawOpen"][index] = rotate_jaw(head.vertices[index])
        shapes["jawForward"][index] = [0, 0, 0.55]
        shapes["jawLeft"][index] = [0.55, 0, 0]
        shapes["jawRight"][index] = [-0.55, 0, 0]


def _tongue(head: Head) -> dict[str, np.ndarray]:
    index = head.pieces["tongue"]
    z = head.vertices[index, 2]
    reach = (z - z.min()) / np.ptp(z)
    out, up = np.zeros_like(head.vertices), np.zeros_like(head.vertices)
    out[index] = np.stack([0 * z, 0.25 * smoothstep(reach) - 0.35 * reach**6, 2.9 * reach**1.4], 1)
    up[index] = np.stack([-0.10 * head.vertices[index, 0] * reach, 0.95 * smoothstep((reach - 0.35) / 0.65), 0.10 * reach], 1)
    return {"tongueOut": out, "tongueUp": up}
