"""Expressions of the lips and cheeks.

One promise holds for every shape that is not in `arkit.LIP_OPENERS`: the upper and the lower lip share one displacement
along the contact line, so sealed lips stay sealed.
"""

from __future__ import annotations

import numpy as np

from diffspeaker3d.mannequin.sculpt import RingMove, Sculptor

# How far each ring goes along when the lips move as a whole.
LIPS = {
    "bag_teeth": 0.6, "bag_front": 1.0, "lip_contact": 1.0, "lip_inner": 1.0, "lip_body": 0.95, "lip_border": 0.75,
    "mouth_near": 0.42,
}  # fmt: skip
CORNERS = {**LIPS, "bag_middle": 0.3, "bag_teeth": 0.8, "lip_body": 1.0, "lip_border": 0.95, "mouth_near": 0.75}
SHIFT = {**CORNERS, "lip_border": 0.96, "mouth_near": 0.75, "mouth_outer": 0.40}
_PUFF = {
    "lip_contact": 0.7,
    "lip_inner": 0.7,
    "lip_body": 0.8,
    "lip_border": 1.2,
    "mouth_near": 1.7,
    "mouth_outer": 1.6,
}
SEALED = ("lip_contact", "bag_front")  # rings where the lips touch


def lip_shapes(s: Sculptor) -> dict[str, np.ndarray]:
    """Skin displacements (S, 3) in cm of the lips and cheeks, by ARKit name."""
    return _rounding(s) | _sideways(s) | _corners(s) | _rolling(s) | _parting(s)


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

    def puff(name: str, rel: np.ndarray) -> np.ndarray:
        return np.stack([0 * arc, 0 * arc, 0.22 * (1 - 0.4 * s.side)], 1)

    cheeks = s.patch((4.0, -6.0, 5.6), 1.0, (0.75, 0.0, 0.42)) | s.patch((5.0, -5.2, 3.4), 0.7, (0.6, 0.0, 0.1))
    still = s.beyond(6.6) | (s.points[:, 1] > -2.6)
    return {
        "mouthPucker": s.lips(pucker, LIPS),
        "mouthFunnel": s.lips(funnel, LIPS),
        "cheekPuff": s.lips(puff, _PUFF, still, cheeks),
    }


def _sideways(s: Sculptor) -> dict[str, np.ndarray]:
    weight = s.lips(lambda name, rel: np.tile([0.0, 1.0, 0.0], (len(rel), 1)), SHIFT)[:, 1:2]
    left = weight * np.array([0.95, 0.0, -0.10]) + s.points[:, :1] * weight * np.array([0.0, 0.06, -0.10])
    return {"mouthLeft": left, "mouthRight": s.mirrored(left)}


def _corners(s: Sculptor) -> dict[str, np.ndarray]:
    pull, arc, sign = s.side**2.6, np.abs(s.up), np.sign(s.up)

    def along(x: float, y: float, z: float, thin: float = 0.0) -> RingMove:
        """Pull the corners by (x, y, z) and make the lips thinner."""

        def move(name: str, rel: np.ndarray) -> np.ndarray:
            squeeze = thin * {"lip_inner": 0.3, "lip_body": 0.8, "lip_border": 1.0}.get(name, 0.0)
            return np.stack([x * pull, y * pull - squeeze * sign * arc, z * pull], 1)

        return move

    wide = s.beyond(7.0) | (s.points[:, 1] > -1.3) | (np.abs(s.points[:, 2]) < 1.5)
    cheeks = s.patch((3.9, -3.3, 7.0), 0.75, (0.12, 0.42, 0.30)) | s.patch((3.2, -5.2, 7.2), 0.4, (0.35, 0.42, 0.05))
    pairs = {
        "mouthSmile": s.lips(along(0.66, 0.60, -0.50, 0.07), CORNERS, wide, cheeks),
        "mouthFrown": s.lips(along(0.10, -0.62, -0.12), CORNERS),
        "mouthDimple": s.lips(along(0.34, 0.10, -0.55, 0.05), CORNERS),
        "mouthStretch": s.lips(along(0.70, -0.14, -0.45, 0.14), CORNERS),
        "mouthPress": s.lips(along(0.08, 0.05, -0.10, 0.22), LIPS),
    }
    return s.left_and_right(pairs)


def _rolling(s: Sculptor) -> dict[str, np.ndarray]:
    arc, upper = np.abs(s.up) ** 1.6, (s.up > 0).astype(float)

    def one(of_upper: bool, y: dict[str, float], z: dict[str, float]) -> np.ndarray:
        """Move one lip, ring by ring."""

        def move(name: str, rel: np.ndarray) -> np.ndarray:
            mine = upper if of_upper else 1 - upper
            amount = arc * (1.0 if name == "lip_contact" else mine)  # the contact line belongs to both
            return np.stack([0 * arc, y.get(name, 0.0) * amount, z.get(name, 0.0) * amount], 1)

        return s.lips(move, dict.fromkeys(LIPS, 1.0))

    return {
        "mouthRollLower": one(False,
            {"bag_front": 0.32, "lip_contact": 0.14, "lip_inner": 0.28, "lip_body": 0.42, "lip_border": 0.46, "mouth_near": 0.16},
            {"bag_front": -0.14, "lip_contact": -0.26, "lip_inner": -0.50, "lip_body": -0.50, "lip_border": -0.18}),
        "mouthRollUpper": one(True,
            {"bag_front": -0.10, "lip_contact": -0.06, "lip_inner": -0.18, "lip_body": -0.32, "lip_border": -0.36, "mouth_near": -0.12},
            {"bag_front": -0.08, "lip_contact": -0.18, "lip_inner": -0.42, "lip_body": -0.46, "lip_border": -0.16}),
        "mouthShrugLower": one(False,
            {"bag_front": 0.22, "lip_contact": 0.22, "lip_inner": 0.28, "lip_body": 0.32, "lip_border": 0.34, "mouth_near": 0.36},
            {"bag_front": 0.05, "lip_contact": 0.08, "lip_inner": 0.18, "lip_body": 0.24, "lip_border": 0.16, "mouth_near": 0.08}),
        "mouthShrugUpper": one(True,
            {"bag_front": 0.16, "lip_contact": 0.16, "lip_inner": 0.22, "lip_body": 0.28, "lip_border": 0.28, "mouth_near": 0.20},
            {"bag_front": 0.05, "lip_contact": 0.08, "lip_inner": 0.16, "lip_body": 0.20, "lip_border": 0.14, "mouth_near": 0.08}),
    }  # fmt: skip


def _parting(s: Sculptor) -> dict[str, np.ndarray]:
    arc = np.abs(s.up) ** 1.4

    def part(of_upper: bool, y: float, z: float) -> np.ndarray:
        mine = arc * ((s.up > 0) == of_upper)
        return s.lips(lambda name, rel: np.stack([0 * arc, y * mine, z * mine], 1), LIPS)

    return s.left_and_right({"mouthUpperUp": part(True, 0.55, 0.10), "mouthLowerDown": part(False, -0.60, 0.06)})
