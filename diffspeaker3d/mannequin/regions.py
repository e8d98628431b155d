"""Which vertices belong to which part of the face, and what colour they have."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.geometry.normals import VertexNormals
from diffspeaker3d.mannequin.form import EYE, MOUTH_Y
from diffspeaker3d.mannequin.head import Head
from diffspeaker3d.mannequin.occlusion import cavity, occlusion
from diffspeaker3d.mannequin.rings import OUTER, PHI

CLAY = np.array([222, 200, 180.0])
LIP_CLAY = np.array([202, 156, 140.0])
MOUTH_CLAY = np.array([104, 52, 48.0])
LASH_CLAY = np.array([120, 92, 78.0])
_LIP_RINGS = ("lip_border", "lip_body", "lip_inner", "lip_contact")
_BAG_RINGS = ("bag_front", "bag_teeth", "bag_middle", "bag_back")
_LID_RINGS = ("lid_fold", "lid_crease", "lid_skin", "lid_edge", "lid_inner", "lid_back")
_POINTS = {  # places whose nearest skin vertex becomes a landmark, cm
    "nose_tip": (0, -3.5, 12.0), "chin": (0, -9.5, 10.0), "nose_bridge": (0, 0.6, 12.0),
}  # fmt: skip


def regions(head: Head) -> dict[str, np.ndarray]:
    """Sorted vertex indices (int32) of every named region; landmarks are regions of one vertex."""
    found = _areas(head) | _landmarks(head)
    return {name: np.unique(index).astype(np.int32) for name, index in found.items()}


def _areas(head: Head) -> dict[str, np.ndarray]:
    rings, points, pieces = head.skin.rings, head.skin.vertices, head.pieces
    twin = head.skin.mirror

    def both(names: tuple[str, ...], part: np.ndarray | slice = slice(None)) -> np.ndarray:
        left = np.concatenate([rings[name][part] for name in names])
        return np.concatenate([left, twin[left]])

    skin = np.arange(len(points))
    lips, lids = both(_LIP_RINGS), both(_LID_RINGS)
    bag = np.append(both(_BAG_RINGS), np.flatnonzero(_bag_end(head)))
    outside = np.setdiff1d(skin, bag)
    x, y, z = points[outside].T
    width, up, down = OUTER
    near_mouth = (z > 4) & (
        (x / (width + 0.5)) ** 2 + ((y - MOUTH_Y) / np.where(y > MOUTH_Y, up + 0.1, down + 0.5)) ** 2 < 1
    )
    mouth = np.union1d(outside[near_mouth], lips)
    face = (z > 0.5) & (y > -12.6)
    lower = np.union1d(outside[face & (y < -3.9)], lips)
    upper = np.setdiff1d(outside[face & (y > -2.4) & (y < 7.5)], lips)
    brows = np.concatenate([pieces["brow_left"], pieces["brow_right"]])
    eyes = np.concatenate([pieces["eye_left"], pieces["eye_right"]])
    teeth = np.concatenate([pieces["teeth_upper"], pieces["teeth_lower"]])
    jaw = outside[(y < MOUTH_Y - 1.2) & (z > -0.5) & (y > -12.0)]
    return {
        "skin": outside, "lips": lips, "lip_upper": both(_LIP_RINGS, PHI >= 0), "lip_lower": both(_LIP_RINGS, PHI <= 0), "mouth": mouth, "lower_face": lower, "upper_face": np.union1d(upper, np.union1d(brows, lids)),
        "lids": lids, "brows": brows, "eyes": eyes, "jaw": jaw, "teeth": teeth, "teeth_upper": pieces["teeth_upper"],
        "teeth_lower": pieces["teeth_lower"], "tongue": pieces["tongue"], "inner_mouth": bag,
        "interior": np.concatenate([bag, teeth, pieces["tongue"]]), "neck": outside[(y < -12.0) | ((y < -8.0) & (z < -1.5))],
        "ears": np.concatenate([pieces["ear_left"], pieces["ear_right"]]),
        "eye_left": pieces["eye_left"], "eye_right": pieces["eye_right"],
    }  # fmt: skip


def _bag_end(head: Head) -> np.ndarray:
    """Mask (S,) of the vertex that closes the mouth bag at the back."""
    points = head.skin.vertices
    behind = points[head.skin.rings["bag_back"]][:, 2].mean()
    inside = (np.abs(points[:, 0]) < 1e-9) & (np.abs(points[:, 1] - MOUTH_Y) < 1.0)
    return inside & (np.abs(points[:, 2] - behind) < 1.0)


def _landmarks(head: Head) -> dict[str, np.ndarray]:
    rings, points, twin = head.skin.rings, head.skin.vertices, head.skin.mirror
    contact, lid = rings["lip_contact"], rings["lid_edge"]
    middle = np.flatnonzero(
        (points[:, 0] == 0) & (points[:, 2] > 5) & ~np.isin(np.arange(len(points)), _interior(head))
    )
    found = {name: middle[np.abs(points[middle, 1] - place[1]).argmin()] for name, place in _POINTS.items()}
    corner, outer, inner = contact[len(PHI) // 2], lid[0], lid[len(lid) // 2]
    ear = head.pieces["ear_left"]
    ear_middle = int(np.abs(ear - ear[0]).argmin())
    found |= {
        "lip_upper_mid": contact[0], "lip_lower_mid": contact[-1], "lip_corner_left": corner, "lip_corner_right": twin[corner],
        "eye_left_outer": outer, "eye_left_inner": inner, "eye_right_outer": twin[outer], "eye_right_inner": twin[inner],
        "ear_left": ear[ear_middle], "ear_right": head.pieces["ear_right"][ear_middle],
    }  # fmt: skip
    return {name: np.array([index]) for name, index in found.items()}


def _interior(head: Head) -> np.ndarray:
    return np.concatenate([head.skin.rings[name] for name in (*_BAG_RINGS, "lip_contact")])


def colors(head: Head) -> np.ndarray:
    """Albedo (V, 3) uint8, sRGB: one warm clay, a little rosier on the lips, darker in the mouth and along the lids."""
    result = np.tile(CLAY, (len(head.vertices), 1))
    rings, twin = head.skin.rings, head.skin.mirror

    def paint(name: str, color: np.ndarray, amount: float | np.ndarray) -> None:
        ring, share = rings[name], np.broadcast_to(amount, rings[name].shape)[:, None]
        result[ring] = result[ring] * (1 - share) + color * share
        result[twin[ring]] = result[ring]

    for name, amount in (("lip_border", 0.55), ("lip_body", 1.0), ("lip_inner", 1.0), ("lip_contact", 1.0)):
        paint(name, LIP_CLAY, amount)
    paint("lip_contact", MOUTH_CLAY, 0.5)
    for name, amount in (("bag_front", 0.8), ("bag_teeth", 1.0), ("bag_middle", 1.0), ("bag_back", 1.0)):
        paint(name, MOUTH_CLAY * (0.7 if name in ("bag_middle", "bag_back") else 1.0), amount)
    result[np.flatnonzero(_bag_end(head))] = MOUTH_CLAY * 0.6
    upper_lid = np.concatenate([[0.5], np.ones(17), [0.5], np.full(17, 0.35)])
    paint("lid_inner", LASH_CLAY, upper_lid)
    paint("lid_edge", LASH_CLAY, 0.7 * upper_lid)
    paint("lid_back", LASH_CLAY, 0.6)
    result *= _shade(head)[:, None]
    for name, piece in head.pieces.items():
        if not name.startswith("ear"):
            result[piece] = head.part_colors[name]
    return np.rint(result).clip(0, 255).astype(np.uint8)


def _shade(head: Head) -> np.ndarray:
    """Factor (V,) on the albedo: less in folds, a touch more on edges."""
    normals = VertexNormals(head.faces, len(head.vertices))(head.vertices[None])[0]
    hidden = np.zeros(len(head.vertices))
    skin = len(head.skin.vertices)
    hidden[:skin] = np.clip(occlusion(head.skin.vertices, normals[:skin]) - 0.12, 0, 1)
    eyes = np.linalg.norm((np.abs(head.vertices) - np.abs(EYE)) * [1, 1, 0.3], axis=1)
    hidden *= 0.35 + 0.65 * np.clip((eyes - 1.2) / 1.2, 0, 1)  # the form has a hollow where the eyeball sits
    fold = np.clip(cavity(head.vertices, head.faces, normals), -0.5, 1.2)
    hidden, fold = (_smooth(value, head.faces) for value in (hidden, fold))
    inside = np.concatenate([head.skin.rings[name] for name in _BAG_RINGS])
    hidden[inside] = hidden[head.skin.mirror[inside]] = 0.0
    return np.clip(1 - 0.45 * hidden - 0.14 * fold, 0.45, 1.06)


def _smooth(values: np.ndarray, faces: np.ndarray, rounds: int = 2) -> np.ndarray:
    """Values (V,) averaged over the faces around each vertex."""
    for _ in range(rounds):
        total, count = np.zeros(len(values)), np.zeros(len(values))
        for k in range(3):
            np.add.at(total, faces[:, k], values[faces].mean(1))
            np.add.at(count, faces[:, k], 1)
        values = total / np.maximum(count, 1)
    return values
