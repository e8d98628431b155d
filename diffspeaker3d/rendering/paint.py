"""A head's texture as the canvases take it: with a white patch for all that is not painted."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.topology import Texture

WHITE_ROWS = 4  # below the picture, so that nothing bleeds into their middle


def with_white(texture: Texture, num_vertices: int) -> Texture:
    """The texture for a canvas of more vertices than the head has: the others lie in the white."""
    height, width = texture.image.shape[:2]
    image = np.concatenate([texture.image, np.full((WHITE_ROWS, width, 3), 255, np.uint8)])
    places = in_white(image, num_vertices)
    places[: len(texture.places)] = texture.places * np.array([1, height / len(image)], np.float32)
    return Texture(places, image)


def in_white(image: np.ndarray, num_vertices: int) -> np.ndarray:
    """Places (n, 2) float32 in the middle of the white patch."""
    return np.tile(np.array([0.5, 1 - WHITE_ROWS / 2 / len(image)], np.float32), (num_vertices, 1))


def sample(image: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Nearest pixels (n, 3) uint8 at places in [0, 1]."""
    height, width = image.shape[:2]
    return image[
        np.minimum((down * np.float32(height)).astype(np.int32), height - 1),
        np.minimum((across * np.float32(width)).astype(np.int32), width - 1),
    ]
