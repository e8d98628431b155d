"""Pictures as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from diffspeaker3d.files import atomic_path


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write an image (h, w, 3) uint8, sRGB."""
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")
