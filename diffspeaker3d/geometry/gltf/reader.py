"""Reading glTF 2.0: the document checked, its buffers gathered, its arrays unpacked whatever they are packed with.

gltf = open_gltf("hero.glb")
for primitive in gltf.document.meshes[0].primitives:
    gltf.attribute(primitive, "POSITION"), gltf.triangles(primitive)
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import stat
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.gltf.container import BIN_CHUNK, DTYPES, JSON_CHUNK, WIDTHS
from diffspeaker3d.geometry.gltf.meshopt import most_rows, unpack_view
from diffspeaker3d.geometry.gltf.schema import Accessor, CompressedView, Document, Primitive, check_document

GLTF_SUFFIXES = (".glb", ".gltf", ".vrm")
MOST_BYTES = 1 << 29  # of one file, and of what it unpacks to
MOST_NUMBERS = 1 << 26  # of one accessor
MOST_ZEROS = 1 << 21  # rows of one that holds no bytes
MOST_VERTICES = 1 << 22  # of one primitive
TRIANGLES, STRIP, FAN = 4, 5, 6
# What is in every file that names it as required, and is understood here (materials and lights do not move a vertex).
UNDERSTOOD = (
    "KHR_draco_mesh_compression",
    "EXT_meshopt_compression",
    "KHR_mesh_quantization",
    "KHR_texture_transform",
    "KHR_node_visibility",
)
HARMLESS = ("KHR_materials_", "KHR_lights_", "KHR_texture_", "EXT_texture_", "KHR_xmp", "VRM", "MSFT_texture_")


class Broken(ValueError):
    """Something in the file is not as its description says; `open_gltf` and its methods say which file."""


@dataclass(frozen=True, eq=False)
class Gltf:
    """An opened file.

    Attributes:
        path: where it is.
        json: its JSON as it came.
        document: the same, checked.
        buffers: the bytes of each buffer; None where there are none to be read (the place that packed views unpack to).
    """

    path: Path
    json: dict[str, Any]
    document: Document
    buffers: tuple[memoryview | None, ...]
    _unpacked: dict[int, bytes] = field(default_factory=dict)
    _draco: dict[Any, dict[str, np.ndarray]] = field(default_factory=dict)

    def view(self, index: int) -> bytes | memoryview:
        """The plain bytes of a buffer view.

        Raises:
            InputError: it lies outside of its buffer, or cannot be unpacked.
        """
        if index in self._unpacked:
            return self._unpacked[index]
        view = self.document.buffer_views[index]
        try:
            if view.compressed is None:
                return self._slice(view.buffer, view.byte_offset, view.byte_length)
            self._unpacked[index] = self._unpack(view.compressed)
        except (Broken, ValueError, IndexError) as error:
            raise InputError(f"{self.path}: bufferView {index} is broken ({error}); export the file again") from error
        return self._unpacked[index]

    def stored(self, index: int) -> bytes | memoryview:
        """A buffer view's bytes as they lie in the file: packed, if they are."""
        view = self.document.buffer_views[index]
        packed = view.compressed or view
        try:
            return self._slice(packed.buffer, packed.byte_offset, packed.byte_length)
        except Broken as error:
            raise InputError(f"{self.path}: bufferView {index} is broken ({error}); export the file again") from error

    def _slice(self, buffer: int, offset: int, length: int) -> memoryview:
        data = self.buffers[buffer]
        if data is None:
            raise Broken(f"buffer {buffer} has no data")
        if offset + length > len(data):
            raise Broken(f"bytes {offset} to {offset + length} of {len(data)}")
        return data[offset : offset + length]

    def _unpack(self, packed: CompressedView) -> bytes:
        stream = bytes(self._slice(packed.buffer, packed.byte_offset, packed.byte_length))
        size = packed.count * packed.byte_stride
        if packed.count > most_rows(len(stream), packed) or size + sum(map(len, self._unpacked.values())) > MOST_BYTES:
            raise Broken(f"{size} bytes from {len(stream)}")
        return unpack_view(stream, packed)

    def accessor(self, index: int) -> np.ndarray:
        """An accessor's values: (n,) or (n, width), sparse rows filled in, normalised integers as float32.

        Raises:
            InputError: it does not exist, does not fit its buffer view, or is too large.
        """
        try:
            if not 0 <= index < len(self.document.accessors):
                raise Broken(f"there are {len(self.document.accessors)}")
            return self._values(self.document.accessors[index])
        except (Broken, InputError) as error:
            reason = str(error).removeprefix(f"{self.path}: ")
            raise InputError(f"{self.path}: accessor {index} is broken ({reason}); export the file again") from error

    def _values(self, accessor: Accessor) -> np.ndarray:
        if accessor.type not in WIDTHS:
            raise Broken(f"type {accessor.type}")
        width, dtype = WIDTHS[accessor.type], DTYPES[accessor.component_type]
        if accessor.count * width > MOST_NUMBERS or (accessor.buffer_view is None and accessor.count > MOST_ZEROS):
            raise Broken(f"{accessor.count} rows are more than is read")
        if accessor.buffer_view is None:
            values = np.zeros((accessor.count, width), dtype)
        else:
            values = self._rows(accessor.buffer_view, accessor.byte_offset, dtype, accessor.count, width)
        if sparse := accessor.sparse:
            indices = sparse.indices
            rows = self._rows(
                indices.buffer_view, indices.byte_offset, DTYPES[indices.component_type], sparse.count, 1
            )[:, 0]
            if rows.max(initial=0) >= accessor.count:
                raise Broken(f"sparse row {rows.max()} of {accessor.count}")
            values = values.copy()
            values[rows] = self._rows(sparse.values.buffer_view, sparse.values.byte_offset, dtype, sparse.count, width)
        if accessor.normalized and dtype.kind in "iu":
            values = np.maximum(values.astype(np.float32) / np.float32(np.iinfo(dtype).max), np.float32(-1))
        return values[:, 0] if width == 1 else values

    def _rows(self, index: int, offset: int, dtype: np.dtype, count: int, width: int) -> np.ndarray:
        """(count, width) of a view, its rows `byte_stride` apart; a view of the bytes, not a copy."""
        data, row = self.view(index), dtype.itemsize * width
        stride = self.document.buffer_views[index].byte_stride or row
        if offset + (count - 1) * stride + row > len(data):
            raise Broken(f"{count} rows do not fit the {len(data)} bytes of bufferView {index}")
        return np.ndarray((count, width), dtype, data, offset, (stride, dtype.itemsize))

    def count(self, primitive: Primitive) -> int:
        """How many vertices a primitive says it has, nothing unpacked."""
        position = primitive.attributes.get("POSITION")
        return 0 if position is None else self.document.accessors[position].count

    def attribute(self, primitive: Primitive, name: str) -> np.ndarray | None:
        """An attribute's values (n, width) or (n,), None if the primitive has none; from the Draco stream if it lies there.

        Raises:
            InputError: it cannot be read, or has not as many rows as there are vertices.
        """
        if name not in primitive.attributes:
            return None
        index, count, draco = primitive.attributes[name], self.count(primitive), primitive.extensions.draco
        if (announced := self.document.accessors[index].count) != count or count > MOST_VERTICES:
            raise InputError(f"{self.path}: {name} has {announced} rows for {count} vertices; export the file again")
        if draco is not None and name in draco.attributes:
            return self._decoded(primitive)[name]
        return self.accessor(index)

    def floats(self, primitive: Primitive, name: str) -> np.ndarray | None:
        """The same as float64, every number finite."""
        values = self.attribute(primitive, name)
        if values is None:
            return None
        values = values.astype(np.float64)
        if not np.isfinite(values).all():
            raise InputError(f"{self.path}: {name} has values that are not finite; repair the mesh")
        return values

    def target(self, primitive: Primitive, number: int) -> np.ndarray | None:
        """Displacements (n, 3) float64 of a primitive's morph target at weight 1, None if it does not move positions.

        Raises:
            InputError: they cannot be read, are not finite, or have not as many rows as there are vertices.
        """
        if "POSITION" not in primitive.targets[number]:
            return None
        index, count = primitive.targets[number]["POSITION"], self.count(primitive)
        if self.document.accessors[index].count != count:
            raise InputError(f"{self.path}: a shape has another size than its mesh; repair the mesh")
        values = self.accessor(index).astype(np.float64)
        if values.shape != (count, 3) or not np.isfinite(values).all():
            raise InputError(f"{self.path}: a shape has values that are not finite; repair the mesh")
        return values

    def triangles(self, primitive: Primitive) -> np.ndarray:
        """Corners (F, 3) int64 of a primitive's triangles, strips and fans taken apart; none of points and lines.

        Raises:
            InputError: they cannot be read, or name vertices that do not exist.
        """
        count = self.count(primitive)
        if primitive.mode < TRIANGLES:
            return np.zeros((0, 3), np.int64)
        if primitive.extensions.draco is not None:
            corners = self._decoded(primitive)["indices"]
        elif primitive.indices is not None:
            corners = self.accessor(primitive.indices)
        elif count > MOST_VERTICES:
            raise InputError(f"{self.path}: {count} vertices are more than is read; reduce the mesh")
        else:
            corners = np.arange(count)
        sound = corners.ndim == 1 and corners.dtype.kind in "iu" and corners.min(initial=0) >= 0
        if not sound or corners.max(initial=0) >= max(count, 1):
            raise InputError(f"{self.path}: has triangles of vertices that do not exist; export the file again")
        corners = corners.astype(np.int64)
        if primitive.mode == TRIANGLES:
            return corners[: len(corners) // 3 * 3].reshape(-1, 3)
        turns = np.arange(max(len(corners) - 2, 0))
        if primitive.mode == FAN:
            return np.stack([np.full_like(turns, corners[0]), corners[turns + 1], corners[turns + 2]], 1)
        odd = turns % 2  # every second triangle of a strip runs the other way round
        return np.stack([corners[turns], corners[turns + 1 + odd], corners[turns + 2 - odd]], 1)

    def image(self, index: int) -> bytes:
        """The bytes of an image file.

        Raises:
            InputError: it is missing, or lies outside of the file's folder.
        """
        image = self.document.images[index]
        if image.buffer_view is not None:
            return bytes(self.view(image.buffer_view))
        try:
            if image.uri is None:
                raise Broken("no data")
            return resource(self.path, image.uri)
        except Broken as error:
            raise InputError(f"{self.path}: image {index}: {error}") from error

    def _decoded(self, primitive: Primitive) -> dict[str, np.ndarray]:
        """What a primitive's Draco stream holds: `indices` (3 F,), and its attributes by name."""
        draco = primitive.extensions.draco
        assert draco is not None
        key = draco.buffer_view, tuple(draco.attributes.items())
        if key not in self._draco:
            try:
                self._draco[key] = self._decode(primitive)
            except (Broken, ValueError, IndexError, struct.error) as error:
                raise InputError(f"{self.path}: a Draco stream is broken ({error}); export the file again") from error
        return self._draco[key]

    def _decode(self, primitive: Primitive) -> dict[str, np.ndarray]:
        draco = primitive.extensions.draco
        assert draco is not None
        try:
            import DracoPy
        except ImportError as error:
            raise InputError(
                f'{self.path}: is compressed with Draco; pip install "diffspeaker3d[mesh]" to read it'
            ) from error
        stream, count = bytes(self.view(draco.buffer_view)), self.count(primitive)
        faces, vertices = _draco_counts(stream)
        if count > MOST_VERTICES or vertices > count or faces > 4 * MOST_VERTICES:
            raise Broken(f"{vertices} vertices and {faces} triangles where {count} vertices are announced")
        try:
            mesh = DracoPy.decode(stream)
        except Exception as error:  # a foreign parser's own kinds
            raise Broken(str(error)) from error
        found: dict[str, np.ndarray] = {"indices": np.asarray(mesh.faces, np.uint32).reshape(-1)}
        for name, number in draco.attributes.items():
            held = [a["data"] for a in mesh.attributes if a["unique_id"] == number]
            if not held or len(held[0]) != count:
                raise Broken(f"{name} is missing or has not {count} rows")
            accessor = self.document.accessors[primitive.attributes[name]] if name in primitive.attributes else None
            values = np.asarray(held[0]).reshape(count, -1)
            if accessor is not None and accessor.normalized and values.dtype.kind in "iu":
                values = np.maximum(values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max), np.float32(-1))
            found[name] = values
        return found


