"""Small text on pictures, by Pillow's built-in font."""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK = (38, 42, 50)
CAPITALS = 0.72  # height of capitals as a share of the font's size


@functools.lru_cache(maxsize=16)
def _font(height: float) -> ImageFont.FreeTypeFont:
    """The font whose capitals are `height` pixels high."""
    font = ImageFont.load_default(height / CAPITALS)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow's wheels come with FreeType
    return font


def draw_text(image: np.ndarray, text: str, position: tuple[float, float], height: float, anchor: str = "left") -> None:
    """Write one line onto an image, in place.

    Args:
        image (array (h, w, 3) uint8): what to write on.
        text: one line.
        position: x and y in pixels of the upper left corner of the capitals, or with anchor `centre` of their upper middle.
        height: of capitals, pixels.
        anchor: `left` or `centre`.
    """
    picture = Image.fromarray(image)
    base = (position[0], position[1] + height)
    ImageDraw.Draw(picture).text(base, text, INK, _font(height), anchor="ms" if anchor == "centre" else "ls")
    image[...] = np.asarray(picture)


def label(image: np.ndarray, text: str) -> np.ndarray:
    """A copy of an image (h, w, 3) with a line of text in its upper left corner."""
    image = image.copy()
    height = max(image.shape[0] / 42, 7.0)
    draw_text(image, text, (1.5 * height, 1.4 * height), height)
    return image
