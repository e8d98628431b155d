"""What a picture shall look like, checked before any work."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.rendering.focus import FOCUSES

RENDERERS = ("auto", "egl", "osmesa", "numpy")
# name -> (yaw, pitch) of the viewer around the head, degrees: to the head's left, and up
VIEWS: Mapping[str, tuple[float, float]] = MappingProxyType({
    "front": (0.0, 2.0), "portrait": (14.0, 3.0), "three_quarter": (38.0, 4.0), "side": (90.0, 0.0), "low": (16.0, -22.0),
})  # fmt: skip
SMALLEST, LARGEST = 16, 8192  # pixels


@dataclass(frozen=True)
class RenderOptions:
    """How to draw a head.

    Attributes:
        size: width and height in pixels.
        background: `studio` (a soft light gradient) or a colour such as `#ffffff`.
        wireframe: draw the edges of the triangles over the clay.
        renderer: `auto` (the first that works), `egl`, `osmesa` or `numpy`.
        color: clay of heads whose topology has no colours of its own.
        view: a name of `VIEWS`, or (yaw, pitch) in degrees.
        zoom: above 1 comes closer.
        focus: what fills the picture: `face`, `head`, `all`, or `auto`, which is all of a head and the head of a body.
        error_scale: in comparisons, draw a third panel with the distance between both, up to this many millimetres.
    """

    size: tuple[int, int] = (512, 512)
    background: str = "studio"
    wireframe: bool = False
    renderer: str = "auto"
    color: str = "#dac6b3"
    view: str | tuple[float, float] = "portrait"
    zoom: float = 1.0
    focus: str = "auto"
    error_scale: float | None = None

    def __post_init__(self) -> None:
        if self.renderer not in RENDERERS:
            raise InputError(f"renderer={self.renderer}: no such renderer; known: {', '.join(RENDERERS)}")
        if len(self.size) != 2 or not all(SMALLEST <= n <= LARGEST for n in self.size):
            raise InputError(f"size={self.size}: width and height must lie between {SMALLEST} and {LARGEST} pixels")
        if self.focus not in FOCUSES:
            raise InputError(f"focus={self.focus}: no such focus; known: {', '.join(FOCUSES)}")
        if not self.zoom > 0:
            raise InputError(f"zoom={self.zoom}: must be positive")
        if self.error_scale is not None and not self.error_scale > 0:
            raise InputError(f"error_scale={self.error_scale}: must be a positive number of millimetres")
        if self.background != "studio":
            parse_color(self.background, "background")
        parse_color(self.color, "color")
        _ = self.direction

    @property
    def direction(self) -> tuple[float, float]:
        """(yaw, pitch) of the viewer, degrees."""
        if isinstance(self.view, str):
            if self.view not in VIEWS:
                raise InputError(
                    f"view={self.view}: no such view; known: {', '.join(VIEWS)}, or [yaw,pitch] in degrees"
                )
            return VIEWS[self.view]
        if len(self.view) != 2 or not abs(self.view[1]) < 90:
            raise InputError(f"view={self.view}: give [yaw,pitch] in degrees, pitch between -90 and 90")
        return float(self.view[0]), float(self.view[1])


def parse_color(text: str, what: str = "color") -> np.ndarray:
    """`#rrggbb` to sRGB (3,) float32 in [0, 1]."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise InputError(f"{what}={text}: not a colour; write it as #rrggbb")
    return np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / np.float32(255)
