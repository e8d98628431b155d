"""A z-buffer in NumPy: draws without any graphics library, and sees which vertices light reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from diffspeaker3d.rendering.camera import Camera
from diffspeaker3d.rendering.paint import sample
from diffspeaker3d.topology import Texture

BLOCK = 1 << 18  # pixels worked on together; bounds the memory
SLACK = np.float32(1e-5)  # of a barycentric weight: rounding must not leave pinholes along shared edges
SAMPLES = 2  # per pixel and axis
LINE_WIDTH = 0.8  # pixels, of wireframe edges
EDGE_SHADE = 0.45  # their brightness, of the clay beside them


@dataclass(frozen=True, eq=False)
class Fragments:
    """What each pixel of a buffer sees; -1 where it sees nothing.

    Attributes:
        face (array (h * w,) int32): index of the nearest triangle.
        weights (array (2, h * w) float32): barycentric weights of its first two corners.
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
    weights = np.zeros((2, width * height), np.float32)
    buffer = np.zeros(width * height, np.float32)
    for index, pixel, w0, w1, depth in _samples(x, y, nearness, faces, size, cull):
        np.maximum.at(buffer, pixel, depth)
        front = np.flatnonzero(depth >= buffer[pixel])
        face[pixel[front]] = index[front]
        weights[0, pixel[front]] = w0[front]
        weights[1, pixel[front]] = w1[front]
    return Fragments(face, weights, buffer)


def _samples(
    x: np.ndarray, y: np.ndarray, nearness: np.ndarray, faces: np.ndarray, size: tuple[int, int], cull: bool
) -> Iterator[tuple[np.ndarray, ...]]:
    """Blocks of (face, pixel, weight 0, weight 1, nearness): every pixel centre inside every triangle.

    Each triangle is cut into rows of pixels, and the edges give the first and the last pixel of each row.
    """
    corner_x, corner_y = x[faces], y[faces]
    area = (corner_x[:, 1] - corner_x[:, 0]) * (corner_y[:, 2] - corner_y[:, 0]) - (corner_x[:, 2] - corner_x[:, 0]) * (
        corner_y[:, 1] - corner_y[:, 0]
    )
    half = np.float32(0.5)
    left = np.ceil(corner_x.min(1) - half).clip(0, size[0]).astype(np.int32)
    top = np.ceil(corner_y.min(1) - half).clip(0, size[1]).astype(np.int32)
    last = np.floor(corner_x.max(1) - half).clip(-1, size[0] - 1).astype(np.int32) - left
    rows = np.floor(corner_y.max(1) - half).clip(-1, size[1] - 1).astype(np.int32) - top + 1
    facing = area < 0 if cull else area != 0
    keep = np.flatnonzero(facing & (last >= 0) & (rows > 0)).astype(np.int32)
    if not len(keep):
        return
    left, top, last, rows = left[keep], top[keep], last[keep], rows[keep]
    # The origin of each triangle is its own first pixel: small numbers keep float32 exact enough.
    px = corner_x[keep] - (left[:, None].astype(np.float32) + half)
    py = corner_y[keep] - (top[:, None].astype(np.float32) + half)
    slopes = [_weight(px, py, area[keep], i, j) for i, j in ((1, 2), (2, 0))]
    triangle, row = _expand(rows)
    fy = row.astype(np.float32)
    along = [a[triangle] for a, _, _ in slopes]
    at_left = [b[triangle] * fy + c[triangle] for _, b, c in slopes]
    first, final = _span([*along, -along[0] - along[1]], [*at_left, 1 - at_left[0] - at_left[1]], last[triangle])
    depth = nearness[faces[keep]]
    ends = np.cumsum((final - first + 1).clip(0))
    start = 0
    while start < len(ends):
        stop = max(int(np.searchsorted(ends, (ends[start - 1] if start else 0) + BLOCK, "right")), start + 1)
        span, column = _expand((final[start:stop] - first[start:stop] + 1).clip(0))
        span += np.int32(start)
        column += first[span]
        fx, owner = column.astype(np.float32), triangle[span]
        w0, w1 = (a[span] * fx + b[span] for a, b in zip(along, at_left, strict=True))
        corner = depth[owner]
        nearest = corner[:, 2] + w0 * (corner[:, 0] - corner[:, 2]) + w1 * (corner[:, 1] - corner[:, 2])
        yield keep[owner], (row[span] + top[owner]) * np.int32(size[0]) + column + left[owner], w0, w1, nearest
        start = stop


