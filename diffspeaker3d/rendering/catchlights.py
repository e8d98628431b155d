"""The glint of a light in each eye, which makes a face look alive.

Vertices are too far apart for so small a highlight, so it is geometry: a disc just in front of the eyeball, where the
eyeball mirrors the light to the viewer. Lids cover it like the eye itself.
"""

from __future__ import annotations

import numpy as np

from diffspeaker3d.topology import Topology

REGIONS = ("eye_left", "eye_right")
# Direction to the light, in the viewer's frame: a low window, for the key's own reflection lies under the lid.
GLINT = np.array([-0.36, 0.33, 0.87], np.float32)
SIDES = 16
RADIUS = 0.105  # of the disc, in eyeball radii
LIFT = 1.012  # distance of the disc from the eyeball's centre, in eyeball radii


class Catchlights:
    """Discs for the eyes a topology names; none for others.

    Attributes:
        faces (array (F, 3) int32): triangles of all discs.
        num_vertices: vertices of all discs.
        color (array (3,) float32): display colour.
    """

    color = np.array([0.98, 0.98, 0.97], np.float32)

    def __init__(self, topology: Topology, light: np.ndarray) -> None:
        """Args:
        topology: its regions `eye_left` and `eye_right` are eyeballs.
        light (array (3,)): unit direction to it.
        """
        self._eyes = [topology.regions[name] for name in REGIONS if len(topology.regions.get(name, ())) > 3]
        self._light = light
        fan = np.array([(0, 1 + k, 1 + (k + 1) % SIDES) for k in range(SIDES)], np.int32)
        offsets = [fan + i * (SIDES + 1) for i in range(len(self._eyes))]
        self.faces = np.concatenate(offsets) if offsets else np.zeros((0, 3), np.int32)
        self.num_vertices = len(self._eyes) * (SIDES + 1)

    def __call__(self, vertices: np.ndarray, viewer: np.ndarray) -> np.ndarray:
        """Positions (num_vertices, 3) float32 of the discs for one frame, seen from `viewer` (3,)."""
        discs = [self._disc(*_sphere(vertices[eye].astype(np.float64)), viewer) for eye in self._eyes]
        return np.concatenate(discs).astype(np.float32) if discs else np.zeros((0, 3), np.float32)

    def _disc(self, centre: np.ndarray, radius: float, viewer: np.ndarray) -> np.ndarray:
        towards = viewer - centre
        normal = self._light + towards / np.linalg.norm(towards)
        normal /= np.linalg.norm(normal)
        right = np.cross([0.0, 1.0, 0.0], normal)
        right /= np.linalg.norm(right)
        angle = 2 * np.pi * np.arange(SIDES) / SIDES
        rim = np.cos(angle)[:, None] * right + np.sin(angle)[:, None] * np.cross(normal, right)
        directions = np.concatenate([normal[None], normal + RADIUS * rim])
        return centre + LIFT * radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (3,) and radius of the sphere through points (n, 3), least squares: |p|² = 2 p·c + (r² - |c|²)."""
    origin = points.mean(0)
    points = points - origin
    system = np.concatenate([2 * points, np.ones((len(points), 1))], 1)
    solution = np.linalg.lstsq(system, (points**2).sum(1), rcond=None)[0]
    return origin + solution[:3], float(np.sqrt(max(solution[3] + solution[:3] @ solution[:3], 0.0)))
