"""Expressions of the lips and cheeks.

One promise holds for every shape that is not in `arkit.LIP_OPENERS`: the upper and the lower lip share one displacement
along the rings where they touch, so sealed lips stay sealed.
"""

from __future__ import annotations

import numpy as np

from diffspeaker3d.mannequin.rings import SEALED, lip_line
from diffspeaker3d.mannequin.sculpt import RingMove, Sculptor

# How far each ring goes along when the lips move as a whole.
LIPS = {
    "bag_teeth": 0.6, "bag_front": 1.0, "lip_contact": 1.0, "lip_inner": 1.0, "lip_body": 0.95, "lip_border": 0.75,
    "mouth_near": 0.42,
}  # fmt: skip
CORNERS = {**LIPS, "bag_middle": 0.3, "bag_teeth": 0.8, "lip_body": 1.0, "lip_border": 0.95, "mouth_near": 0.75}
SHIFT = {**CORNERS, "lip_border": 0.96, "mouth_near": 0.75, "mouth_outer": 0.40}
_PUFF = {
    "bag_front": 0.7,
    "lip_contact": 0.7,
    "lip_inner": 0.7,
    "lip_body": 0.8,
    "lip_border": 1.2,
    "mouth_near": 1.7,
    "mouth_outer": 1.6,
}
Oval = tuple[float, float, float, float, float]  # half width, height up and down, z in the middle and at the corner, cm
_PUCKER: dict[str, Oval] = {
    "mouth_near": (2.05, 1.12, 1.46, 9.30, 8.55),
    "lip_border": (1.50, 0.90, 1.06, 9.82, 9.00),
    "lip_body": (1.20, 0.62, 0.72, 10.18, 9.38),
    "lip_inner": (1.06, 0.27, 0.32, 10.22, 9.52),
    "lip_contact": (0.99, 0.0, 0.0, 9.94, 9.50),
    "bag_front": (0.97, 0.0, 0.0, 9.70, 9.26),
}
_FUNNEL: dict[str, Oval] = {
    "mouth_near": (2.20, 1.26, 1.72, 9.22, 8.46),
    "lip_border": (1.78, 1.10, 1.44, 9.66, 8.88),
    "lip_body": (1.54, 0.90, 1.18, 9.96, 9.10),
    "lip_inner": (1.34, 0.62, 0.88, 9.92, 9.16),
    "lip_contact": (1.22, 0.40, 0.66, 9.62, 9.06),
    "bag_front": (1.24, 0.44, 0.66, 9.36, 8.84),
}


def lip_shapes(s: Sculptor) -> dict[str, np.ndarray]:
    """Skin displacements (S, 3) in cm of the lips and cheeks, by ARKit name."""
    return _rounding(s) | _sideways(s) | _corners(s) | _rolling(s) | _parting(s)


def _rounding(s: Sculptor) -> dict[str, np.ndarray]:
    def puff(name: str, rel: np.ndarray) -> np.ndarray:
        return np.stack([0 * s.side, 0 * s.side, 0.22 * (1 - 0.4 * s.side)], 1)

    cheeks = s.swelling((4.5, -5.9, 4.6), 2.3, (0.72, 0.0, 0.36))
    still = s.beyond(7.6) | (s.points[:, 1] > -2.0)
    teeth = {
        int(i): np.zeros(3) for name in ("bag_teeth", "bag_middle") for i in s.rings[name]
    }  # the bag stays on them
    return {
        "mouthPucker": s.lips(_ovals(s, _PUCKER), dict.fromkeys(_PUCKER, 1.0), patches=teeth),
        "mouthFunnel": s.lips(_ovals(s, _FUNNEL), dict.fromkeys(_FUNNEL, 1.0), patches=teeth),
        "cheekPuff": s.lips(puff, _PUFF, still, cheeks),
    }


def _ovals(s: Sculptor, ovals: dict[str, Oval]) -> RingMove:
    """The ring move that takes each ring to a round one: where it goes is drawn, so that nothing can be pinched."""

    def move(name: str, rel: np.ndarray) -> np.ndarray:
        width, up, down, middle, corner = ovals[name]
        y = np.where(s.up > 0, up, down) * s.up + 0.5 * lip_line(rel[:, 0])
        goal = np.stack([width * s.side, y, middle + (corner - middle) * s.side**2], 1)
        way = goal - rel
        if up == down == 0:  # closed: both lips go alike
            way = 0.5 * (way + way[::-1])
        return way

    return move


def _sideways(s: Sculptor) -> dict[str, np.ndarray]:
    weight = s.lips(lambda name, rel: np.tile([0.0, 1.0, 0.0], (len(rel), 1)), SHIFT)[:, 1:2]
    # Along the curve of the teeth: the corner in front goes back into the cheek, the other comes round.
    left = weight * np.array([0.95, 0.0, -0.08]) + s.points[:, :1] * weight * np.array([0.0, 0.06, -0.24])
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
            amount = arc * (1.0 if name in SEALED else mine)  # where they touch, both lips go
            return np.stack([0 * arc, y.get(name, 0.0) * amount, z.get(name, 0.0) * amount], 1)

        return s.lips(move, dict.fromkeys(LIPS, 1.0))

    return {
        "mouthRollLower": one(False,
            {"bag_front": 0.14, "lip_contact": 0.14, "lip_inner": 0.25, "lip_body": 0.42, "lip_border": 0.46, "mouth_near": 0.16},
            {"bag_front": -0.22, "lip_contact": -0.24, "lip_inner": -0.38, "lip_body": -0.42, "lip_border": -0.18}),
        "mouthRollUpper": one(True,
            {"bag_front": -0.06, "lip_contact": -0.06, "lip_inner": -0.16, "lip_body": -0.32, "lip_border": -0.36, "mouth_near": -0.12},
            {"bag_front": -0.16, "lip_contact": -0.18, "lip_inner": -0.33, "lip_body": -0.38, "lip_border": -0.16}),
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
