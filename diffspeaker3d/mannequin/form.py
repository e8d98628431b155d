"""The form of the head: a signed distance function built from smoothly joined ellipsoids and capsules.

Centimetres, X to the subject's left, Y up, Z to the front, origin between the ears. The function is mirror symmetric
because it only ever sees |x|. Smooth minimum: I. Quilez, "smooth minimum", polynomial form.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

CENTRE = np.array([0.0, -0.6, -2.0])  # every ray to the skin starts here
EYE = np.array([3.03, 0.2, 6.48])  # centre of the left eyeball
EYE_RADIUS = 1.42
MOUTH_Y = -6.45  # height of the line where the lips meet

Distance = Callable[[np.ndarray], np.ndarray]


def smooth_min(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """Smooth minimum of two distances (...,): equal to min(a, b) where they differ by more than `radius`."""
    h = np.clip(0.5 + 0.5 * (b - a) / radius, 0.0, 1.0)
    return b * (1 - h) + a * h - radius * h * (1 - h)


def ellipsoid(points: np.ndarray, centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    """Approximate signed distance (...,) of points (..., 3) to an ellipsoid."""
    scaled = (points - np.array(centre)) / np.array(radii)
    k0 = np.linalg.norm(scaled, axis=-1)
    k1 = np.linalg.norm(scaled / np.array(radii), axis=-1)
    return k0 * (k0 - 1) / np.maximum(k1, 1e-9)


def capsule(points: np.ndarray, a: tuple[float, ...], b: tuple[float, ...], ra: float, rb: float) -> np.ndarray:
    """Signed distance (...,) of points (..., 3) to a rod from `a` to `b` whose radius runs from `ra` to `rb`."""
    start, axis = np.array(a), np.array(b) - np.array(a)
    along = np.clip((points - start) @ axis / (axis @ axis), 0.0, 1.0)
    return np.linalg.norm(points - start - along[..., None] * axis, axis=-1) - (ra + (rb - ra) * along)


def head_distance(points: np.ndarray) -> np.ndarray:
    """Signed distance (...,) in cm of points (..., 3) to the skin of the neutral head, negative inside."""
    p = points.copy()
    p[..., 0] = np.abs(p[..., 0])
    d = _skull(p)
    d = smooth_min(d, _nose(p), 1.25)
    d = smooth_min(d, ellipsoid(p, (0.75, -2.95, 8.0), (0.95, 1.15, 1.05)), 0.9)  # the nose's foot on the face
    d = smooth_min(d, capsule(p, (0.62, -3.40, 9.20), (1.27, -3.78, 8.48), 0.44, 0.50), 0.40)  # wing of the nose
    d = -smooth_min(-d, ellipsoid(p, (0.60, -4.24, 9.12), (0.32, 0.36, 0.56)), 0.20)  # nostril
    return -smooth_min(-d, capsule(p, (0, -4.60, 9.72), (0, -5.5, 9.55), 0.20, 0.24), 0.42)  # philtrum


def _skull(p: np.ndarray) -> np.ndarray:
    d = ellipsoid(p, (0, 2.75, -1.5), (7.45, 7.3, 8.9))  # cranium
    d = smooth_min(d, ellipsoid(p, (0, 2.7, 3.1), (6.0, 5.2, 5.5)), 2.2)  # forehead
    d = smooth_min(d, ellipsoid(p, (0, -2.8, 2.4), (6.2, 6.9, 5.9)), 2.2)  # middle of the face
    d = smooth_min(d, capsule(p, (4.9, -3.2, -0.6), (1.7, -8.8, 5.4), 1.60, 1.50), 2.6)  # jaw line
    d = smooth_min(d, ellipsoid(p, (0, -7.9, 4.9), (3.35, 2.8, 3.6)), 2.0)  # lower face
    d = smooth_min(d, ellipsoid(p, (0, -9.45, 7.05), (1.50, 1.20, 1.35)), 1.3)  # chin
    d = smooth_min(d, ellipsoid(p, (4.0, -2.7, 5.0), (1.75, 1.35, 2.35)), 2.6)  # cheekbone
    d = smooth_min(d, capsule(p, (4.75, 1.6, 5.3), (4.95, -1.8, 5.2), 0.75, 0.85), 1.6)  # outer rim of the orbit
    d = smooth_min(d, ellipsoid(p, (2.9, -2.2, 6.3), (1.5, 1.0, 1.15)), 1.8)  # under the eye
    d = smooth_min(d, ellipsoid(p, (0, -6.3, 6.05), (2.7, 2.5, 2.95)), 1.5)  # muzzle
    d = smooth_min(d, capsule(p, (1.1, 1.95, 7.65), (4.2, 1.7, 5.95), 0.72, 0.52), 1.3)  # brow ridge
    d = smooth_min(d, capsule(p, (0, -6, -3.2), (0, -20, -4.2), 4.35, 4.75), 3.4)  # neck
    return -smooth_min(-d, ellipsoid(p, (3.0, 0.35, 9.20), (1.95, 1.25, 2.0)), 1.4)  # eye socket


def _nose(p: np.ndarray) -> np.ndarray:
    n = capsule(p, (0, 1.2, 7.50), (0, -2.95, 9.55), 0.46, 0.66)  # bridge
    return smooth_min(n, ellipsoid(p, (0, -3.36, 9.76), (0.86, 0.76, 0.88)), 0.55)  # tip


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) scaled to length one."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def outermost(origins: np.ndarray, directions: np.ndarray, near: float, far: float, samples: int = 72) -> np.ndarray:
    """Last distance (N,) in [near, far] at which rays (N, 3) leave the head."""
    t = np.linspace(near, far, samples)
    inside = np.stack([head_distance(origins + directions * x) < 0 for x in t], 1)
    last = np.minimum(samples - 1 - np.argmax(inside[:, ::-1], 1), samples - 2)
    low, high = t[last], t[last + 1]
    for _ in range(20):
        middle = 0.5 * (low + high)
        hit = head_distance(origins + directions * middle[:, None]) < 0
        low, high = np.where(hit, middle, low), np.where(hit, high, middle)
    return 0.5 * (low + high)


def skin_along(directions: np.ndarray) -> np.ndarray:
    """Skin points (N, 3) seen from CENTRE in unit directions (N, 3)."""
    return CENTRE + directions * outermost(CENTRE, directions, 0.5, 22.0)[:, None]


def onto_skin(points: np.ndarray, rounds: int = 3) -> np.ndarray:
    """Points (N, 3) near the skin moved onto it along the gradient of the distance."""
    step = 1e-3
    for _ in range(rounds):
        distance = head_distance(points)
        gradient = np.stack([head_distance(points + step * axis) - distance for axis in np.eye(3)], 1) / step
        points = points - (distance / np.maximum((gradient**2).sum(1), 0.2))[:, None] * gradient
    return points


def front_z(xy: np.ndarray) -> np.ndarray:
    """Height z (N,) of the front of the face over (x, y) (N, 2)."""
    origins = np.concatenate([xy, np.zeros((len(xy), 1))], 1)
    return outermost(origins, np.array([0.0, 0.0, 1.0]), 3.0, 13.0, 100)
