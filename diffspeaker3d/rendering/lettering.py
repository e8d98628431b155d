"""Small text on pictures, drawn with strokes: no font file, no imaging library."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

INK = np.array([38, 42, 50], np.float32)
STROKE = 0.95  # grid units
SPACE, GAP = 2.5, 1.9  # advance of a space, distance between glyphs; grid units
BASELINE, CAPITALS = 2, 6  # grid units: height of the baseline, and of capitals above it

# Polylines separated by ";" through points written as two digits, x then y upward; descenders reach 0.
GLYPHS = {
    "0": "12 22 33 37 28 18 07 03 12", "1": "06 28 22;02 42", "2": "07 18 38 47 46 02 42",
    "3": "07 18 38 47 46 35 15;35 44 43 32 12 03", "4": "32 38 04 44", "5": "48 08 05 35 44 43 32 12 03",
    "6": "38 18 07 03 12 32 43 44 35 15 04", "7": "08 48 12", "8": "15 06 07 18 38 47 46 35 15 04 03 12 32 43 44 35",
    "9": "12 32 43 47 38 18 07 06 15 35 46", "A": "02 28 42;14 34", "B": "02 08 38 47 46 35 05;35 44 43 32 02",
    "C": "47 38 18 07 03 12 32 43", "D": "02 08 28 46 44 22 02", "E": "42 02 08 48;05 35", "F": "02 08 48;05 35",
    "G": "47 38 18 07 03 12 32 43 45 25", "H": "02 08;42 48;05 45", "I": "02 22;08 28;12 18", "J": "48 43 32 12 03",
    "K": "02 08;48 04;16 42", "L": "08 02 42", "M": "02 08 25 48 42", "N": "02 08 42 48",
    "O": "12 32 43 47 38 18 07 03 12", "P": "02 08 38 47 46 35 05", "Q": "12 32 43 47 38 18 07 03 12;24 42",
    "R": "02 08 38 47 46 35 05;25 42", "S": "47 38 18 07 06 15 35 44 43 32 12 03", "T": "08 48;28 22",
    "U": "08 03 12 32 43 48", "V": "08 22 48", "W": "08 12 26 32 48", "X": "02 48;08 42", "Y": "08 25 48;25 22",
    "Z": "08 48 02 42", "a": "06 26 35 32 12 03 14 34", "b": "08 02 22 33 35 26 06", "c": "35 26 16 05 03 12 22 33",
    "d": "38 32;32 12 03 05 16 36", "e": "04 34 35 26 16 05 03 12 32", "f": "38 28 17 12;06 26",
    "g": "32 12 03 05 16 36;36 31 20 00", "h": "08 02;06 26 35 32", "i": "12 16;18 18", "j": "16 11 00;18 18",
    "k": "08 02;36 04;14 32", "l": "08 03 12", "m": "02 06 16 25 22;25 36 45 42", "n": "02 06 26 35 32",
    "o": "12 22 33 35 26 16 05 03 12", "p": "06 00;06 26 35 33 22 02", "q": "36 30;36 16 05 03 12 32",
    "r": "02 06;05 16 26", "s": "36 16 05 14 24 33 22 02", "t": "17 13 22 32;06 36", "u": "06 03 12 32;36 32",
    "v": "06 22 46", "w": "06 12 25 32 46", "x": "02 36;06 32", "y": "06 22;46 22 10 00", "z": "06 36 02 32",
    "!": "02 02;04 08", "#": "12 18;32 38;04 44;06 46", "%": "02 48;07 08;43 42", "&": "42 07 18 27 03 12 22 44",
    "'": "08 07", "(": "28 16 14 22", ")": "08 16 14 02", "*": "14 36;16 34;05 45", "+": "05 45;23 27", ",": "12 00",
    "-": "05 25", ".": "02 02", "/": "02 48", ":": "02 02;06 06", "<": "42 05 48", "=": "04 34;06 36",
    ">": "02 45 08", "?": "07 18 28 37 36 14;12 12", "_": "02 42",
}  # fmt: skip
UNKNOWN = "02 08 38 32 02"


def text_width(text: str, height: float) -> float:
    """Width in pixels of a line of text whose capitals are `height` pixels high."""
    widths = [SPACE if c == " " else _glyph(c)[1] + GAP for c in text]
    return (sum(widths) - GAP) * height / CAPITALS if text else 0.0


def draw_text(image: np.ndarray, text: str, position: tuple[float, float], height: float, anchor: str = "left") -> None:
    """Write one line onto an image, in place.

    Args:
        image (array (h, w, 3) uint8): what to write on.
        text: ASCII; other characters become boxes.
        position: x and y in pixels of the upper left corner of the capitals, or with anchor `centre` of their upper middle.
        height: of capitals, pixels.
        anchor: `left` or `centre`.
    """
    unit = height / CAPITALS
    x = position[0] - (text_width(text, height) / 2 if anchor == "centre" else 0.0)
    segments: list[tuple[np.ndarray, np.ndarray]] = []
    for character in text:
        if character == " ":
            x += SPACE * unit
            continue
        strokes, width = _glyph(character)
        for points in strokes:
            pixels = np.stack([x + points[:, 0] * unit, position[1] + height - (points[:, 1] - BASELINE) * unit], 1)
            segments += pairwise(pixels)
        x += (width + GAP) * unit
    for start, end in segments:
        _stroke(image, start, end, max(STROKE * unit, 1.2))


def label(image: np.ndarray, text: str) -> np.ndarray:
    """A copy of an image (h, w, 3) with a line of text in its upper left corner."""
    image = image.copy()
    height = max(image.shape[0] / 42, 7.0)
    draw_text(image, text, (1.5 * height, 1.4 * height), height)
    return image


def _glyph(character: str) -> tuple[list[np.ndarray], int]:
    """Polylines (n, 2) of a character in grid units, and its width."""
    strokes = [
        np.array([[int(p[0]), int(p[1])] for p in line.split()]) for line in GLYPHS.get(character, UNKNOWN).split(";")
    ]
    return strokes, max(int(points[:, 0].max()) for points in strokes)


def _stroke(image: np.ndarray, start: np.ndarray, end: np.ndarray, width: float) -> None:
    """Draw a segment with round ends, its edge one pixel soft."""
    reach = width / 2 + 1
    low = np.floor(np.minimum(start, end) - reach).astype(int).clip(0)
    high = np.ceil(np.maximum(start, end) + reach).astype(int)
    part = image[low[1] : high[1] + 1, low[0] : high[0] + 1]
    if not part.size:
        return
    y, x = np.mgrid[low[1] : low[1] + part.shape[0], low[0] : low[0] + part.shape[1]] + 0.5
    direction = end - start
    along = ((x - start[0]) * direction[0] + (y - start[1]) * direction[1]) / max(float(direction @ direction), 1e-9)
    along = along.clip(0, 1)
    distance = np.hypot(x - start[0] - along * direction[0], y - start[1] - along * direction[1])
    cover = (width / 2 + 0.5 - distance).clip(0, 1)[..., None].astype(np.float32)
    part[...] = np.rint(part * (1 - cover) + INK * cover).astype(np.uint8)