def open_gltf(path: str | Path) -> Gltf:
    """Open a .glb, .gltf or .vrm with every buffer it needs.

    Raises:
        InputError: missing, not glTF 2.0, cut off, needs an extension that is not known here, or has parts elsewhere that are
            missing or outside of its folder.
    """
    path = Path(path)
    try:
        raw = read_regular(path)
        parsed, binary = _split(raw) if raw[:4] == b"glTF" else (_json(raw), None)
        if not isinstance(parsed, dict):
            raise Broken("its JSON is no object")
        document = check_document(parsed, str(path))
        if document.asset.version.split(".")[0] != "2":
            raise Broken(f"version {document.asset.version}")
        unknown = [e for e in document.extensions_required if e not in UNDERSTOOD and not e.startswith(HARMLESS)]
        if unknown:
            raise Broken(f"it needs {', '.join(unknown[:3])}, which is not read here; export it without")
        return Gltf(path, parsed, document, _buffers(path, document, binary))
    except Broken as error:
        raise InputError(f"{path}: not a readable glTF 2.0 file ({error}); export it again as .glb") from error


def read_regular(path: Path, most: int = MOST_BYTES) -> bytes:
    """The bytes of an ordinary file of bounded size: never a device or a pipe, which have no end.

    Raises:
        InputError: missing, not an ordinary file, too large, or not to be read.
    """
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            raise InputError(f"{path}: is not an ordinary file; name one")
        if about.st_size > most:
            raise InputError(f"{path}: {about.st_size / 2**20:.0f} MiB; at most {most / 2**20:.0f} are read, reduce it")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{path}: cannot be read ({error}); check the path") from error


