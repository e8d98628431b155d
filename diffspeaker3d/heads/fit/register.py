"""Non-rigid registration: the mannequin's skin is bent until it lies on another head."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from diffspeaker3d.geometry.surface import Surface

STIFFNESS = (1000.0, 300.0, 100.0, 30.0, 10.0, 4.0)  # from nearly affine to following every bump
ROUNDS = 3  # new correspondences per stiffness
LANDMARK_WEIGHT = 0.3  # per stiffness: a landmark bends its surroundings, it never pulls a spike out of them
FARTHEST = 0.02  # metres; matches further away do not pull


def register(skin: Surface, head: Surface, pulled: np.ndarray, landmarks: Mapping[int, np.ndarray]) -> np.ndarray:
    """Vertices (n, 3) of `skin` moved onto `head`, both in metres in one frame.

    Minimises sum_i w_i |v_i + d_i - c_i|^2 + a |L d|^2 + b sum_l |v_l + d_l - p_l|^2 over displacements d for falling
    stiffness a, with c_i the nearest point of the head whose normal agrees (after Amberg, Romdhani & Vetter 2007, with the
    umbrella operator L in place of affine maps per vertex).

    Args:
        skin: the mannequin's.
        head: the other.
        pulled (array (n,) bool): vertices that may be pulled to the surface; the inner mouth only follows.
        landmarks: vertex of the skin -> its point (3,) on the head.
    """
    start = skin.vertices
    count = len(start)
    bending = (skin.laplacian.T @ skin.laplacian).tocsc()
    fixed = np.zeros(count)
    goal = np.zeros((count, 3))
    for vertex, point in landmarks.items():
        fixed[vertex], goal[vertex] = LANDMARK_WEIGHT, point - start[vertex]
    displacement = np.zeros((count, 3))
    for stiffness in STIFFNESS:
        for _ in range(ROUNDS):
            moved = Surface(start + displacement, skin.faces)
            match = head.nearest(moved.vertices, moved.normals)
            weight = pulled * (match.facing > 0.4) * (match.distance < FARTHEST) / (1 + (match.distance / 0.005) ** 2)
            system = stiffness * bending + sparse.diags_array(weight + stiffness * fixed + 1e-6)
            right = weight[:, None] * (match.points - start) + stiffness * fixed[:, None] * goal
            displacement = splu(system.tocsc()).solve(right)
    return start + displacement
