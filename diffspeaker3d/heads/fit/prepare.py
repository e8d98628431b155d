"""A stranger's mesh made ready for the fit: seams closed, triangles turned outward, the head found on a body."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, connected_components

from diffspeaker3d.geometry.similarity import Similarity, find_similarity, turns_about
from diffspeaker3d.geometry.surface import Surface

OPPOSITE = -0.3  # cosine between normals of two sheets of skin that lie on each other, such as closed lips
CLOSED = 0.35  # share of a part's area that its openings may have for its inside to be known
SHARES = (0.13, 0.17, 0.22, 0.3, 0.45)  # of a body's height that its head may take: grown-ups to figurines


def close_seams(vertices: np.ndarray, faces: np.ndarray) -> tuple[Surface, np.ndarray]:
    """The mesh with vertices joined that texture seams have split, and each vertex's (V,) index in it.

    Vertices of one place whose surfaces face each other stay apart: those are lips, not seams.
    """
    _, place = np.unique(vertices.astype(np.float32), axis=0, return_inverse=True)
    place = place.reshape(-1)
    first = np.full(place.max() + 1, len(vertices))
    np.minimum.at(first, place, np.arange(len(vertices)))
    normals = Surface(vertices, faces).normals
    turned = (normals * normals[first[place]]).sum(1) < OPPOSITE
    _, first, place = np.unique(2 * first[place] + turned, return_index=True, return_inverse=True)
    return Surface(vertices[first], place.reshape(-1)[faces]), place.reshape(-1)


def turn_outward(surface: Surface) -> tuple[np.ndarray, int]:
    """Triangles (F, 3) that all run counter-clockwise seen from outside, and how many had to be turned round.

    Neighbours are made to agree first; then every closed part is turned by the sign of its volume. Parts too open to have an
    inside are turned with the largest part.
    """
    faces = surface.faces.copy()
    disagreeing = _disagreeing(faces)
    faces[disagreeing] = faces[disagreeing][:, ::-1]
    a, b, c = (surface.vertices[faces[:, k]] for k in range(3))
    areas = np.cross(b - a, c - a)
    labels = surface.components[faces[:, 0]]
    count = int(labels.max()) + 1
    size = np.bincount(labels, np.linalg.norm(areas, axis=1), count)
    open_area = np.linalg.norm([np.bincount(labels, areas[:, k], count) for k in range(3)], axis=0)
    corners = np.bincount(labels, minlength=count)
    middle = np.stack([np.bincount(labels, a[:, k], count) for k in range(3)], 1) / np.maximum(corners, 1)[:, None]
    volume = np.bincount(labels, ((a - middle[labels]) * areas).sum(1), count)
    inward = (volume < 0) & (open_area < CLOSED * size)
    largest = int(size.argmax())
    inward |= (open_area >= CLOSED * size) & (volume[largest] < 0)
    inward[largest] = volume[largest] < 0
    turned = inward[labels]
    faces[turned] = faces[turned][:, ::-1]
    return faces, int((faces != surface.faces).any(1).sum())


def _disagreeing(faces: np.ndarray) -> np.ndarray:
    """Mask (F,) of the triangles to turn so that neighbours run alike: those that fewer of their part agree with."""
    count = len(faces)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    owner = np.tile(np.arange(count), 3)
    forward = edges[:, 0] < edges[:, 1]
    edges = np.sort(edges, 1)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    same = (edges[order][1:] == edges[order][:-1]).all(1)
    alone = same & ~np.r_[False, same[:-1]] & ~np.r_[same[1:], False]  # edges of just two triangles
    flat = (faces == np.roll(faces, 1, 1)).any(1)[owner]  # a triangle without area has no side
    alone &= ~flat[order[1:]] & ~flat[order[:-1]]
    one, other = order[:-1][alone], order[1:][alone]
    clash = forward[one] == forward[other]
    flips = np.zeros(count, bool)
    if not clash.any():
        return flips
    pairs = (owner[one], owner[other])
    graph = sparse.coo_array((np.where(clash, 2, 1), pairs), shape=(count, count)).tocsr()
    graph = graph.maximum(graph.T).tocsr()
    labels = connected_components(graph, directed=False)[1]
    for label in np.unique(labels[pairs[0][clash]]):
        members = np.flatnonzero(labels == label)
        walk, before = breadth_first_order(graph, members[0], directed=False)
        clashing = np.asarray(graph[walk[1:], before[walk[1:]]]).reshape(-1) == 2
        for face, clashes in zip(walk[1:], clashing, strict=True):
            flips[face] = flips[before[face]] ^ clashes
        if 2 * flips[members].sum() > len(members):
            flips[members] ^= True
    return flips


def find_head(
    vertices: np.ndarray, reference: np.ndarray, known: np.ndarray | None, good: float
) -> tuple[Similarity, float]:
    """Lay the head of an unknown mesh (n, 3) over the reference (m, 3): the whole mesh if it is one, else the top of a body.

    Args:
        vertices: of the mesh.
        reference: the mannequin's.
        known (array (n,) bool or None): vertices that hang on a bone called head.
        good: distance left, in the reference's unit, that needs no further search.

    Returns:
        tuple[Similarity, float]: as `find_similarity`.
    """
    best: tuple[Similarity, float] | None = None
    for part, rotations in _parts(vertices, known):
        found = find_similarity(vertices[part], reference, rotations)
        if best is None or found[1] < best[1]:
            best = found
        if best[1] <= good:
            break
    assert best is not None
    return best


def _parts(vertices: np.ndarray, known: np.ndarray | None) -> Iterator[tuple[np.ndarray, list[np.ndarray] | None]]:
    """Where a head may be, the likeliest first: masks (n,), and the rotations to try or None for all."""
    if known is not None and known.sum() >= 50:
        yield known, None
    yield np.ones(len(vertices), bool), None
    for axis in (1, 2):
        height = vertices[:, axis]
        for share in SHARES:
            part = height > height.max() - 1.15 * share * np.ptp(height)
            if part.sum() >= 50:
                yield part, turns_about(axis)