def _split(raw: bytes) -> tuple[Any, memoryview | None]:
    """The JSON and the binary chunk of a .glb."""
    if len(raw) < 20:
        raise Broken("cut off")
    _, version, total = struct.unpack_from("<III", raw)
    if version != 2 or total > len(raw):
        raise Broken(f"version {version}, {len(raw)} of {total} bytes")
    parsed, binary, offset = None, None, 12
    while offset + 8 <= total:
        length, kind = struct.unpack_from("<II", raw, offset)
        if offset + 8 + length > total:
            raise Broken("a chunk is cut off")
        chunk = memoryview(raw)[offset + 8 : offset + 8 + length]
        if kind == JSON_CHUNK and parsed is None:
            parsed = _json(bytes(chunk))
        elif kind == BIN_CHUNK and binary is None:
            binary = chunk
        offset += 8 + length
    if parsed is None:
        raise Broken("no JSON chunk")
    return parsed, binary


def _json(text: bytes) -> Any:
    def no_number(word: str) -> None:
        raise Broken(f"{word} is no number of JSON")

    try:
        return json.loads(text.decode("utf-8-sig"), parse_constant=no_number)
    except RecursionError as error:
        raise Broken("its JSON is nested too deep") from error
    except ValueError as error:
        raise error if isinstance(error, Broken) else Broken(f"its JSON: {str(error)[:80]}") from error


