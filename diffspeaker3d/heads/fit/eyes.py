"""The opening between the lids of an unknown head: where the eyeball shows, or the hole where it would."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from diffspeaker3d.geometry.surface import Surface

REACH = 0.022  # metres around the mannequin's eye in which an eye is looked for
ROUNDNESS = 0.12  # spread of the radii of what counts as a ball; corneas bulge


def fit_sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (3,) of the sphere nearest to points (n, 3), also of a cap of one, and the spread of radii over their mean."""
    system = np.concatenate([2 * points, np.ones((len(points), 1))], 1)
    centre = np.linalg.lstsq(system, (points**2).sum(1), rcond=None)[0][:3]
    radii = np.linalg.norm(points - centre, axis=1)
    return centre, float(radii.std() / radii.mean())


def find_eyeball(head: Surface, expected: np.ndarray) -> np.ndarray | None:
    """Vertices (n,) of a part of the head that is a ball near `expected` (3,), or None. Metres, Y up, facing +Z."""
    for part in np.unique(head.components):
        vertices = np.flatnonzero(head.components == part)
        if not 20 < len(vertices) < len(head.components) / 2:
            continue
        centre, residual = fit_sphere(head.vertices[vertices])
        if np.linalg.norm(centre - expected) < REACH and residual < ROUNDNESS:
            return vertices
    return None


def find_opening(head: Surface, expected: np.ndarray) -> dict[str, np.ndarray]:
    """Points (3,) around the lids' opening: `left`, `right` (+X is left), and `top`, `bottom` at quarters; empty if there is none."""
    ball = find_eyeball(head, expected)
    shown = _visible(head, ball) if ball is not None else _hole(head, expected)
    if len(shown) < 6:
        return {}
    points = head.vertices[shown]
    across, up = points[:, 0], points[:, 1]
    ends = {"right": points[across.argmin()], "left": points[across.argmax()]}
    for share in (0.25, 0.5, 0.75):
        around = np.abs(across - across.min() - share * np.ptp(across)) < 0.12 * np.ptp(across)
        if around.any():
            ends |= {
                f"top_{share}": points[np.where(around, up, -np.inf).argmax()],
                f"bottom_{share}": points[np.where(around, up, np.inf).argmin()],
            }
    return ends


def _visible(head: Surface, ball: np.ndarray) -> np.ndarray:
    """Ball vertices that no other triangle hides from a viewer far in front."""
    points = head.vertices[ball]
    front = ball[points[:, 2] > (points[:, 2].min() + points[:, 2].max()) / 2]
    own = np.zeros(len(head.vertices), bool)
    own[ball] = True
    low, high = head.vertices[front].min(0), head.vertices[front].max(0)
    corners = head.vertices[head.faces]
    nearby = (
        (corners.max(1)[:, :2] >= low[:2]).all(1) & (corners.min(1)[:, :2] <= high[:2]).all(1) & ~own[head.faces[:, 0]]
    )
    a, b, c = (corners[nearby][:, k] for k in range(3))
    p = head.vertices[front][:, None]

    def side(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (y[..., 0] - x[..., 0]) * (p[..., 1] - x[..., 1]) - (y[..., 1] - x[..., 1]) * (p[..., 0] - x[..., 0])

    u, v, w = side(b, c), side(c, a), side(a, b)
    within = ((u >= 0) & (v >= 0) & (w >= 0)) | ((u <= 0) & (v <= 0) & (w <= 0))
    total = np.where(np.abs(u + v + w) < 1e-18, 1e-18, u + v + w)
    depth = (u * a[:, 2] + v * b[:, 2] + w * c[:, 2]) / total
    return front[~(within & (depth > p[..., 2])).any(1)]


def _hole(head: Surface, expected: np.ndarray) -> np.ndarray:
    """Vertices of the boundary loop whose middle is nearest to `expected`, if it is near and of an eye's size."""
    edges = np.sort(np.concatenate([head.faces[:, [0, 1]], head.faces[:, [1, 2]], head.faces[:, [2, 0]]]), 1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    border = unique[counts == 1]
    graph = sparse.coo_array((np.ones(len(border)), (border[:, 0], border[:, 1])), shape=(len(head.vertices),) * 2)
    labels = connected_components(graph, directed=False)[1]
    best, nearest = np.zeros(0, int), REACH
    for label in np.unique(labels[border[:, 0]]):
        loop = np.unique(border[labels[border[:, 0]] == label])
        points = head.vertices[loop]
        distance = float(np.linalg.norm((points.min(0) + points.max(0))[:2] / 2 - expected[:2]))
        if distance < nearest and np.ptp(points[:, 0]) < 2.5 * REACH:
            best, nearest = loop, distance
    return best
