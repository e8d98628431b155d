"""Shadows baked once: how much of the sky and of the key light every vertex of the template sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffspeaker3d.rendering.camera import look
from diffspeaker3d.rendering.rasteriser import rasterise
from diffspeaker3d.topology import Topology

SKY_DIRECTIONS = 56
KEY_DIRECTIONS = 20
KEY_SPREAD = 0.30  # radius of the key light as seen from the head: large, so its shadows are soft
RESOLUTION = 224  # pixels of each shadow map
SMOOTHING = 2  # rounds of averaging with the neighbours
# What the neutral face hides must not turn black when it moves into the light: region -> least visibility.
FLOOR = 0.30
FLOORS = {"lips": 0.45, "lids": 0.60, "eyes": 0.55}
MOUTH_FADE = 0.11  # of the head's height: the depth behind the lips at which the mouth has lost 63 % of its light


@dataclass(frozen=True, eq=False)
class Shadows:
    """Visibility in [0, 1] of the sky and of the key light: (V,) float32 each."""

    sky: np.ndarray
    key: np.ndarray

    @classmethod
    def bake(cls, topology: Topology, template: np.ndarray, normals: np.ndarray, key: np.ndarray) -> Shadows:
        """Look at the template from many directions and note what each vertex can see.

        Args:
            topology: faces and regions; `interior` darkens with its depth behind the `lips`.
            template, normals (array (V, 3) float32): the neutral head.
            key (array (3,)): unit direction to the key light.
        """
        sky_directions = _sphere(SKY_DIRECTIONS)
        key_directions = _cone(key, KEY_DIRECTIONS, KEY_SPREAD)
        faces = topology.faces
        sky = _visible_share(template, normals, faces, sky_directions)
        lit = _visible_share(template, normals, faces, key_directions)
        sky, lit = _smooth(np.stack([sky, lit], 1), faces).T
        floor = np.full(topology.num_vertices, FLOOR, np.float32)
        for region, least in FLOORS.items():
            if region in topology.regions:
                floor[topology.regions[region]] = least
        sky, lit = floor + (1 - floor) * sky, floor * 0.6 + (1 - floor * 0.6) * lit
        if "interior" in topology.regions and "lips" in topology.regions:
            interior = topology.regions["interior"]
            front = template[topology.regions["lips"], 2].max()
            depth = (front - template[interior, 2]).clip(0) / np.ptp(template[:, 1])
            sky[interior] = lit[interior] = np.exp(-depth / MOUTH_FADE)
        return cls(sky.astype(np.float32), lit.astype(np.float32))


def _visible_share(template: np.ndarray, normals: np.ndarray, faces: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Share (V,) of the cosine-weighted light from `directions` (D, 3) that reaches each vertex; 1 where none faces it."""
    middle = (template.max(0) + template.min(0)) / 2
    radius = float(np.linalg.norm(template - middle, axis=1).max()) + 1e-9
    pixel = 2 * radius / (RESOLUTION - 4)
    reached = np.zeros(len(template), np.float32)
    offered = np.full(len(template), 1e-6, np.float32)
    for direction in directions:
        right, up, towards = look(
            np.degrees(np.arctan2(direction[0], direction[2])), np.degrees(np.arcsin(direction[1].clip(-1, 1)))
        )
        place = (template - middle) / np.float32(pixel)
        x, y, near = place @ right + RESOLUTION / 2, RESOLUTION / 2 - place @ up, place @ towards + RESOLUTION
        seen = rasterise(x, y, near, faces, (RESOLUTION, RESOLUTION), cull=False)
        # Step off the surface by a pixel and a half, or every vertex stands in its own triangle's shadow.
        step = normals * np.float32(1.5)
        column = (x + step @ right).astype(np.int32).clip(0, RESOLUTION - 1)
        row = (y - step @ up).astype(np.int32).clip(0, RESOLUTION - 1)
        visible = near + step @ towards + np.float32(0.5) >= seen.nearness[row * RESOLUTION + column]
        cosine = (normals @ direction.astype(np.float32)).clip(0)
        reached += cosine * visible
        offered += cosine
    return np.where(offered > 1e-3, reached / offered, 1).astype(np.float32)


def _smooth(values: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Values (V, n) averaged with their neighbours over the mesh, `SMOOTHING` times."""
    count = np.bincount(faces.ravel(), minlength=len(values))[:, None].clip(1)
    corners = faces.T.ravel()
    for _ in range(SMOOTHING):
        mean = np.tile(values[faces].mean(1), (3, 1))
        summed = np.stack([np.bincount(corners, mean[:, k], len(values)) for k in range(values.shape[1])], 1)
        values = summed / count
    return values


def _sphere(count: int) -> np.ndarray:
    """`count` even directions (count, 3): a Fibonacci lattice."""
    index = np.arange(count) + 0.5
    height = 1 - 2 * index / count
    angle = np.pi * (1 + 5**0.5) * index
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(angle), height, ring * np.sin(angle)], 1)


def _cone(axis: np.ndarray, count: int, spread: float) -> np.ndarray:
    """`count` directions (count, 3) spread evenly over a disc of radius `spread` around a unit axis."""
    side = np.cross(axis, [0.0, 0.0, 1.0] if abs(axis[2]) < 0.9 else [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    index = np.arange(count) + 0.5
    radius, angle = spread * np.sqrt(index / count), np.pi * (1 + 5**0.5) * index
    offset = radius[:, None] * (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * np.cross(axis, side))
    directions = axis + offset
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)
