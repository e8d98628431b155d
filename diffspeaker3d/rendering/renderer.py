"""One head on one canvas: choose the renderer, shade, draw, lay over the background."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Protocol

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.rendering import opengl
from diffspeaker3d.rendering.camera import Camera, frame_head
from diffspeaker3d.rendering.catchlights import GLINT, Catchlights
from diffspeaker3d.rendering.focus import focus_points
from diffspeaker3d.rendering.options import RenderOptions, parse_color
from diffspeaker3d.rendering.paint import in_white, with_white
from diffspeaker3d.rendering.rasteriser import NumpyCanvas
from diffspeaker3d.rendering.shading import INSIDE_COLOR, Clay, to_display
from diffspeaker3d.topology import Texture, Topology

log = logging.getLogger(__name__)

STUDIO_CENTRE, STUDIO_EDGE = np.array([(0.930, 0.935, 0.944), (0.745, 0.762, 0.788)], np.float32)  # display colours
INSIDE_DEPTH = 2e-3  # of the distance


class Canvas(Protocol):
    """What draws: coloured triangles to pixels with their coverage."""

    name: str

    def draw(self, vertices: np.ndarray, colors: np.ndarray, places: np.ndarray | None) -> np.ndarray: ...
    def close(self) -> None: ...


class Renderer:
    """Vertices (V, 3) to an image (h, w, 3) uint8; a context manager. Use it from the thread that opened it.

    Attributes:
        backend: `egl`, `osmesa` or `numpy`.
        size: width and height, pixels.
    """

    def __init__(self, topology: Topology, template: np.ndarray, options: RenderOptions) -> None:
        topology.check(template, "template")
        shown = focus_points(topology, template, options.focus)
        camera = frame_head(shown, options.size, options.direction, options.zoom, mesh=template)
        self.size = options.size
        self._background = _background(options)
        faces = np.asarray(topology.faces, np.int32)
        self._inside = shows_inside(topology)
        if self._inside:  # the same triangles turned round, dark: what is seen through the lips is no hole
            faces = np.concatenate([faces, faces[:, ::-1] + topology.num_vertices])
        count = topology.num_vertices * (2 if self._inside else 1)
        self._catchlights = Catchlights(topology, camera.world(GLINT))
        faces = np.concatenate([faces, self._catchlights.faces + count])
        total = count + self._catchlights.num_vertices
        self._texture = None if topology.texture is None else with_white(topology.texture, total)
        self._canvas = _open_canvas(options, faces, total, camera, self._texture)
        self.backend = self._canvas.name
        self._clay = Clay(topology, template, camera, parse_color(options.color))  # last: it takes a second

    def __call__(self, vertices: np.ndarray, albedo: np.ndarray | None = None) -> np.ndarray:
        """Draw one frame.

        Args:
            vertices (array (V, 3)): positions in the template's unit.
            albedo (array (V, 3) or None): linear colours in place of the head's own.

        Returns:
            array (h, w, 3) uint8: sRGB.
        """
        vertices = np.asarray(vertices, np.float32)
        eye = self._clay.camera.eye
        positions, colors = [vertices], [self._clay(vertices, albedo)]
        if self._inside:  # a little farther away, or it flickers through along the outline
            positions.append(vertices + (vertices - eye) * np.float32(INSIDE_DEPTH))
            colors.append(np.broadcast_to(to_display(INSIDE_COLOR), vertices.shape))
        positions.append(self._catchlights(vertices, eye))
        colors.append(np.broadcast_to(self._catchlights.color, positions[-1].shape))
        places = None
        if self._texture is not None:
            places = (
                self._texture.places if albedo is None else in_white(self._texture.image, len(self._texture.places))
            )
        drawn = self._canvas.draw(np.concatenate(positions), np.concatenate(colors), places)
        return _over(drawn, self._background)

    def close(self) -> None:
        """Give the graphics context back; a second call does nothing."""
        self._canvas.close()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_renderer(topology: Topology, template: np.ndarray, options: RenderOptions | None = None) -> Renderer:
    """A renderer for heads of `topology`, framed and shadowed for `template`; close it or use it in a `with` block.

    Args:
        topology: faces, colours and regions.
        template (array (V, 3)): the neutral head, Y up, facing +Z, in any unit.
        options: how to draw.

    Raises:
        InputError: the renderer asked for does not work here, or the template does not fit.
    """
    return Renderer(topology, np.asarray(template, np.float32), options or RenderOptions())


def shows_inside(topology: Topology) -> bool:
    """Whether one can look into the head: it has open borders and no mouth bag of its own (FLAME, BIWI)."""
    if "inner_mouth" in topology.regions:
        return False
    faces = topology.faces
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64), 1)
    _, uses = np.unique(pairs[:, 0] * topology.num_vertices + pairs[:, 1], return_counts=True)
    return bool((uses == 1).any())


def _open_canvas(
    options: RenderOptions, faces: np.ndarray, num_vertices: int, camera: Camera, texture: Texture | None
) -> Canvas:
    """The renderer that was asked for, or for `auto` the first that works."""
    names = ("egl", "osmesa", "numpy") if options.renderer == "auto" else (options.renderer,)
    for name in names:
        if name == "numpy":
            break
        reason = opengl.unavailable(name)
        if reason is None:
            try:
                canvas = opengl.OpenGLCanvas(name, faces, num_vertices, camera, options.wireframe, texture)
            except InputError as error:
                if options.renderer != "auto":
                    raise
                log.info("%s", error)
                continue
            log.info("renderer: %s", name)
            return canvas
        if options.renderer != "auto":
            raise InputError(f"renderer={name}: {reason}, or use renderer=numpy")
        log.debug("renderer %s: %s", name, reason)
    log.info("renderer: numpy")
    return NumpyCanvas(faces, num_vertices, camera, options.wireframe, texture)


def _over(drawn: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Premultiplied colours and coverage (h, w, 4) over a picture (h, w, 3), both uint8; only outlines need arithmetic."""
    coverage = drawn[..., 3]
    image = np.where((coverage == 0)[..., None], background, drawn[..., :3])
    row, column = np.nonzero((coverage != 0) & (coverage != 255))
    uncovered = 255 - coverage[row, column].astype(np.uint16)
    image[row, column] += ((background[row, column] * uncovered[:, None] + 127) // 255).astype(np.uint8)
    return image


def _background(options: RenderOptions) -> np.ndarray:
    """The picture behind the head, (h, w, 3) uint8."""
    width, height = options.size
    if options.background != "studio":
        color = np.rint(parse_color(options.background, "background") * 255).astype(np.uint8)
        return np.broadcast_to(color, (height, width, 3))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    distance = np.hypot((x + 0.5) / width - 0.5, ((y + 0.5) / height - 0.42) * 0.9) / 0.72
    blend = (distance.clip(0, 1) ** 1.7)[..., None]
    color = STUDIO_CENTRE * (1 - blend) + STUDIO_EDGE * blend
    # Rounding noise of half a step hides the bands that 8 bits would show.
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (height, width, 1)).astype(np.float32)
    return np.rint(color * 255 + noise).astype(np.uint8)
