"""Matte clay: the colour of every vertex from its normal, four lights and the shadow baked from the template.

Shading happens per vertex in NumPy and the canvases only interpolate (Gouraud): a third of the cost of per-pixel
lighting, and every renderer shows the same picture. Light is summed in linear space, displayed in sRGB.
"""

from __future__ import annotations

import numpy as np

from diffspeaker3d.geometry.normals import VertexNormals
from diffspeaker3d.rendering.camera import Camera
from diffspeaker3d.rendering.shadows import Shadows
from diffspeaker3d.topology import Topology

# Directions to the lights in the viewer's frame (right, up, towards the viewer) and linear colours.
KEY, KEY_COLOR = np.array([(-0.62, 0.66, 0.62), (0.92, 0.895, 0.86)], np.float32)
FILL, FILL_COLOR = np.array([(0.85, 0.05, 0.55), (0.095, 0.095, 0.105)], np.float32)
RIM, RIM_COLOR = np.array([(0.80, 0.40, -0.50), (0.55, 0.60, 0.68)], np.float32)
SKY_COLOR, GROUND_COLOR = np.array([(0.325, 0.320, 0.325), (0.168, 0.136, 0.116)], np.float32)
# The terminator of a soft, slightly translucent material: light wraps around it, red farthest (half-Lambert by channel).
WRAP = np.array([0.27, 0.245, 0.235], np.float32)
SHEEN = 0.10  # brightening of grazing angles
# region -> (strength, exponent) of the highlight; everything else is matte
GLOSS = {"lips": (0.10, 22.0), "teeth": (0.22, 40.0), "tongue": (0.12, 24.0), "eyes": (0.55, 90.0)}
MATTE = (0.035, 9.0)
INSIDE_COLOR = np.array(
    [0.16, 0.085, 0.075], np.float32
)  # linear; the inside of heads without a mouth, seen through the lips


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """Display colours in [0, 1] to linear light (IEC 61966-2-1), float32."""
    srgb = np.asarray(srgb, np.float32)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_display(linear: np.ndarray) -> np.ndarray:
    """Linear light (..., 3) to display colours in [0, 1]; highlights roll off above 0.6 instead of clipping.

    The brightest channel decides for all three: rolled off one by one, warm clay turns yellow in the light.
    """
    bright = np.maximum(linear, 1e-6).astype(np.float32)
    peak = bright.max(-1, keepdims=True)
    bright *= np.where(peak > 0.6, 0.6 + 0.4 * np.tanh((peak - 0.6) / 0.4), peak) / peak
    return np.where(bright <= 0.0031308, 12.92 * bright, 1.055 * bright ** (1 / 2.4) - 0.055).astype(np.float32)


class Clay:
    """Vertices to display colours, for one head seen from one camera."""

    def __init__(self, topology: Topology, template: np.ndarray, camera: Camera, color: np.ndarray) -> None:
        """Bakes the shadows of the template.

        Args:
            topology: faces, regions and, if it has them, the colours.
            template (array (V, 3)): the neutral head.
            camera: the lights stand around the viewer.
            color (array (3,)): display colour of a head without colours.
        """
        self.faces = topology.faces
        self.camera = camera
        painted = topology.colors if topology.colors is not None else np.tile(color * 255, (topology.num_vertices, 1))
        self.albedo = to_linear(np.asarray(painted, np.float32) / np.float32(255))
        self.gloss = np.tile(np.array(MATTE, np.float32), (topology.num_vertices, 1))
        for region, values in GLOSS.items():
            if region in topology.regions:
                self.gloss[topology.regions[region]] = values
        self.key, self.fill, self.rim = (camera.world(direction) for direction in (KEY, FILL, RIM))
        self._normals = VertexNormals(topology.faces, topology.num_vertices)
        normals = self._normals(template[None])[0]
        self.shadows = Shadows.bake(topology, np.asarray(template, np.float32), normals, self.key)

    def __call__(self, vertices: np.ndarray, albedo: np.ndarray | None = None) -> np.ndarray:
        """Display colours (V, 3) float32 in [0, 1].

        Args:
            vertices (array (V, 3) float32): one frame.
            albedo (array (V, 3) or None): linear colours in place of the head's own.
        """
        normals = self._normals(vertices[None])[0]
        base = self.albedo if albedo is None else np.asarray(albedo, np.float32)
        to_viewer = self.camera.eye - vertices
        to_viewer /= np.linalg.norm(to_viewer, axis=1, keepdims=True)
        light = self._diffuse(normals, base)
        grazing = (1 - np.clip((normals * to_viewer).sum(1), 0, 1)) ** 3 * self.shadows.sky
        result = base * light
        result += (SHEEN * grazing)[:, None] * SKY_COLOR
        if albedo is None:
            result += self._highlight(normals, to_viewer)[:, None] * KEY_COLOR
        return to_display(result)

    def _diffuse(self, normals: np.ndarray, base: np.ndarray) -> np.ndarray:
        """Linear irradiance (V, 3) of key, fill, rim and sky."""
        key = (((normals @ self.key)[:, None] + WRAP) / (1 + WRAP)).clip(0)
        fill = (((normals @ self.fill)[:, None] + WRAP) / (1 + WRAP)).clip(0)
        rim = (normals @ self.rim).clip(0)[:, None]
        up = (normals[:, 1:2] + 1) / 2
        sky = GROUND_COLOR * (1 - up) + np.float32(SKY_COLOR) * up
        # Light that is kept out of a hollow comes back from its walls, in their colour (Jimenez et al. 2016).
        open_sky = self.shadows.sky[:, None]
        bounced = open_sky / (1 - 0.75 * base * (1 - open_sky))
        light = key * KEY_COLOR * self.shadows.key[:, None]
        light += (fill * FILL_COLOR + rim * RIM_COLOR) * np.sqrt(open_sky)
        return light + sky * bounced

    def _highlight(self, normals: np.ndarray, to_viewer: np.ndarray) -> np.ndarray:
        """Blinn-Phong highlight (V,) of the key light."""
        halfway = to_viewer + self.key
        halfway /= np.linalg.norm(halfway, axis=1, keepdims=True)
        cosine = (normals * halfway).sum(1).clip(0)
        return self.gloss[:, 0] * cosine ** self.gloss[:, 1] * self.shadows.key