def _weight(
    px: np.ndarray, py: np.ndarray, area: np.ndarray, i: int, j: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients a, b, c (F,) of a barycentric weight a x + b y + c: that of the corner opposite to edge i -> j."""
    a = -(py[:, j] - py[:, i]) / area
    b = (px[:, j] - px[:, i]) / area
    return a, b, -(a * px[:, i] + b * py[:, i])


def _expand(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For counts (n,): which of the n each of the sum(counts) items belongs to, and its number there; int32."""
    owner = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    before = (np.cumsum(counts) - counts).astype(np.int32)
    return owner, np.arange(len(owner), dtype=np.int32) - before[owner]


def _span(along: list[np.ndarray], at_left: list[np.ndarray], last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and final pixel (n,) int32 of rows on which all three weights a x + b stay above zero; final < first if none."""
    low, high = np.zeros(len(last), np.float32), last.astype(np.float32)
    for a, b in zip(along, at_left, strict=True):
        flat = np.abs(a) < 1e-12
        crossing = (-SLACK - b) / np.where(flat, np.float32(1), a)
        low = np.where(~flat & (a > 0), np.maximum(low, crossing), low)
        high = np.where(~flat & (a < 0), np.minimum(high, crossing), high)
        high = np.where(flat & (b < -SLACK), np.float32(-1), high)
    # Far outside, the crossing of a nearly flat edge may exceed int32.
    high = np.maximum(high, np.float32(-1))
    low = np.minimum(low, last.astype(np.float32) + 1)
    return np.ceil(low).astype(np.int32), np.floor(high).astype(np.int32)


class NumpyCanvas:
    """Draws coloured triangles with `SAMPLES`² samples per pixel; the slowest canvas, and the one that always works."""

    name = "numpy"

    def __init__(
        self, faces: np.ndarray, num_vertices: int, camera: Camera, wireframe: bool, texture: Texture | None = None
    ) -> None:
        self.texture = texture
        self.faces = np.asarray(faces, np.int32)
        self.camera = camera
        self.wireframe = wireframe

    def draw(self, vertices: np.ndarray, colors: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """Positions (V, 3), display colours (V, 3) in [0, 1] and places (V, 2) in the texture, which tints them, to a picture.

        Returns:
            array (h, w, 4) uint8: colours premultiplied by coverage.
        """
        width, height = (n * SAMPLES for n in self.camera.size)
        x, y, nearness = self.camera.project(vertices)
        x, y = x * np.float32(SAMPLES), y * np.float32(SAMPLES)
        seen = rasterise(x, y, nearness, self.faces, (width, height))
        pixel = np.flatnonzero(seen.face >= 0)
        face, weight = seen.face[pixel], seen.weights[:, pixel]
        edge = _edge_distance(x, y, self.faces, face, weight) < LINE_WIDTH / 2 * SAMPLES if self.wireframe else None
        samples = np.zeros(
            (4, height * width), np.uint8
        )  # one plane per channel: rows of three numbers are slow in NumPy

        def between(values: np.ndarray) -> np.ndarray:
            first, second, third = (values[self.faces[:, k]] for k in range(3))
            return third[face] + weight[0] * (first - third)[face] + weight[1] * (second - third)[face]

        tint = None
        if self.texture is not None and places is not None:
            tint = sample(self.texture.image, *(between(axis).clip(0, 1) for axis in places.T))
        for channel, values in enumerate(colors.astype(np.float32).T * np.float32(255)):
            color = between(values)
            if tint is not None:
                color *= tint[:, channel] / np.float32(255)
            if edge is not None:
                color[edge] *= np.float32(EDGE_SHADE)
            samples[channel, pixel] = color + np.float32(0.5)
        samples[3, pixel] = 255
        grid = samples.reshape(4, height // SAMPLES, SAMPLES, width // SAMPLES, SAMPLES)
        total = np.full((4, height // SAMPLES, width // SAMPLES), SAMPLES**2 // 2, np.uint16)
        for row in range(SAMPLES):
            for column in range(SAMPLES):
                total += grid[:, :, row, :, column]
        return np.ascontiguousarray((total // SAMPLES**2).astype(np.uint8).transpose(1, 2, 0))

    def close(self) -> None:
        """Nothing to give back."""


def _edge_distance(x: np.ndarray, y: np.ndarray, faces: np.ndarray, face: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Distance (P,) in samples from each seen point to the nearest edge of its triangle."""
    cx, cy = x[faces], y[faces]
    area = np.abs((cx[:, 1] - cx[:, 0]) * (cy[:, 2] - cy[:, 0]) - (cx[:, 2] - cx[:, 0]) * (cy[:, 1] - cy[:, 0]))
    lengths = np.stack([np.hypot(cx[:, j] - cx[:, i], cy[:, j] - cy[:, i]) for i, j in ((1, 2), (2, 0), (0, 1))], 1)
    heights = (area[:, None] / np.maximum(lengths, np.float32(1e-6)))[face]
    all_weights = np.stack([*weight, 1 - weight.sum(0)], 1)
    return (all_weights * heights).min(1)
