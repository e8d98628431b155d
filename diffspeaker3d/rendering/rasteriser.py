"""A z-buffer in NumPy: draws without any graphics library, and sees which vertices light reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from diffspeaker3d.rendering.camera import Camera

CANDIDATES = 1 << 19  # pixels looked at together; bounds the memory
SLACK = np.float32(1e-5)  # of a barycentric weight: rounding must not leave pinholes along shared edges
SAMPLES = 2  # per pixel and axis
LINE_WIDTH = 0.8  # pixels, of wireframe edges
EDGE_SHADE = 0.45  # their brightness, of the clay beside them


@dataclass(frozen=True, eq=False)
class Fragments:
    """What each pixel of a buffer sees; -1 where it sees nothing.

    Attributes:
        face (array (h * w,) int32): index of the nearest triangle.
        weights (array (h * w, 2) float32): barycentric weights of its first two corners.
        nearness (array (h * w,) float32): 1 / depth, or any number that grows towards the viewer; 0 where empty.
    """

    face: np.ndarray
    weights: np.ndarray
    nearness: np.ndarray


def rasterise(
    x: np.ndarray, y: np.ndarray, nearness: np.ndarray, faces: np.ndarray, size: tuple[int, int], cull: bool = True
) -> Fragments:
    """Which triangle every pixel sees.

    Everything stays float32: an int32 array times a float32 scalar becomes float64 in NumPy 2, and depths of both
    kinds never compare equal.

    Args:
        x, y (array (V,) float32): positions in pixels, y downward.
        nearness (array (V,) float32): positive, greater is nearer, linear over the picture.
        faces (array (F, 3)): triangles, counter-clockwise seen from their front.
        size: width and height.
        cull: leave out triangles seen from behind.
    """
    width, height = size
    face = np.full(width * height, -1, np.int32)
    weights = np.zeros((width * height, 2), np.float32)
    buffer = np.zeros(width * height, np.float32)
    for index, pixel, w0, w1, depth in _candidates(x, y, nearness, faces, size, cull):
        np.maximum.at(buffer, pixel, depth)
        front = np.flatnonzero(depth >= buffer[pixel])
        face[pixel[front]] = index[front]
        weights[pixel[front], 0] = w0[front]
        weights[pixel[front], 1] = w1[front]
    return Fragments(face, weights, buffer)


def _candidates(
    x: np.ndarray, y: np.ndarray, nearness: np.ndarray, faces: np.ndarray, size: tuple[int, int], cull: bool
) -> Iterator[tuple[np.ndarray, ...]]:
    """Blocks of (face, pixel, weight 0, weight 1, nearness): every pixel centre inside every triangle."""
    corner_x, corner_y, corner_n = x[faces], y[faces], nearness[faces]
    area = (corner_x[:, 1] - corner_x[:, 0]) * (corner_y[:, 2] - corner_y[:, 0]) - (corner_x[:, 2] - corner_x[:, 0]) * (
        corner_y[:, 1] - corner_y[:, 0]
    )
    half = np.float32(0.5)
    left = np.ceil(corner_x.min(1) - half).clip(0, size[0]).astype(np.int32)
    top = np.ceil(corner_y.min(1) - half).clip(0, size[1]).astype(np.int32)
    columns = np.floor(corner_x.max(1) - half).clip(-1, size[0] - 1).astype(np.int32) - left + 1
    rows = np.floor(corner_y.max(1) - half).clip(-1, size[1] - 1).astype(np.int32) - top + 1
    facing = area < 0 if cull else area != 0
    keep = np.flatnonzero(facing & (columns > 0) & (rows > 0)).astype(np.int32)
    if not len(keep):
        return
    left, top, columns, rows = left[keep], top[keep], columns[keep], rows[keep]
    # The origin of each triangle is its own first pixel: small numbers keep float32 exact enough.
    px = corner_x[keep] - (left[:, None].astype(np.float32) + half)
    py = corner_y[keep] - (top[:, None].astype(np.float32) + half)
    slope0, slope1 = (_edge(px, py, area[keep], i, j) for i, j in ((1, 2), (2, 0)))
    depth = corner_n[keep]
    counts = columns.astype(np.int64) * rows
    ends = np.cumsum(counts)
    start = 0
    while start < len(keep):
        stop = max(int(np.searchsorted(ends, (ends[start - 1] if start else 0) + CANDIDATES, "right")), start + 1)
        local = np.repeat(np.arange(start, stop, dtype=np.int32), counts[start:stop])
        first = np.repeat((ends[start:stop] - counts[start:stop]), counts[start:stop])
        offset = (np.arange(len(local), dtype=np.int64) + (ends[start] - counts[start]) - first).astype(np.int32)
        row = offset // columns[local]
        column = offset - row * columns[local]
        fx, fy = column.astype(np.float32), row.astype(np.float32)
        w0 = slope0[0][local] * fx + slope0[1][local] * fy + slope0[2][local]
        w1 = slope1[0][local] * fx + slope1[1][local] * fy + slope1[2][local]
        inside = np.flatnonzero((w0 >= -SLACK) & (w1 >= -SLACK) & (w0 + w1 <= 1 + SLACK))
        local, w0, w1 = local[inside], w0[inside], w1[inside]
        corner = depth[local]
        nearest = w0 * corner[:, 0] + w1 * corner[:, 1] + (np.float32(1) - w0 - w1) * corner[:, 2]
        yield keep[local], (row[inside] + top[local]) * np.int32(size[0]) + column[inside] + left[local], w0, w1, nearest
        start = stop


def _edge(px: np.ndarray, py: np.ndarray, area: np.ndarray, i: int, j: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients a, b, c (F,) of a barycentric weight a x + b y + c: that of the corner opposite to edge i -> j."""
    a = -(py[:, j] - py[:, i]) / area
    b = (px[:, j] - px[:, i]) / area
    return a, b, -(a * px[:, i] + b * py[:, i])


