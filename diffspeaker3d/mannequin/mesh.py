"""The skin: designed rings, freely sampled points between them, triangles, and an exact mirror image.

Only the left half is built. Free points are thrown with a density that follows the detail, relaxed on the form, and
triangulated by Delaunay in a stereographic map of the directions seen from CENTRE.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.spatial import Delaunay, cKDTree

from diffspeaker3d.mannequin.form import CENTRE, EYE, MOUTH_Y, onto_skin, skin_along, unit
from diffspeaker3d.mannequin.rings import (
    EYE_RINGS,
    MOUTH_RINGS,
    NECK_Y,
    OUTER,
    SOCKET,
    eye_rings,
    mouth_rings,
    neck_rings,
)

COARSE, FINE = 0.74, 0.20  # cm between vertices at the back of the skull and where it matters most
_NOSE = np.array([0.8, -3.3, 9.2])
_DETAIL = (  # centre, radius in cm, strength of the density bumps, on |x|
    ((0.9, -3.8, 9.0), 1.8, 1.00),
    ((0.5, -2.4, 9.2), 2.2, 0.97),
    ((0.0, -6.5, 8.6), 4.2, 0.85),
    (tuple(EYE), 3.2, 0.90),
    ((2.5, 2.0, 8.0), 3.0, 0.80),
    ((0.0, -9.5, 7.5), 3.2, 0.62),
    ((4.0, -3.0, 6.0), 4.2, 0.62),
    ((0.0, 0.0, 8.0), 2.6, 0.85),
    ((3.5, -7.5, 4.5), 4.0, 0.45),
    ((0.0, 5.5, 6.5), 5.0, 0.35),
)


@dataclass(frozen=True)
class Skin:
    """The skin of the neutral head, both halves.

    Attributes:
        vertices (array (V, 3)): cm.
        faces (array (F, 3)): counter-clockwise seen from outside.
        mirror (array (V,)): index of each vertex's partner on the other side; its own on the middle line.
        rings: ring name -> vertex indices of the left half, in the order of PHI or THETA.
    """

    vertices: np.ndarray
    faces: np.ndarray
    mirror: np.ndarray
    rings: dict[str, np.ndarray]


def build_skin(seed: int = 0) -> Skin:
    """Sample, triangulate and mirror the skin; the same seed gives the same skin."""
    mouth, eye, neck = mouth_rings(), eye_rings(), neck_rings()
    borders = [mouth["mouth_outer"], eye["socket_outer"], neck[0]]
    starts = np.cumsum([0] + [len(b) for b in borders])
    border_ids = [np.arange(a, b) for a, b in pairwise(starts)]
    fixed = np.concatenate([*borders, _seam(borders)])
    points = _relax(fixed, _throw(fixed, np.random.default_rng(seed)), border_ids)
    parts, faces = [points], [_triangulate(points, border_ids)]
    rings = {"mouth_outer": border_ids[0], "socket_outer": border_ids[1], "neck_0": border_ids[2]}
    total = len(points)

    def attach(previous: str, name: str, ring: np.ndarray, closed: bool) -> None:
        nonlocal total
        rings[name] = np.arange(total, total + len(ring))
        parts.append(ring)
        faces.append(strip(rings[previous], rings[name], closed))
        total += len(ring)

    for previous, name in pairwise(MOUTH_RINGS):
        attach(previous, name, mouth[name], closed=False)
    for previous, name in pairwise(EYE_RINGS):
        attach(previous, name, eye[name], closed=True)
    for k, ring in enumerate(neck[1:], 1):
        attach(f"neck_{k - 1}", f"neck_{k}", ring, closed=False)
    back = rings["bag_back"]
    parts.append(mouth["bag_back"].mean(0, keepdims=True) * [0, 1, 1] - [0, 0, 0.3])
    faces.append(np.stack([back[1:], back[:-1], np.full(len(back) - 1, total)], 1))
    vertices, triangles, mirror = _mirrored(np.concatenate(parts), np.concatenate(faces))
    return Skin(vertices, _oriented(vertices, triangles), mirror, rings)


def strip(first: np.ndarray, second: np.ndarray, closed: bool) -> np.ndarray:
    """Triangles (2n, 3) between two index rings of equal length."""
    if closed:
        first, second = np.append(first, first[0]), np.append(second, second[0])
    a, b, c, d = first[:-1], first[1:], second[:-1], second[1:]
    return np.concatenate([np.stack([a, c, d], 1), np.stack([a, d, b], 1)])


def _spacing(points: np.ndarray) -> np.ndarray:
    """Wanted distance (N,) in cm between neighbouring vertices around points (N, 3)."""
    folded = points * np.sign(points + 1e-12) ** np.array([1, 0, 0])
    bumps = [k * np.exp(-((np.linalg.norm(folded - c, axis=1) / r) ** 2)) for c, r, k in _DETAIL]
    return COARSE - (COARSE - FINE) * np.max(bumps, axis=0)


def _seam(borders: list[np.ndarray]) -> np.ndarray:
    """Points (N, 3) on the middle line: from the mouth over the crown to the nape, and from the lip to the throat."""

    def angle(point: np.ndarray) -> float:
        return float(np.arctan2(point[1] - CENTRE[1], point[2] - CENTRE[2]))

    mouth, neck = borders[0], borders[2]
    pieces = []
    for start, stop in ((angle(mouth[0]), angle(neck[-1]) + 2 * np.pi), (angle(mouth[-1]), angle(neck[0]))):
        angles = np.linspace(start, stop, 1500)
        line = skin_along(np.stack([np.zeros_like(angles), np.sin(angles), np.cos(angles)], 1))
        spacing = _spacing(line)
        steps = np.linalg.norm(np.diff(line, axis=0), axis=1) / (0.5 * (spacing[1:] + spacing[:-1]))
        length = np.concatenate([[0.0], np.cumsum(steps)])
        at = np.interp(np.linspace(0, length[-1], round(length[-1]) + 1)[1:-1], length, angles)
        pieces.append(skin_along(np.stack([np.zeros_like(at), np.sin(at), np.cos(at)], 1)))
    seam = np.concatenate(pieces)
    seam[:, 0] = 0.0
    return seam


def _throw(fixed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Free points (N, 3) on the left half: a dart throw whose radius follows `_spacing`."""
    count = 56000
    i = np.arange(count) + 0.5
    height, turn = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    radius = np.sqrt(1 - height**2)
    directions = np.stack([radius * np.cos(turn), height, radius * np.sin(turn)], 1)
    directions = directions[(directions[:, 0] > 0.004) & (height > -0.97)]
    sparse = (directions[:, 2] < 0.1) & (np.arange(len(directions)) % 4 > 0)  # the back of the head needs fewer
    nose = unit(_NOSE - CENTRE + rng.normal(size=(16000, 3)) * [0.60, 1.40, 0.5])  # seen edge-on: needs more tries
    directions = np.concatenate([directions[~sparse], nose[nose[:, 0] > 0.004]])
    points = skin_along(directions)
    x, y, front = points[:, 0], points[:, 1], points[:, 2] > 3
    mouth_up = np.where(y > MOUTH_Y, OUTER[1], OUTER[2])
    in_mouth = front & ((x / OUTER[0]) ** 2 + ((y - MOUTH_Y) / mouth_up) ** 2 < 1)
    in_eye = front & (((x - EYE[0]) / SOCKET[0]) ** 2 + ((y - EYE[1]) / SOCKET[1]) ** 2 < 1)
    points = points[~in_mouth & ~in_eye & (y > NECK_Y + 0.25)]
    spacing = _spacing(points)
    far = cKDTree(fixed).query(points)[0] > 0.72 * spacing
    points, spacing = points[far], spacing[far]
    order = rng.permutation(len(points))
    near = cKDTree(points).query_ball_point(points, 0.86 * spacing)
    alive, chosen = np.ones(len(points), bool), []
    for k in order:
        if alive[k]:
            chosen.append(k)
            alive[near[k]] = False
    return points[chosen]


