"""The glTF 2.0 container by hand: packing accessors and the two file forms, reading them back.

Libraries were tried and either break sparse morph targets on saving or drop morph targets and animation silently.
"""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
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

    def __init__(self) -> None:
        self.accessors: list[dict[str, Any]] = []
        self.views: list[dict[str, Any]] = []
        self.data = bytearray()

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


def pack(document: dict[str, Any], data: bytes, suffix: str, buffer: dict[str, Any] | None = None) -> bytes:
    """The bytes of a .glb, or of a .gltf that carries its buffer as a data URI.

    Args:
        document: glTF JSON without `buffers`.
        data: buffer 0.
        suffix: ".glb" or ".gltf".
        buffer: what else the JSON says of buffer 0, e.g. its name.
    """
    about = {**(buffer or {}), "byteLength": len(data)}
    if suffix == ".gltf":
        about["uri"] = URI_PREFIX + base64.b64encode(data).decode("ascii")
        return json.dumps({**document, "buffers": [about]}).encode()
    text = json.dumps({**document, "buffers": [about]}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    data = bytes(data) + b"\0" * (-len(data) % 4)
    total = 12 + 8 + len(text) + 8 + len(data)
    if total >= 2**32:
        raise InputError("glb: the file would exceed 4 GiB, the most the format can hold; write .usdc or .npz")
    header = struct.pack("<III", MAGIC, 2, total)
    return header + struct.pack("<II", len(text), JSON_CHUNK) + text + struct.pack("<II", len(data), BIN_CHUNK) + data


def unpack(path: Path) -> tuple[dict[str, Any], bytes]:
    """The JSON document and buffer 0 of a .glb or .gltf file.

    Raises:
        InputError: not glTF 2.0, truncated, or with buffers in files elsewhere that cannot be read.
    """
    try:
        raw = path.read_bytes()
        if raw[:4] == b"glTF":
            return _unpack_binary(raw)
        document = json.loads(raw.decode("utf-8-sig"))
        uri = document["buffers"][0]["uri"]
        encoded = uri.startswith("data:")
        return document, base64.b64decode(uri.split(",", 1)[1]) if encoded else (path.parent / uri).read_bytes()
    except (OSError, ValueError, KeyError, IndexError, TypeError, struct.error) as error:
        raise InputError(f"{path}: not a readable glTF 2.0 file ({error}); export it again as .glb") from error


def _unpack_binary(raw: bytes) -> tuple[dict[str, Any], bytes]:
    _, version, total = struct.unpack_from("<III", raw)
    if version != 2 or total > len(raw):
        raise ValueError(f"version {version}, {len(raw)} of {total} bytes")
    document: dict[str, Any] = {}
    data, offset = b"", 12
    while offset + 8 <= total:
        length, kind = struct.unpack_from("<II", raw, offset)
        chunk = raw[offset + 8 : offset + 8 + length]
        if len(chunk) < length:
            raise ValueError("a chunk is cut off")
        if kind == JSON_CHUNK:
            document = json.loads(chunk)
        elif kind == BIN_CHUNK:
            data = chunk
        offset += 8 + length
    if not document:
        raise ValueError("no JSON chunk")
    return document, data


def read_accessor(document: dict[str, Any], data: bytes, index: int) -> np.ndarray:
    """An accessor's values: (n,) or (n, width), sparse filled in, normalised integers as floats.

    Raises:
        InputError: the accessor points outside of the buffer or does not exist.
    """
    try:
        accessor = document["accessors"][index]
        width, count = WIDTHS[accessor["type"]], accessor["count"]
        dtype = DTYPES[accessor["componentType"]]
        values = np.zeros((count, width), dtype)
        if "bufferView" in accessor:
            values = _read_view(
                document, data, accessor["bufferView"], accessor.get("byteOffset", 0), dtype, count, width
            ).copy()
        if sparse := accessor.get("sparse"):
            kind = DTYPES[sparse["indices"]["componentType"]]
            at, held = sparse["indices"], sparse["values"]
            rows = _read_view(document, data, at["bufferView"], at.get("byteOffset", 0), kind, sparse["count"], 1)[:, 0]
            values[rows] = _read_view(
                document, data, held["bufferView"], held.get("byteOffset", 0), dtype, sparse["count"], width
            )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"glTF accessor {index} is broken ({error}); export the file again") from error
    if accessor.get("normalized"):
        values = np.maximum(values.astype(np.float32) / np.iinfo(dtype).max, -1.0)
    return values[:, 0] if width == 1 else values


def _read_view(
    document: dict[str, Any], data: bytes, index: int, offset: int, dtype: np.dtype, count: int, width: int
) -> np.ndarray:
    view = document["bufferViews"][index]
    if view.get("buffer", 0) != 0 or index < 0:
        raise ValueError("more than one buffer is not supported")
    start, row = view.get("byteOffset", 0) + offset, dtype.itemsize * width
    stride = view.get("byteStride", row)
    if (
        count < 1
        or start < 0
        or offset + (count - 1) * stride + row > view["byteLength"]
        or start + (count - 1) * stride + row > len(data)
    ):
        raise ValueError(f"{count} elements do not fit the buffer")
    return np.ndarray((count, width), dtype, data, start, (stride, dtype.itemsize))
