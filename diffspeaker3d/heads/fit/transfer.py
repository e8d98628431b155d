"""The mannequin's shapes on another head: carried over where the registered skins touch, filled in elsewhere, lips kept sealed.

Displacements are carried as in expression cloning (Noh & Neumann 2001): each turned and scaled by how the mannequin's skin was
turned and scaled there to fit the head.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from diffspeaker3d.geometry.surface import Surface
from diffspeaker3d.heads.fit.eyes import fit_sphere
from diffspeaker3d.heads.fit.mouth import Slit

TRUSTED_DISTANCE = 0.006  # metres between a vertex and the registered skin
SMOOTHING = 2  # rounds of averaging with neighbours, against steps where correspondences jump
FRAME_SMOOTHING = 10
SEAL_ROUNDS = 20
SEAL_REACH = 0.008  # metres around the seam over which a correction of the lips fades


def local_frames(before: Surface, after: Surface) -> np.ndarray:
    """Per vertex the rotation times scale (n, 3, 3) that best takes its edges before to its edges after."""
    edges = before.adjacency.tocoo()
    source, target = (
        before.vertices[edges.col] - before.vertices[edges.row],
        after.vertices[edges.col] - after.vertices[edges.row],
    )
    moment, size = np.zeros((len(before.vertices), 3, 3)), np.zeros(len(before.vertices))
    np.add.at(moment, edges.row, target[:, :, None] * source[:, None, :])
    # The normal settles flat neighbourhoods; its weight is their size.
    np.add.at(size, edges.row, (source**2).sum(1))
    moment += size[:, None, None] * after.normals[:, :, None] * before.normals[:, None, :] * 0.5
    stretched = np.zeros(len(size))
    np.add.at(stretched, edges.row, (target**2).sum(1))
    # Scale is that of the surroundings: where the lips meet, edges of a fraction of a millimetre stretch by anything.
    degree = np.maximum(np.asarray(before.adjacency.sum(1)).reshape(-1), 1)
    for _ in range(FRAME_SMOOTHING):
        stretched, size = (x / 2 + before.adjacency @ x / (2 * degree) for x in (stretched, size))
        moment = moment / 2 + (before.adjacency @ moment.reshape(len(size), 9)).reshape(-1, 3, 3) / (
            2 * degree[:, None, None]
        )
    u, _, vt = np.linalg.svd(moment)
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    scale = np.sqrt(stretched / np.maximum(size, 1e-30)).clip(0.6, 1.6)
    return (u @ vt) * scale[:, None, None]


def carry(
    deltas: np.ndarray, before: Surface, after: Surface, head: Surface, still: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Shapes of the mannequin's skin on the head.

    Args:
        deltas (array (K, n, 3)): displacements on the mannequin's skin.
        before, after: that skin, as it is and registered.
        head: in the same frame, metres.
        still (array (V,) bool): vertices that no shape may move, such as a body's.

    Returns:
        tuple: displacements (K, V, 3), and which vertices (V,) have a correspondence to be trusted.
    """
    frames = local_frames(before, after)
    turned = np.einsum("nij,knj->kni", frames, deltas)
    match = after.nearest(head.vertices, head.normals)
    corners = after.faces[match.face]
    carried = np.einsum("knci,nc->kni", turned[:, corners], match.weights)
    trusted = (match.distance < TRUSTED_DISTANCE) & (match.facing > 0.2) & ~still
    filled = _fill(carried, trusted, still, head)
    degree = np.asarray(head.adjacency.sum(1)).reshape(-1)
    average = sparse.diags_array(0.5 / np.maximum(degree, 1)) @ head.adjacency + sparse.diags_array(
        np.where(degree > 0, 0.5, 1.0)
    )
    flat = filled.transpose(1, 0, 2).reshape(len(head.vertices), -1)
    for _ in range(SMOOTHING):
        flat = average @ flat
    return flat.reshape(len(head.vertices), len(deltas), 3).transpose(1, 0, 2), trusted


def _fill(carried: np.ndarray, trusted: np.ndarray, still: np.ndarray, head: Surface) -> np.ndarray:
    """Untrusted vertices take the harmonic blend of the trusted ones around; parts without any stay still."""
    result = np.where(trusted[None, :, None], carried, 0.0)
    reachable = np.isin(head.components, np.unique(head.components[trusted]))
    free = np.flatnonzero(~trusted & ~still & reachable)
    if len(free) == 0:
        return result
    known = np.flatnonzero(trusted | still)
    rows = head.laplacian[free]
    right = -(rows[:, known] @ result[:, known].transpose(1, 0, 2).reshape(len(known), -1))
    solved = splu((rows[:, free] + 1e-9 * sparse.eye_array(len(free))).tocsc()).solve(right)
    result[:, free] = solved.reshape(len(free), len(carried), 3).transpose(1, 0, 2)
    return result


def seal(jaw_open: np.ndarray, mouth_close: np.ndarray, slit: Slit, head: Surface) -> np.ndarray:
    """`mouthClose` (V, 3) corrected so that, added to `jawOpen`, facing lip vertices move as one: the gap stays that of rest."""
    together = jaw_open + mouth_close
    points = np.concatenate([slit.upper, slit.lower])
    shares = np.bincount(points, minlength=len(together))
    seam = shares > 0
    correction = np.zeros_like(together)
    for _ in range(SEAL_ROUNDS):  # a vertex may face several: each round halves what is left
        apart = (together + correction)[slit.upper] - (together + correction)[slit.lower]
        pull = np.zeros_like(together)
        np.add.at(pull, points, np.concatenate([-apart / 2, apart / 2]))
        correction[seam] += pull[seam] / shares[seam, None]
    # Each lip's correction fades along its own skin: neighbours across the slit are not connected.
    distance = cKDTree(head.vertices[points]).query(head.vertices)[0]
    free = np.flatnonzero(~seam & (distance < 3 * SEAL_REACH))
    spacing = np.sqrt(np.median((head.face_normals**2).sum(1)) ** 0.5)
    system = head.laplacian[free][:, free] + sparse.diags_array(np.full(len(free), (spacing / SEAL_REACH) ** 2))
    correction[free] = splu(system.tocsc()).solve(-(head.laplacian[free][:, np.flatnonzero(seam)] @ correction[seam]))
    return mouth_close + correction


def turn_eye(deltas: np.ndarray, eye: np.ndarray, ball: np.ndarray) -> np.ndarray:
    """Look shapes (K, n, 3) of the mannequin's eyeball (n, 3) as rotations of another ball (m, 3) about its own centre."""
    pivot = fit_sphere(ball)[0]
    result = np.zeros((len(deltas), len(ball), 3))
    for k, delta in enumerate(deltas):
        if np.abs(delta).max() == 0:
            continue
        source, target = eye - eye.mean(0), eye + delta - (eye + delta).mean(0)
        u, _, vt = np.linalg.svd(target.T @ source)
        rotation = u * np.array([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
        result[k] = (ball - pivot) @ (rotation - np.eye(3)).T
    return result
