"""A camera that frames any head: looking at its +Z face, fixed over the clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FIELD_OF_VIEW = 20.0  # degrees over the shorter side: a portrait lens, noses keep their size
MARGIN = 0.86  # part of the picture that the head may fill


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera.

    Attributes:
        rotation (array (3, 3) float32): rows right, up and backward (towards the viewer), world coordinates.
        eye (array (3,) float32): position, in the mesh's unit.
        size: width and height, pixels.
        focal: focal length, pixels.
        near, far: depths that enclose the head, in the mesh's unit.
    """

    rotation: np.ndarray
    eye: np.ndarray
    size: tuple[int, int]
    focal: float
    near: float
    far: float

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """World points (P, 3) to x, y (P,) in pixels from the top left corner, and 1 / depth, all float32."""
        seen = (np.asarray(points, np.float32) - self.eye) @ self.rotation.T
        nearness = np.float32(1) / np.maximum(-seen[:, 2], np.float32(self.near * 1e-2))
        x = np.float32(self.size[0] / 2) + np.float32(self.focal) * seen[:, 0] * nearness
        y = np.float32(self.size[1] / 2) - np.float32(self.focal) * seen[:, 1] * nearness
        return x, y, nearness

    def world(self, direction: np.ndarray) -> np.ndarray:
        """A unit vector (3,) in world coordinates of a direction given as right, up, towards the viewer."""
        vector = direction @ self.rotation
        return vector / np.linalg.norm(vector)

    @property
    def pose(self) -> np.ndarray:
        """Camera-to-world matrix (4, 4) as OpenGL has it."""
        pose = np.eye(4)
        pose[:3, :3] = self.rotation.T
        pose[:3, 3] = self.eye
        return pose


def look(yaw: float, pitch: float) -> np.ndarray:
    """Rows right, up, backward (3, 3) float32 of a viewer at `yaw` degrees to the head's left and `pitch` degrees up."""
    a, b = np.radians([yaw, pitch])
    backward = np.array([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])
    right = np.array([np.cos(a), 0.0, -np.sin(a)])
    return np.stack([right, np.cross(backward, right), backward]).astype(np.float32)


def frame_head(
    shown: np.ndarray,
    size: tuple[int, int],
    direction: tuple[float, float],
    zoom: float = 1.0,
    mesh: np.ndarray | None = None,
) -> Camera:
    """The camera from which some points fill the picture up to `MARGIN`, whatever their unit and origin.

    Args:
        shown (array (P, 3)): what the picture is about, Y up, facing +Z.
        size: width and height, pixels.
        direction: yaw and pitch, degrees.
        zoom: above 1 comes closer.
        mesh (array (V, 3)): all that is drawn, none of which the near and far planes may cut; the points if None.
    """
    rotation = look(*direction)
    seen = shown.astype(np.float64) @ rotation.T.astype(np.float64)
    middle = (seen.min(0) + seen.max(0)) / 2
    offset = np.abs(seen - middle)
    depth = seen[:, 2] - middle[2]
    slope = np.tan(np.radians(FIELD_OF_VIEW / 2))
    short = min(size)
    # A point at depth z in front of the middle is inside when |x| <= slope * (distance - z): the farthest demand wins.
    reach = [offset[:, axis] / (slope * MARGIN * size[axis] / short) + depth for axis in (0, 1)]
    distance = float(max(r.max() for r in reach)) / zoom
    around = (shown if mesh is None else mesh).astype(np.float64) @ rotation.T.astype(np.float64) - middle
    radius = float(np.linalg.norm(around, axis=1).max()) + 1e-9
    eye = rotation.T.astype(np.float64) @ (middle + np.array([0.0, 0.0, distance]))
    near = max(distance - 2 * radius, distance * 0.02)
    return Camera(rotation, eye.astype(np.float32), size, short / 2 / slope, near, distance + 4 * radius)
