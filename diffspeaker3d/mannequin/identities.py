"""Twelve people from one mannequin: sculptor's brushes that grab, scale and swell, the same for every vertex of a place.

The neighbourhood of each eye is only ever translated, and the two lips always move together along the line where they
meet, so blinks and lip seals hold for everybody under shared blendshapes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffspeaker3d.mannequin.form import EYE, MOUTH_Y
from diffspeaker3d.mannequin.head import Head
from diffspeaker3d.mannequin.rings import SEALED
from diffspeaker3d.mannequin.sculpt import smoothstep


@dataclass(frozen=True)
class Traits:
    """Departures from the neutral head; 0 is neutral, about -1..1 is a plausible range."""

    face_width: float = 0.0
    jaw_width: float = 0.0
    chin_length: float = 0.0
    chin_forward: float = 0.0
    chin_width: float = 0.0
    nose_length: float = 0.0
    nose_width: float = 0.0
    nose_forward: float = 0.0
    nose_bridge: float = 0.0
    cheek_bones: float = 0.0
    cheek_fat: float = 0.0
    lip_fullness: float = 0.0
    mouth_width: float = 0.0
    mouth_height: float = 0.0
    brow_ridge: float = 0.0
    forehead: float = 0.0
    cranium: float = 0.0
    eye_spacing: float = 0.0
    eye_height: float = 0.0
    ear_size: float = 0.0
    neck_width: float = 0.0
    jowls: float = 0.0


IDENTITIES: dict[str, Traits] = {
    "neutral": Traits(),
    "maya": Traits(face_width=-0.5, jaw_width=-0.7, chin_length=-0.5, nose_width=-0.5, nose_length=-0.4, cheek_bones=0.6, lip_fullness=0.8, brow_ridge=-0.6, neck_width=-0.8, ear_size=-0.4),
    "victor": Traits(jaw_width=1.0, chin_width=0.9, chin_length=0.5, chin_forward=0.5, nose_forward=0.4, nose_bridge=0.6, brow_ridge=1.0, lip_fullness=-0.5, neck_width=1.0, cheek_fat=-0.4),
    "amara": Traits(nose_width=1.0, nose_forward=-0.4, nose_bridge=-0.4, lip_fullness=1.2, mouth_width=0.4, cheek_bones=0.8, forehead=0.6, jaw_width=-0.2, brow_ridge=-0.4),
    "kenji": Traits(face_width=0.6, cheek_bones=0.5, nose_bridge=-0.8, nose_forward=-0.4, nose_width=0.2, chin_length=-0.2, brow_ridge=-0.5, cheek_fat=0.2, eye_spacing=0.4),
    "olga": Traits(cheek_fat=1.1, face_width=0.5, jowls=0.9, nose_width=0.5, chin_length=-0.3, lip_fullness=-0.3, neck_width=0.6, ear_size=0.5),
    "noah": Traits(cranium=0.9, face_width=-0.1, chin_length=-0.8, jaw_width=-0.7, nose_length=-0.9, nose_forward=-0.9, nose_width=-0.3, cheek_fat=0.9, brow_ridge=-1.0, neck_width=-1.3, forehead=1.0, mouth_width=-0.5, ear_size=0.3, mouth_height=0.5),
    "pedro": Traits(nose_length=0.9, nose_forward=0.9, nose_bridge=1.0, chin_length=0.7, face_width=-0.6, cheek_fat=-0.8, ear_size=0.9, brow_ridge=0.4, eye_spacing=-0.3),
    "ingrid": Traits(face_width=-0.4, chin_length=0.7, chin_forward=0.4, cheek_bones=1.0, cheek_fat=-0.7, nose_length=0.3, nose_width=-0.6, mouth_width=0.3, neck_width=-0.4, forehead=0.3),
    "samir": Traits(jaw_width=0.5, nose_forward=0.7, nose_length=0.5, nose_bridge=0.7, lip_fullness=0.4, brow_ridge=0.6, chin_forward=0.2, chin_width=0.3, neck_width=0.6),
    "lucia": Traits(face_width=0.1, jaw_width=-0.4, chin_width=-0.6, nose_forward=0.2, nose_length=-0.5, cheek_fat=0.5, lip_fullness=0.6, mouth_width=-0.4, eye_spacing=0.3, brow_ridge=-0.7, neck_width=-0.7),
    "walter": Traits(face_width=0.2, jowls=1.2, nose_length=0.8, nose_width=0.7, lip_fullness=-1.0, ear_size=1.1, cheek_fat=-0.5, brow_ridge=0.7, chin_length=0.2, jaw_width=0.4, cranium=0.2),
    "hana": Traits(face_width=0.2, cheek_fat=0.6, chin_width=-0.7, chin_length=-0.6, nose_bridge=-0.6, nose_length=-0.3, nose_width=-0.1, lip_fullness=0.3, mouth_width=-0.5, forehead=0.4, brow_ridge=-0.8, neck_width=-0.9, ear_size=-0.5),
}  # fmt: skip


def templates(head: Head) -> dict[str, np.ndarray]:
    """Neutral vertices (V, 3) in cm of every identity."""
    return {name: head.vertices + displacement(head, traits) for name, traits in IDENTITIES.items()}


def displacement(head: Head, traits: Traits) -> np.ndarray:
    """Displacements (V, 3) in cm that turn the neutral head into a person."""
    points = head.vertices
    move = _brushes(points, traits)
    move = _rigid_eyes(head, 0.5 * (move + head.mirrored(move)))
    move = move + _lip_volume(head, traits.lip_fullness)
    return _lips_meet(head, move)


def _near(points: np.ndarray, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
    """Soft weight (V, 1) around a point and its mirror image."""
    folded = np.concatenate([np.abs(points[:, :1]), points[:, 1:]], 1)
    return np.exp(-(((folded - np.array(centre)) / np.array(radii)) ** 2).sum(1))[:, None]


def _brushes(p: np.ndarray, t: Traits) -> np.ndarray:
    x, y, z = p[:, :1], p[:, 1:2], p[:, 2:]
    side = np.sign(x)
    sideways, upwards, forwards = np.eye(3)
    face = smoothstep((z + 2.0) / 5.0)
    lower = smoothstep((-2.5 - y) / 5.0) * smoothstep((y + 15) / 5.0)
    tip = smoothstep((-7.2 - y) / 2.2) * smoothstep((y + 13.5) / 3.0) * smoothstep((z - 1.0) / 5.0)
    nose = _near(p, (0, -3.4, 9.6), (1.7, 1.9, 2.6))
    below_brow = smoothstep((1.5 - y) / 5.0) * smoothstep((y + 4.9) / 1.6) * _near(p, (0, -2.0, 9.4), (1.8, 6.0, 3.0))
    move = t.face_width * 0.055 * x * sideways * smoothstep((7 - y) / 6.0) * smoothstep((y + 13) / 4.0)
    move = move + t.jaw_width * 0.13 * x * sideways * lower
    move = move - t.chin_length * 0.85 * upwards * tip
    move = move + t.chin_forward * 0.60 * forwards * tip + t.chin_width * 0.20 * x * sideways * tip
    move = move - t.nose_length * 0.50 * upwards * nose + t.nose_forward * 0.55 * forwards * nose
    move = move + t.nose_width * 0.30 * x * sideways * _near(p, (0.9, -3.6, 9.0), (1.2, 1.2, 1.9))
    move = move + t.nose_bridge * 0.45 * forwards * below_brow * _near(p, (0, -0.9, 8.8), (1.0, 1.7, 2.0))
    move = move + t.cheek_bones * (0.32 * side * sideways + 0.20 * forwards) * _near(
        p, (4.6, -2.4, 6.0), (2.2, 1.6, 2.8)
    )
    move = move + t.cheek_fat * (0.55 * side * sideways + 0.22 * forwards) * _near(p, (4.6, -5.8, 4.4), (2.4, 2.3, 3.2))
    move = move + t.jowls * (0.42 * side * sideways - 0.35 * upwards) * _near(p, (4.0, -8.4, 4.0), (1.9, 1.7, 3.0))
    move = move + t.brow_ridge * 0.28 * forwards * _near(p, (2.2, 2.0, 8.0), (3.0, 0.95, 2.2))
    move = move + t.forehead * 0.45 * forwards * _near(p, (0, 5.6, 7.0), (5.0, 2.6, 4.0))
    crown = smoothstep((y - 0.5) / 7.0)
    move = move + t.cranium * crown * (0.035 * x * sideways + 0.55 * upwards + 0.03 * z * forwards)
    move = move + t.mouth_width * 0.09 * x * sideways * _near(p, (0, MOUTH_Y, 7.5), (3.4, 1.9, 3.0))
    move = move + t.mouth_height * 0.30 * upwards * _near(p, (0, MOUTH_Y, 7.0), (4.0, 1.9, 4.0))
    move = move + t.eye_spacing * 0.22 * side * sideways * _near(p, (EYE[0], EYE[1], 7.2), (2.6, 2.2, 3.0)) * face
    move = move + t.eye_height * 0.25 * upwards * _near(p, (EYE[0], EYE[1], 7.2), (3.0, 2.4, 3.0)) * face
    neck = smoothstep((-8.5 - y) / 4.0) * smoothstep((2.5 - z) / 4.0)
    move = move + t.neck_width * 0.085 * (p - [0, 0, -3.7]) * [1, 0, 1] * neck
    ear = smoothstep((np.abs(x) - 6.6) / 0.9) * _near(p, (7.5, -1.3, -1.6), (2.2, 4.0, 2.6))
    return move + t.ear_size * ear * (0.16 * (y + 1.4) * upwards + 0.18 * side * sideways - 0.14 * forwards)


def _rigid_eyes(head: Head, move: np.ndarray) -> np.ndarray:
    """Replace the field around each eye by its value at the eye: the lids and the ball go along unchanged."""
    points = head.vertices
    result = move.copy()
    for side in ("left", "right"):
        ball = head.pieces[f"eye_{side}"]
        centre = EYE * (np.array([1, 1, 1]) if side == "left" else np.array([-1, 1, 1]))
        carried = move[ball].mean(0)
        distance = np.linalg.norm((points - centre - [0, 0, 0.3]) * [0.85, 1.0, 0.75], axis=1)
        hold = (1 - smoothstep((distance - 1.60) / 0.9))[:, None]
        result = result * (1 - hold) + carried * hold
        result[ball] = carried
    return result


def _lip_volume(head: Head, fullness: float) -> np.ndarray:
    """Displacements (V, 3): thicker or thinner lips."""
    move = np.zeros_like(head.vertices)
    skin = head.skin
    grow = {"lip_inner": (0.04, 0.10), "lip_body": (0.10, 0.13), "lip_border": (0.17, 0.06), "mouth_near": (0.10, 0.02)}
    for name, (height, depth) in grow.items():
        index = skin.rings[name]
        height_sign = np.sin(np.linspace(np.pi / 2, -np.pi / 2, len(index)))
        amount = np.stack([0 * height_sign, height * height_sign, depth * np.abs(height_sign)], 1) * fullness
        move[index] = amount
        move[skin.mirror[index]] = amount * [-1, 1, 1]
    return move


def _lips_meet(head: Head, move: np.ndarray) -> np.ndarray:
    """The same displacement for touching points of the upper and the lower lip."""
    result = move.copy()
    for name in SEALED:
        ring = head.skin.rings[name]
        for index in (ring, head.skin.mirror[ring]):
            result[index] = 0.5 * (move[index] + move[index][::-1])
    return result
