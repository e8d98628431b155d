"""Light that does not reach folds: a mild ambient occlusion and cavity tone, baked into the clay's colour."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, diags

from diffspeaker3d.mannequin.form import head_distance


def occlusion(vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Share (V,) in 0..1 of nearby free space that the form takes away in front of each point.

    See I. Quilez, "ambient occlusion from a distance field": the field along the normal falls short of the way walked.
    """
    total = np.zeros(len(vertices))
    for step, weight in ((0.25, 0.30), (0.55, 0.25), (1.1, 0.25), (2.0, 0.20)):
        total += weight * np.clip(1 - head_distance(vertices + step * normals) / step, 0, 1)
    return total


def cavity(vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Signed bend (V,) per cm, positive in folds: how far the neighbours' mean lies in front of a vertex.

    Cotangent weights (Pinkall & Polthier 1993): which way the quads are cut along the middle line must not show.
    """
    n = len(vertices)
    corners = vertices[faces]
    weights, rows, columns = [], [], []
    for k in range(3):  # the edge opposite corner k
        a, b = corners[:, (k + 1) % 3] - corners[:, k], corners[:, (k + 2) % 3] - corners[:, k]
        cotangent = (a * b).sum(1) / np.maximum(np.linalg.norm(np.cross(a, b), axis=1), 1e-9)
        weights += [cotangent, cotangent]
        rows += [faces[:, (k + 1) % 3], faces[:, (k + 2) % 3]]
        columns += [faces[:, (k + 2) % 3], faces[:, (k + 1) % 3]]
    links = coo_matrix((np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=(n, n)).tocsr()
    links.data = links.data.clip(1e-3, 5.0)
    total = np.asarray(links.sum(1)).ravel()
    links = diags(1 / np.maximum(total, 1e-9)) @ links
    pairs = links.tocoo()
    reach = np.linalg.norm(vertices[pairs.row] - vertices[pairs.col], axis=1)
    length = np.bincount(pairs.row, pairs.data * reach, n) / 2
    bend = ((links @ vertices - vertices) * normals).sum(1) / np.maximum(length, 0.05) ** 2
    return 0.6 * (links @ bend) + 0.4 * bend
