"""Adding to a glTF file without harming what is in it."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from typing import Any

from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.gltf.reader import Broken, Gltf, resource
from diffspeaker3d.geometry.gltf.schema import check_document

log = logging.getLogger(__name__)

PACKED = ("EXT_meshopt_compression", "KHR_meshopt_compression")
IMAGE_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp", b"\xabKTX": "image/ktx2"}


def gathered(gltf: Gltf) -> tuple[dict[str, Any], bytearray]:
    """A copy of the file's JSON, and its buffer 0 to add to.

    Nothing changes if that is the only buffer with bytes, as in a .glb. Several buffers, and those and images in files of their
    own, become parts of buffer 0; the views are told where.

    Raises:
        InputError: an image is missing.
    """
    document = copy.deepcopy(gltf.json)
    # Some exporters write a lone image's path even in a .glb.
    outside = [i for i in document.get("images", []) if "uri" in i and not i["uri"].startswith("data:")]
    plain = bool(gltf.buffers) and gltf.buffers[0] is not None and "uri" not in document["buffers"][0]
    if plain and not outside and not any(gltf.buffers[1:]):
        return document, bytearray(gltf.buffers[0] or b"")
    data = bytearray()
    starts: list[tuple[int, int]] = []  # of each old buffer: its new number, and where it begins there
    empty: list[dict[str, Any]] = []
    for about, part in zip(document.get("buffers", []), gltf.buffers, strict=True):
        if part is None:  # only a place to unpack to
            empty.append(about)
            starts.append((len(empty), 0))
        else:
            data += b"\0" * (-len(data) % 16)
            starts.append((0, len(data)))
            data += part
    for view in document.get("bufferViews", []):
        for place in _places(view):
            number, start = starts[place.get("buffer", 0)]
            place |= {"buffer": number, "byteOffset": place.get("byteOffset", 0) + start}
    for image in outside:
        _embed(gltf, document, image, data)
    document["buffers"] = [{"byteLength": len(data)}, *empty]
    log.info("%s: its parts are gathered in one file", gltf.path)
    return document, data


def _places(view: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A buffer view, and what an extension adds that points into a buffer too."""
    yield view
    yield from (view["extensions"][name] for name in PACKED if name in view.get("extensions", {}))


def _embed(gltf: Gltf, document: dict[str, Any], image: dict[str, Any], data: bytearray) -> None:
    try:
        content = resource(gltf.path, image.pop("uri"))
    except Broken as error:
        raise InputError(f"{gltf.path}: image: {error}") from error
    kind = next((kind for start, kind in IMAGE_TYPES.items() if content.startswith(start)), "image/png")
    data += b"\0" * (-len(data) % 4)
    views = document.setdefault("bufferViews", [])
    image |= {"bufferView": len(views), "mimeType": image.get("mimeType", kind)}
    views.append({"buffer": 0, "byteOffset": len(data), "byteLength": len(content)})
    data += content


def remove_clips(
    document: dict[str, Any], data: bytearray, unwanted: Callable[[dict[str, Any], dict[str, Any]], bool]
) -> None:
    """Take the animations out, in place, for which `unwanted(document, animation)` holds.

    Their accessors, views and bytes go too as far as they stand last and nothing else uses them, so that a file which is animated
    again and again does not grow.
    """
    removed = [clip for clip in document.get("animations", []) if unwanted(document, clip)]
    if not removed:
        return
    document["animations"] = [clip for clip in document["animations"] if clip not in removed]
    accessors, views = document["accessors"], document["bufferViews"]
    loose = {sampler[end] for clip in removed for sampler in clip["samplers"] for end in ("input", "output")}
    gone = _pop_last(accessors, loose - _used(document, "accessors"))
    loose = {accessor["bufferView"] for accessor in gone if "bufferView" in accessor}
    old = _pop_last(views, loose - _used(document, "buffer_views"))
    ends = [
        p.get("byteOffset", 0) + p["byteLength"] for view in views for p in _places(view) if p.get("buffer", 0) == 0
    ]
    start = min((view.get("byteOffset", 0) for view in old if view.get("buffer", 0) == 0), default=len(data))
    if start >= max(ends, default=0):
        del data[start:]


def _pop_last(parts: list[dict[str, Any]], loose: set[int]) -> list[dict[str, Any]]:
    """Remove the parts with the given numbers from the end of a list, up to the first that must stay."""
    first = len(parts)
    while first - 1 in loose:
        first -= 1
    gone = parts[first:]
    del parts[first:]
    return gone


def _used(document: dict[str, Any], name: str) -> set[int | None]:
    """The numbers of a list's parts that the document refers to."""
    checked = check_document(document, "document")
    parts = getattr(checked, name)
    return {index for _, _, held, pointed in checked.references() if pointed is parts for index in held}


def same_content(before: Gltf, after: Gltf) -> bool:
    """Whether every image and every buffer view of one file that the other still has holds the same bytes, packed ones as packed."""
    if len(after.document.images) < len(before.document.images):
        return False
    views = min(len(before.document.buffer_views), len(after.document.buffer_views))
    return all(before.stored(n) == after.stored(n) for n in range(views)) and all(
        before.image(n) == after.image(n) for n in range(len(before.document.images))
    )
