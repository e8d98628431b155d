"""The mouth slit of an unknown head: the one place on a face where two sheets of skin lie on each other the length of a mouth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from diffspeaker3d.geometry.surface import Surface

REACH = np.array([0.045, 0.035, 0.075])  # metres around the expected mouth that are searched
WIDEST_GAP = 0.006  # metres between the lips at rest
SAME_HEIGHT = 0.007  # metres; nostrils and lids are other slits at other heights
NARROWEST = 0.02  # metres; a slit less wide is no mouth


@dataclass(frozen=True, eq=False)
class Slit:
    """Vertices of the two lips that face each other, pair by pair.

    Attributes:
        upper, lower (array (n,) int): vertex indices.
    """

    upper: np.ndarray
    lower: np.ndarray

    def landmarks(self, vertices: np.ndarray) -> dict[str, np.ndarray]:
        """Points (3,) at the lip corners, and on the seam of either lip at a quarter, half and three quarters of its width."""
        upper, lower = vertices[self.upper], vertices[self.lower]
        middle = (upper + lower) / 2
        order = np.argsort(middle[:, 0])
        few = max(1, len(order) // 40)
        right, left = middle[order[:few]].mean(0), middle[order[-few:]].mean(0)
        points = {"lip_corner_right": right, "lip_corner_left": left}
        for name, share in (("right", 0.25), ("mid", 0.5), ("left", 0.75)):
            away = np.abs(middle[:, 0] - (right[0] + share * (left[0] - right[0])))
            around = away <= max(0.06 * (left[0] - right[0]), away.min())
            front = np.argmax(np.where(around, middle[:, 2], -np.inf))  # where the lips' outsides meet
            points |= {f"lip_upper_{name}": upper[front], f"lip_lower_{name}": lower[front]}
        return points


def find_slit(head: Surface, expected: np.ndarray) -> Slit | None:
    """The mouth slit of a head in the mannequin's frame, or None if its lips cannot part.

    Args:
        head: vertices in metres, Y up, facing +Z.
        expected (array (3,)): where the mannequin's mouth is.
    """
    vertices, normals = head.vertices, head.normals
    near = (np.abs((vertices - expected) / REACH) < 1).all(1)
    down, up = np.flatnonzero(near & (normals[:, 1] < -0.15)), np.flatnonzero(near & (normals[:, 1] > 0.15))
    if len(down) < 2 or len(up) < 2:
        return None
    upper, partner = _facing(head, down, up, 1.0)
    mate, lower = _facing(head, up, down, -1.0)
    upper, lower = np.concatenate([upper, lower]), np.concatenate([partner, mate])
    if len(upper) == 0:
        return None
    kept = _widest_row((vertices[upper] + vertices[lower]) / 2)
    upper, lower = upper[kept], lower[kept]
    middle = (vertices[upper] + vertices[lower]) / 2
    if np.ptp(middle[:, 0]) < NARROWEST:
        return None
    return Slit(upper, lower)


def _facing(head: Surface, these: np.ndarray, those: np.ndarray, sign: float) -> tuple[np.ndarray, np.ndarray]:
    """Of `these` vertices the ones with a vertex of `those` just across, above it if sign is 1, and that vertex."""
    vertices, normals = head.vertices, head.normals
    distance, order = cKDTree(vertices[those]).query(vertices[these], k=min(8, len(those)))
    partner = those[order]
    opposite = np.einsum("nd,nkd->nk", normals[these], normals[partner]) < -0.3
    above = sign * (vertices[these][:, None, 1] - vertices[partner][..., 1]) > -0.001
    gap = np.where(opposite & above & (distance < WIDEST_GAP), distance, np.inf)
    found = np.isfinite(gap).any(1)
    return these[found], partner[np.arange(len(these)), gap.argmin(1)][found]


def _widest_row(points: np.ndarray) -> np.ndarray:
    """Mask of the points that share a height, choosing the height whose row is widest."""
    widths = [
        np.ptp(points[np.abs(points[:, 1] - y) < SAME_HEIGHT, 0]) - 0.2 * np.abs(points[:, 1] - y).mean()
        for y in points[:, 1]
    ]
    height = points[int(np.argmax(widths)), 1]
    return np.abs(points[:, 1] - height) < SAME_HEIGHT
