"""PNG without an imaging library."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from diffspeaker3d.files import atomic_path


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write an image (h, w, 3) uint8, sRGB. See the PNG specification, sections 5 and 11."""
    height, width = image.shape[:2]
    # Filter 2: every row minus the one above; renderings are smooth.
    above = np.zeros_like(image)
    above[1:] = image[:-1]
    rows = np.concatenate([np.full((height, 1), 2, np.uint8), (image - above).reshape(height, -1)], 1)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"sRGB", b"\x00"),
        (b"IDAT", zlib.compress(rows.tobytes(), 6)),
        (b"IEND", b""),
    )
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        stream.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in chunks:
            stream.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