def _relax(fixed: np.ndarray, free: np.ndarray, borders: list[np.ndarray], rounds: int = 12) -> np.ndarray:
    """Fixed and free points (N, 3), the free ones moved towards the mean of their neighbours, on the form."""
    points, first = np.concatenate([fixed, free]), len(fixed)
    for _ in range(rounds):
        faces = _triangulate(points, borders)
        links = _links(faces, len(points))
        mean = (links @ points) / np.maximum(np.asarray(links.sum(1)), 1)
        points[first:] = skin_along(unit(0.3 * points[first:] + 0.7 * mean[first:] - CENTRE))
        points[first:, 0] = np.maximum(points[first:, 0], 0.10)
    return _settle(points, _triangulate(points, borders), first)


def _settle(points: np.ndarray, faces: np.ndarray, first: int, rounds: int = 30) -> np.ndarray:
    """Vertices from index `first` on spread evenly by sliding on the form: rays see the sides of the nose edge-on."""
    links = _links(faces, len(points))
    count = np.maximum(np.asarray(links.sum(1)), 1)
    for _ in range(rounds):
        mean = (links @ points) / count
        points[first:] = onto_skin(points[first:] + 0.5 * (mean - points)[first:], rounds=2)
        points[first:, 0] = np.maximum(points[first:, 0], 0.05)
    return points


