"""How far two heads are apart, as colours on the head and a legend beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffspeaker3d.rendering.lettering import draw_text
from diffspeaker3d.rendering.shading import to_linear
from diffspeaker3d.topology import METRES_PER_UNIT

# sRGB at equal steps from no error to the end of the scale: lightness falls evenly from clay grey over orange to
# dark violet, so that the order is seen without the hue.
RAMP = (
    np.array(
        [(226, 222, 216), (247, 201, 126), (243, 137, 72), (213, 72, 86), (142, 32, 110), (62, 15, 82)], np.float32
    )
    / 255
)


def ramp(fraction: np.ndarray) -> np.ndarray:
    """Display colours (..., 3) of numbers in [0, 1]; what lies outside takes the end colours."""
    fraction = np.asarray(fraction, np.float32)
    knots = np.linspace(0, 1, len(RAMP))
    return np.stack([np.interp(fraction, knots, RAMP[:, k]) for k in range(3)], -1).astype(np.float32)


@dataclass(frozen=True)
class ErrorScale:
    """From distances to colours.

    Attributes:
        factor: shown units per mesh unit (1000 from metres to millimetres).
        end: the distance that gets the last colour, in shown units.
        name: the shown unit.
    """

    factor: float
    end: float
    name: str

    @classmethod
    def for_unit(cls, unit: str, end: float) -> ErrorScale:
        """Millimetres where the mesh's unit is a length; otherwise the unit itself, `end` in it."""
        if unit in METRES_PER_UNIT:
            return cls(METRES_PER_UNIT[unit] * 1000, end, "mm")
        return cls(1.0, end, unit)

    def albedo(self, vertices: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Linear colours (V, 3) of the distance between vertices and target (V, 3)."""
        distance = np.linalg.norm(vertices - target, axis=1) * self.factor
        return to_linear(ramp(distance / self.end))

    def legend(self, image: np.ndarray) -> np.ndarray:
        """The image (h, w, 3) with the scale and what it measures in its upper left corner, where heads are not; a copy."""
        image = image.copy()
        text = max(image.shape[0] / 42, 7.0)
        left, top, width = round(2 * text), round(1.4 * text), round(image.shape[1] * 0.2)
        bar = image[top : top + round(text * 0.7), left : left + width]
        bar[:] = np.rint(ramp(np.linspace(0, 1, bar.shape[1])) * 255).astype(np.uint8)
        for share in (0.0, 1.0):
            words = f"{share * self.end:g}" + (f" {self.name}" if share else "")
            draw_text(image, words, (left + share * width, top + 1.4 * text), text, anchor="centre")
        draw_text(image, "distance", (left + width + 1.2 * text, top - 0.15 * text), text)
        return image
