"""Writing glTF 2.0: accessors packed into one buffer, and the two forms of file."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np

from diffspeaker3d.errors import InputError

MAGIC, JSON_CHUNK, BIN_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
COMPONENTS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
DTYPES = {code: np.dtype(f"<{kind}") for kind, code in COMPONENTS.items()}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
URI_PREFIX = "data:application/octet-stream;base64,"


class BufferBuilder:
    """Collects accessors and the binary buffer behind them.

    Attributes:
        accessors, views: the JSON objects so far.
        data: the buffer, every view aligned to 4 bytes.
    """

    def __init__(self, document: dict[str, Any] | None = None, data: bytearray | None = None) -> None:
        """Start empty, or go on with a document's own lists and its buffer 0, which both grow in place."""
        document = {} if document is None else document
        self.accessors: list[dict[str, Any]] = document.setdefault("accessors", [])
        self.views: list[dict[str, Any]] = document.setdefault("bufferViews", [])
        self.data = bytearray() if data is None else data

    def view(self, payload: bytes, target: int | None = None, stride: int | None = None) -> int:
        """Append bytes as a buffer view and return its index."""
        self.data += b"\0" * (-len(self.data) % 4)
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(payload)}
        if stride:
            view["byteStride"] = stride
        if target:
            view["target"] = target
        self.data += payload
        self.views.append(view)
        return len(self.views) - 1

    def accessor(
        self, array: np.ndarray, kind: str, target: int | None = None, bounds: bool = False, normalized: bool = False
    ) -> int:
        """A dense accessor of `array` (n,) or (n, width); returns its index."""
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        accessor = {"bufferView": self.view(array.tobytes(), target), **_description(array, kind, bounds)}
        if normalized:
            accessor["normalized"] = True
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def sparse_accessor(self, array: np.ndarray, epsilon: float, bounds: bool) -> int:
        """A VEC3 float accessor storing only rows with a coordinate beyond `epsilon`, dense if that is smaller."""
        rows = np.flatnonzero(np.abs(array).max(1) > epsilon)
        index_type = np.dtype("<u2") if len(array) <= 65535 else np.dtype("<u4")
        if len(rows) * (12 + index_type.itemsize) + 64 >= array.nbytes:
            return self.accessor(array.astype(np.float32), "VEC3", ARRAY_BUFFER, bounds)
        kept = np.zeros(array.shape, np.float32)
        kept[rows] = array[rows]
        accessor = _description(kept, "VEC3", bounds)
        if len(rows):  # an accessor without any view is all zeros
            accessor["sparse"] = {
                "count": len(rows),
                "indices": {
                    "bufferView": self.view(rows.astype(index_type).tobytes()),
                    "componentType": COMPONENTS[index_type.str[1:]],
                },
                "values": {"bufferView": self.view(kept[rows].tobytes())},
            }
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def _description(array: np.ndarray, kind: str, bounds: bool) -> dict[str, Any]:
    accessor: dict[str, Any] = {"componentType": COMPONENTS[array.dtype.str[1:]], "count": len(array), "type": kind}
    if bounds:
        table = array.reshape(len(array), -1)
        accessor |= {"min": table.min(0).tolist(), "max": table.max(0).tolist()}
    return accessor


def pack(document: dict[str, Any], data: bytes, suffix: str) -> bytes:
    """The bytes of a .glb (or .vrm, which is one), or of a .gltf that carries its buffer as a data URI.

    Args:
        document: glTF JSON; of its `buffers`, if it has any, the first is given its length here.
        data: buffer 0.
        suffix: of the file.
    """
    first, *others = document.get("buffers") or [{}]
    about = {key: value for key, value in first.items() if key != "uri"} | {"byteLength": len(data)}
    if suffix == ".gltf":
        about["uri"] = URI_PREFIX + base64.b64encode(data).decode("ascii")
        return json.dumps({**document, "buffers": [about, *others]}).encode()
    text = json.dumps({**document, "buffers": [about, *others]}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    data = bytes(data) + b"\0" * (-len(data) % 4)
    total = 12 + 8 + len(text) + 8 + len(data)
    if total >= 2**32:
        raise InputError("glb: the file would exceed 4 GiB, the most the format can hold; write .usdc or .npz")
    header = struct.pack("<III", MAGIC, 2, total)
    return header + struct.pack("<II", len(text), JSON_CHUNK) + text + struct.pack("<II", len(data), BIN_CHUNK) + data
