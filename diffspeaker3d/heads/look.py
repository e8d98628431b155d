"""The colours that a glTF file gives its meshes: base colour, vertex colours and texture, per vertex and as one picture."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Sequence

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.gltf import Gltf, Piece
from diffspeaker3d.geometry.gltf.schema import Primitive, TextureReference
from diffspeaker3d.topology import Texture

log = logging.getLogger(__name__)

MOST_PIXELS = 1 << 26  # of one texture, 8192 x 8192
MOST_TILE = 2048  # pixels along a texture's side that pictures are drawn with
GUTTER = 2  # pixels between textures, so that none bleeds into another


def vertex_colors(gltf: Gltf, shown: Sequence[Piece]) -> np.ndarray | None:
    """Colours (V, 3) uint8, sRGB, of the pieces' vertices; None if the file is plain white all over.

    A texture that cannot be read is left out with a warning.
    """
    images: dict[int, np.ndarray | None] = {}
    colors = [_linear(gltf, piece.primitive, images) for piece in shown]
    if not colors or all((color == 1).all() for color in colors):
        return None
    return np.rint(255 * to_display(np.concatenate(colors).clip(0, 1))).astype(np.uint8)


def to_display(linear: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] as sRGB in [0, 1] (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)


def to_linear(display: np.ndarray) -> np.ndarray:
    """The other way."""
    return np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4)


def texture(gltf: Gltf, shown: Sequence[Piece]) -> Texture | None:
    """The pieces' textures side by side in one picture, each tinted as its material says; None if there are none.

    Plain pieces get a patch of their colour. A texture that repeats is laid once, from the corner where the mesh begins.
    """
    images: dict[int, np.ndarray | None] = {}
    tiles: list[np.ndarray] = []
    places: list[np.ndarray] = []
    for piece in shown:
        tile, place = _tile(gltf, piece.primitive, images)
        tiles.append(tile)
        places.append(place)
    if all(tile.shape[0] == 1 for tile in tiles):
        return None
    kinds: dict[bytes, int] = {}  # the same picture in the same tint is kept once
    number = [
        kinds.setdefault(hashlib.sha256(tile.tobytes()).digest() + repr(tile.shape).encode(), n)
        for n, tile in enumerate(tiles)
    ]
    kept = {n: tiles[n] for n in dict.fromkeys(number)}
    height = max(tile.shape[0] for tile in kept.values())
    starts, width = {}, 0
    for n, tile in kept.items():
        starts[n], width = width, width + tile.shape[1] + 2 * GUTTER
    image = np.zeros((height, width, 3), np.uint8)
    for n, tile in kept.items():
        rows = np.minimum(np.arange(height), tile.shape[0] - 1)
        columns = np.arange(-GUTTER, tile.shape[1] + GUTTER).clip(0, tile.shape[1] - 1)
        image[:, starts[n] : starts[n] + len(columns)] = tile[rows][:, columns]
    for n, place in enumerate(places):
        tile = tiles[n]
        place[:, 0] = (starts[number[n]] + GUTTER + place[:, 0] * tile.shape[1]) / width
        place[:, 1] = place[:, 1] * tile.shape[0] / height
    return Texture(np.concatenate(places).astype(np.float32), image)


def _tile(gltf: Gltf, primitive: Primitive, images: dict[int, np.ndarray | None]) -> tuple[np.ndarray, np.ndarray]:
    """A primitive's picture (h, w, 3) uint8 and where its vertices lie in it, (n, 2) in [0, 1]."""
    middle = np.full((gltf.count(primitive), 2), 0.5)
    if primitive.material is None:
        return np.full((1, 1, 3), 255, np.uint8), middle
    surface = gltf.document.materials[primitive.material].pbr_metallic_roughness
    tint = np.array(surface.base_color_factor[:3]).clip(0, 1)
    reference = surface.base_color_texture
    places = None if reference is None else texture_places(gltf, primitive, reference)
    image = None if reference is None else _image(gltf, reference, images)
    if places is None or image is None:
        return np.rint(255 * to_display(tint)).astype(np.uint8).reshape(1, 1, 3), middle
    step = -(-max(image.shape[:2]) // MOST_TILE)
    tile = to_display(to_linear(image[::step, ::step] / np.float32(255)) * tint.astype(np.float32))
    places = places - np.floor(places.min(0))
    return np.rint(255 * tile).astype(np.uint8), np.where(places > 1, places % 1.0, places)


def _linear(gltf: Gltf, primitive: Primitive, images: dict[int, np.ndarray | None]) -> np.ndarray:
    """Linear colours (n, 3) of a primitive's vertices."""
    color = np.ones((gltf.count(primitive), 3))
    painted = gltf.floats(primitive, "COLOR_0")
    if painted is not None and painted.ndim == 2:
        color = color * painted[:, :3]
    if primitive.material is None:
        return color
    surface = gltf.document.materials[primitive.material].pbr_metallic_roughness
    color = color * np.array(surface.base_color_factor[:3])
    if surface.base_color_texture is not None:
        places = texture_places(gltf, primitive, surface.base_color_texture)
        image = _image(gltf, surface.base_color_texture, images)
        if places is not None and image is not None:
            color = color * _sample(image, places)
    return color


def texture_places(gltf: Gltf, primitive: Primitive, reference: TextureReference) -> np.ndarray | None:
    """Texture coordinates (n, 2) of a primitive's vertices as its material wants them: u to the right, v down."""
    transform = reference.extensions.transform
    number = reference.tex_coord if transform is None or transform.tex_coord is None else transform.tex_coord
    places = gltf.floats(primitive, f"TEXCOORD_{number}")
    if places is None or places.ndim != 2 or transform is None:
        return places
    cosine, sine = np.cos(transform.rotation), np.sin(transform.rotation)
    turn = np.array([[cosine, sine], [-sine, cosine]])
    return (places * np.array(transform.scale)) @ turn.T + np.array(transform.offset)


def _image(gltf: Gltf, reference: TextureReference, images: dict[int, np.ndarray | None]) -> np.ndarray | None:
    """A texture (h, w, 3) uint8, None if it cannot be read."""
    texture = gltf.document.textures[reference.index]
    source = texture.extensions.webp.source if texture.extensions.webp else texture.source
    if source is None:
        return None
    if source not in images:
        try:
            images[source] = read_image(gltf.image(source))
        except (InputError, ValueError) as error:
            log.warning("%s: image %d is left out: %s", gltf.path, source, error)
            images[source] = None
    return images[source]


def read_image(content: bytes) -> np.ndarray:
    """Pixels (h, w, 3) uint8 of an image file; ValueError if it is none, or too large."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ValueError('needs Pillow; pip install "diffspeaker3d[mesh]"') from error
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are too many")
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"not a readable image ({error})") from error


def _sample(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Linear colours (n, 3) of an sRGB image between its four nearest pixels; beyond the edges it repeats."""
    height, width = image.shape[:2]
    across, down = (places[:, k] % 1.0 * size - 0.5 for k, size in ((0, width), (1, height)))
    left, top = np.floor(across).astype(int), np.floor(down).astype(int)
    result = np.zeros((len(places), 3))
    for right in (0, 1):
        for below in (0, 1):
            share = np.abs(1 - right - (across - left)) * np.abs(1 - below - (down - top))
            pixel = image[(top + below) % height, (left + right) % width] / 255.0
            result += share[:, None] * to_linear(pixel)
    return result