def _links(faces: np.ndarray, count: int) -> csr_matrix:
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    rows, columns = np.r_[edges[:, 0], edges[:, 1]], np.r_[edges[:, 1], edges[:, 0]]
    return coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count)).tocsr()


def _triangulate(points: np.ndarray, borders: list[np.ndarray]) -> np.ndarray:
    directions = unit(points - CENTRE)
    plane = directions[:, 1:] / (1 + directions[:, :1])  # from the pole at -x: the middle line becomes the unit circle
    faces = Delaunay(plane).simplices
    for border in borders:
        faces = faces[~((faces >= border[0]) & (faces <= border[-1])).all(1)]
    faces = faces[points[faces].mean(1)[:, 1] > NECK_Y + 0.01]
    a, b, c = (plane[faces[:, k]] for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (c - a)[:, 0] * (b - a)[:, 1]
    return faces[np.abs(area) > 1e-9]


def _mirrored(half: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    half[np.abs(half[:, 0]) < 1e-6, 0] = 0.0
    off = np.flatnonzero(half[:, 0] != 0)
    twin = np.arange(len(half))
    twin[off] = len(half) + np.arange(len(off))
    vertices = np.concatenate([half, half[off] * [-1, 1, 1]])
    faces = np.concatenate([faces, twin[faces][:, ::-1]])
    mirror = np.concatenate([twin, off])
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return vertices, faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-8], mirror


def _oriented(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Faces with one winding over the connected surface, counter-clockwise seen from outside."""
    faces = faces.copy()
    sides: dict[tuple[int, int], list[int]] = {}
    for i, face in enumerate(faces.tolist()):
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            sides.setdefault((min(a, b), max(a, b)), []).append(i)
    seen, queue = {0}, deque([0])
    while queue:
        i = queue.popleft()
        face = faces[i].tolist()
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            for j in sides[min(a, b), max(a, b)]:
                if j in seen:
                    continue
                other = faces[j].tolist()
                if (a, b) in zip(other, other[1:] + other[:1], strict=True):
                    faces[j] = other[::-1]
                seen.add(j)
                queue.append(j)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    volume = np.einsum("ij,ij->", np.cross(a, b), c)
    return faces if volume > 0 else faces[:, ::-1].copy()