def _buffers(path: Path, document: Document, binary: memoryview | None) -> tuple[memoryview | None, ...]:
    found: list[memoryview | None] = []
    total = 0
    for number, buffer in enumerate(document.buffers):
        data = binary if number == 0 and buffer.uri is None else None
        if buffer.uri is not None:
            try:
                data = memoryview(resource(path, buffer.uri))
            except Broken as error:
                raise Broken(f"buffer {number}: {error}") from error
        if data is not None:
            if len(data) < buffer.byte_length:
                raise Broken(f"buffer {number} has {len(data)} of {buffer.byte_length} bytes")
            total += len(data)
            if total > MOST_BYTES:
                raise Broken(f"its buffers exceed {MOST_BYTES >> 20} MiB")
            data = data[: buffer.byte_length]
        found.append(data)
    return tuple(found)


def resource(path: Path, uri: str) -> bytes:
    """What a URI in the file at `path` stands for: the data in it, or a file beside or below that one.

    Raises:
        Broken: neither of both; the file is not touched in that case.
    """
    if uri.startswith("data:"):
        head, comma, body = uri.partition(",")
        try:
            if not comma:
                raise Broken("a data URI without data")
            return base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
        except (binascii.Error, ValueError) as error:
            raise Broken(f"a data URI that is no base64 ({error})") from error
    try:
        name = unquote_to_bytes(uri).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Broken("a URI that is no text") from error
    shown = uri[:60].encode("unicode_escape").decode()
    parts = name.replace("\\", "/").split("/")
    if not name or "\0" in name or ":" in parts[0] or parts[0] in ("", "~") or ".." in parts:
        raise Broken(f"{shown} lies outside of its folder; put it beside the file")
    folder = path.absolute().parent.resolve()
    target = (folder / "/".join(parts)).resolve()
    if not target.is_relative_to(folder):
        raise Broken(f"{shown} leads outside of its folder; put it beside the file")
    try:
        return read_regular(target)
    except InputError as error:
        raise Broken(str(error)) from error


def _draco_counts(stream: bytes) -> tuple[int, int]:
    """Triangles and vertices that a Draco stream announces, from its first bytes: a bound before it is decoded."""
    if stream[:5] != b"DRACO":
        raise Broken("not a Draco stream")
    major, minor, kind, method, flags = struct.unpack_from("<BBBBH", stream, 5)
    if (major, minor) != (2, 2) or kind != 1 or method > 1 or flags & 0x8000:
        raise Broken(f"version {major}.{minor}, kind {kind}, method {method}")
    numbers, at = [], 12 if method == 1 else 11
    for _ in range(2):
        value = 0
        for shift in range(0, 35, 7):
            byte = stream[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                break
        numbers.append(value)
    return (numbers[1], numbers[0]) if method == 1 else (numbers[0], numbers[1])
