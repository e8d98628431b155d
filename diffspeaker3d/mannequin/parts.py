"""What is not skin: eyeballs, teeth, tongue and brows. Each part is a small grid of its own, in cm, for the left side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffspeaker3d.mannequin.form import EYE, EYE_RADIUS, MOUTH_Y, front_z, unit

LIP_Z = float(front_z(np.array([[0.0, MOUTH_Y]]))[0])  # z of the lips' contact; the teeth stand behind it


@dataclass(frozen=True)
class Part:
    """A piece of the head.

    Attributes:
        vertices (array (V, 3)): cm.
        faces (array (F, 3)): counter-clockwise seen from outside.
        colors (array (V, 3)): sRGB 0..255.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray

    def mirrored(self) -> Part:
        """The same part on the other side, in the same vertex order."""
        return Part(self.vertices * [-1, 1, 1], self.faces[:, ::-1].copy(), self.colors)


def grid_faces(rows: int, columns: int, closed: bool = False) -> np.ndarray:
    """Triangles over a (rows, columns) grid of vertices; `closed` joins the last row to the first."""
    row, column = np.meshgrid(np.arange(rows if closed else rows - 1), np.arange(columns - 1), indexing="ij")
    a = (row * columns + column).ravel()
    b = (((row + 1) % rows) * columns + column).ravel()
    return np.concatenate([np.stack([a, b, b + 1], 1), np.stack([a, b + 1, a + 1], 1)])


def polar_grid(grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of a closed grid (rows, columns, 3) whose first column is one point, the pole."""
    rows, columns = grid.shape[:2]
    vertices = np.concatenate([grid[:1, 0], grid[:, 1:].reshape(-1, 3)])
    faces = grid_faces(rows, columns - 1, closed=True) + 1
    spoke = 1 + np.arange(rows) * (columns - 1)
    fan = np.stack([np.zeros(rows, int), np.roll(spoke, -1), spoke], 1)
    return vertices, np.concatenate([fan, faces])


def eyeball() -> Part:
    """Left eyeball: rings of constant angle from the pupil's centre, edges doubled where the colour changes."""
    rings = np.array([0.0, 0.09, 0.155, 0.175, 0.25, 0.33, 0.385, 0.42, 0.45, 0.58, 0.78, 1.0, 1.25, 1.55, 1.9])
    tones = np.array(
        [[26, 22, 22]] * 3
        + [[104, 88, 72], [122, 104, 84], [108, 92, 76], [70, 60, 52], [70, 60, 52]]
        + [[232, 226, 216]] * 7
    )
    turns = np.arange(32) / 32 * 2 * np.pi
    turn, angle = np.meshgrid(turns, rings, indexing="ij")
    points = np.stack([np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)], -1)
    vertices, faces = polar_grid(EYE + EYE_RADIUS * points)
    colors = np.concatenate([tones[:1], np.tile(tones[1:], (len(turns), 1))])
    return Part(vertices, faces[:, ::-1].copy(), colors)


def teeth(upper: bool) -> Part:
    """One row of teeth as a scalloped band along half an ellipse, from gum to edge to back, both sides at once."""
    turn = np.linspace(-1.48, 1.48, 53)
    arch = np.stack([1.88 * np.sin(turn), -2.55 * (1 - np.cos(turn))], 1)  # sideways, to the front
    inward = -unit(np.stack([np.sin(turn) / 1.88, np.cos(turn) / 2.55], 1))
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(arch, axis=0), axis=1))])
    groove = 1 - np.abs(np.cos(np.pi * (length - length[-1] / 2) / (0.66 if upper else 0.50))) ** 0.6
    sign = 1.0 if upper else -1.0
    # The lower row sinks to the sides, or what is seen along its curve stands out like a tusk beside the tongue.
    edge = MOUTH_Y + (-0.30 + 0.16 * (1 - np.cos(turn)) if upper else -0.36 - 0.80 * (1 - np.cos(turn)))
    crown = np.ones_like(turn) if upper else 0.58 - 0.56 * (1 - np.cos(turn))
    # (height above the edge, depth behind the front): gum, neck, belly, edge, back
    profile = ((0.82, 0.26), (0.62, 0.08), (0.34, 0.0), (0.06, 0.05), (0.0, 0.12), (0.10, 0.22), (0.70, 0.42))
    columns = []
    for rise, back in profile:
        x, z = (arch + inward * (back + 0.10 * groove)[:, None]).T
        y = edge + sign * (crown * rise + 0.06 * groove * (rise < 0.2))
        columns.append(np.stack([x, y, LIP_Z - (0.44 if upper else 0.68) + z], 1))
    colors = np.tile(np.array([[176, 112, 100], [226, 214, 194]] + [[236, 227, 208]] * 5), (len(turn), 1))
    faces = grid_faces(len(turn), len(profile))
    return Part(np.stack(columns, 1).reshape(-1, 3), faces[:, ::-1].copy() if upper else faces, colors)


def tongue() -> Part:
    """The tongue, a flattened tapering body with a groove, tip to the front."""
    around, along = np.arange(20) / 20 * 2 * np.pi, np.linspace(1, 0, 15)
    turn, reach = np.meshgrid(around, along, indexing="ij")
    width = 1.30 * np.sqrt(np.maximum(1 - reach**2.2, 0))  # fits behind the curve of the lower teeth
    height = 0.42 * np.sqrt(np.maximum(1 - reach**4, 0))
    groove = 0.14 * (np.sin(turn) > 0) * np.exp(-((np.cos(turn) / 0.3) ** 2)) * height / 0.42
    x = width * np.cos(turn)
    y = MOUTH_Y - 0.80 + 0.30 * np.sin(np.pi * reach) + height * np.sin(turn) - groove
    z = LIP_Z - 3.95 + 2.65 * np.sin(reach * np.pi / 2)
    vertices, faces = polar_grid(np.stack([x, y, z], -1))
    colors = np.tile(np.array([[178, 104, 98]]), (len(vertices), 1))
    return Part(vertices, faces[:, ::-1].copy(), colors)


def brow() -> Part:
    """Left brow: a low ridge of clay on the skin, thick towards the nose and running out over the temple."""
    t = np.linspace(0, 1, 24)
    x = 1.20 + 3.70 * t
    y = 1.80 + 0.55 * np.sin(np.pi * np.clip(0.10 + 0.78 * t, 0, 1)) - 0.22 * t**3
    half_width = 0.25 * (1 - 0.88 * t**1.6) * (1 - 0.80 * np.exp(-t / 0.06))
    across = np.linspace(-1, 1, 7)
    xy = np.stack([np.repeat(x, 7), (y[:, None] + half_width[:, None] * across).ravel()], 1)
    ridge = (0.12 * np.sqrt(np.maximum(1 - across**2, 0)) - 0.03)[None, :] * (half_width / 0.25)[:, None] ** 0.5
    vertices = np.concatenate([xy, (front_z(xy) + ridge.ravel())[:, None]], 1)
    colors = np.tile(np.array([[142, 114, 96]]), (len(vertices), 1))
    return Part(vertices, grid_faces(len(t), len(across)), colors)