class NumpyCanvas:
    """Draws coloured triangles with `SAMPLES`² samples per pixel; the slowest canvas, and the one that always works."""

    name = "numpy"

    def __init__(self, faces: np.ndarray, num_vertices: int, camera: Camera, wireframe: bool) -> None:
        self.faces = np.asarray(faces, np.int32)
        self.camera = camera
        self.wireframe = wireframe

    def draw(self, vertices: np.ndarray, colors: np.ndarray) -> np.ndarray:
        """Positions (V, 3) and display colours (V, 3) in [0, 1] to (h, w, 4) uint8, colours premultiplied by coverage."""
        width, height = (n * SAMPLES for n in self.camera.size)
        x, y, nearness = self.camera.project(vertices)
        x, y = x * np.float32(SAMPLES), y * np.float32(SAMPLES)
        seen = rasterise(x, y, nearness, self.faces, (width, height))
        pixel = np.flatnonzero(seen.face >= 0)
        face, weight = seen.face[pixel], seen.weights[pixel]
        corners = self.faces[face]
        scaled = colors.astype(np.float32) * np.float32(255)
        color = scaled[corners[:, 2]]
        color += weight[:, :1] * (scaled[corners[:, 0]] - color) + weight[:, 1:] * (scaled[corners[:, 1]] - scaled[corners[:, 2]])
        if self.wireframe:
            color[_edge_distance(x, y, self.faces, face, weight) < LINE_WIDTH / 2 * SAMPLES] *= np.float32(EDGE_SHADE)
        samples = np.zeros((height * width, 4), np.uint8)
        samples[pixel, :3] = color + np.float32(0.5)
        samples[pixel, 3] = 255
        grid = samples.reshape(height // SAMPLES, SAMPLES, width // SAMPLES, SAMPLES, 4)
        total = np.full((height // SAMPLES, width // SAMPLES, 4), SAMPLES**2 // 2, np.uint16)
        for row in range(SAMPLES):
            for column in range(SAMPLES):
                total += grid[:, row, :, column]
        return (total // SAMPLES**2).astype(np.uint8)

    def close(self) -> None:
        """Nothing to give back."""


def _edge_distance(x: np.ndarray, y: np.ndarray, faces: np.ndarray, face: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Distance (P,) in samples from each seen point to the nearest edge of its triangle."""
    cx, cy = x[faces], y[faces]
    area = np.abs((cx[:, 1] - cx[:, 0]) * (cy[:, 2] - cy[:, 0]) - (cx[:, 2] - cx[:, 0]) * (cy[:, 1] - cy[:, 0]))
    lengths = np.stack([np.hypot(cx[:, j] - cx[:, i], cy[:, j] - cy[:, i]) for i, j in ((1, 2), (2, 0), (0, 1))], 1)
    heights = (area[:, None] / np.maximum(lengths, np.float32(1e-6)))[face]
    all_weights = np.concatenate([weight, 1 - weight.sum(1, keepdims=True)], 1)
    return (all_weights * heights).min(1)
