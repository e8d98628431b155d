"""Buffer views packed by EXT_meshopt_compression, unpacked with NumPy after the extension's specification.

By hand: of the packages that wrap the original one has no wheels and another is weeks old, and no hostile stream can lead
NumPy outside of an array.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from diffspeaker3d.geometry.gltf.schema import CompressedView

BLOCK_BYTES, MOST_ROWS, GROUP = 8192, 256, 16
BITS = (0, 2, 4, 8)  # of a delta, by its group's header
TABLE_BYTES, SEQUENCE_TAIL = 16, 4
FREE = 15  # an index that is in neither memory follows as a step from the last such


def unpack_view(data: bytes, view: CompressedView) -> bytes:
    """The plain bytes of a packed view: `count` rows of `byte_stride` bytes.

    Raises:
        ValueError, IndexError: the stream is not what its description says.
    """
    if view.mode == "ATTRIBUTES":
        return FILTERS[view.filter](_attributes(data, view.count, view.byte_stride)).tobytes()
    if view.byte_stride not in (2, 4) or view.filter != "NONE":
        raise ValueError(f"indices of {view.byte_stride} bytes, filter {view.filter}")
    indices = (_triangles if view.mode == "TRIANGLES" else _sequence)(data, view.count)
    if view.byte_stride == 2 and indices.max(initial=0) > 0xFFFF:
        raise ValueError("an index beyond 16 bits")
    return indices.astype(f"<u{view.byte_stride}").tobytes()


def most_rows(num_bytes: int, view: CompressedView) -> int:
    """How many rows a stream of so many bytes can hold at the very most: a bound before anything is set aside."""
    if view.mode == "ATTRIBUTES":  # a column of 16 equal deltas costs two bits
        return MOST_ROWS * (4 * num_bytes // view.byte_stride + 1)
    return 3 * num_bytes


def _attributes(data: bytes, count: int, stride: int) -> np.ndarray:
    """Rows (count, stride) uint8: in blocks, each byte column as zigzag differences from the row before."""
    tail = max(32, stride)
    if data[0] != 0xA0 or stride % 4 or len(data) < 1 + tail:
        raise ValueError("not an attribute stream of version 0")
    stream = np.frombuffer(data, np.uint8)
    rows, at = np.empty((count, stride), np.uint8), 1
    last: np.ndarray = stream[len(data) - stride :]
    per_block = min(MOST_ROWS, BLOCK_BYTES // stride // GROUP * GROUP)
    for start in range(0, count, per_block):
        size = min(per_block, count - start)
        deltas = np.zeros((stride, -(-size // GROUP), GROUP), np.uint8)
        for column in deltas:
            at = _column(stream, at, column)
        steps: np.ndarray = deltas.reshape(stride, -1)[:, :size]
        steps = (steps >> 1) ^ (np.uint8(0) - (steps & 1))
        rows[start : start + size] = (np.add.accumulate(steps, 1, dtype=np.uint8) + last[:, None]).T
        last = rows[start + size - 1]
    if at != len(data) - tail:
        raise ValueError(f"{len(data) - tail - at} bytes are left over")
    return rows


def _column(stream: np.ndarray, at: int, groups: np.ndarray) -> int:
    """Fill a block's column of differences (n, 16) from the stream; returns where the next column begins."""
    size = -(-len(groups) // 4)
    headers = (stream[at : at + size, None] >> np.arange(0, 8, 2, dtype=np.uint8) & 3).reshape(-1)
    at += size
    for group, header in zip(groups, headers[: len(groups)], strict=True):
        bits = BITS[header]
        packed = stream[at : at + 2 * bits]
        at += 2 * bits
        if bits == 8:
            group[:] = packed
        elif bits:  # highest bits first; the largest value says that a whole byte follows
            group[:] = (packed[:, None] >> np.arange(8 - bits, -1, -bits, dtype=np.uint8) & (1 << bits) - 1).reshape(-1)
            escaped = np.flatnonzero(group == (1 << bits) - 1)
            group[escaped] = stream[at : at + len(escaped)]
            at += len(escaped)
    return at


class _Steps:
    """Reads the numbers of an index stream, each a zigzag step in groups of seven bits, lowest first."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at, self.last = data, at, 0

    def number(self) -> int:
        """The next number as it stands."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                break
        return value

    def byte(self) -> int:
        """The next byte."""
        self.at += 1
        return self.data[self.at - 1]

    def index(self) -> int:
        """The next index, a step from the last one read here."""
        self.last = (self.last + _signed(self.number())) & 0xFFFFFFFF
        return self.last


def _signed(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def _triangles(data: bytes, count: int) -> np.ndarray:
    """Indices (count,) of triangles, each coded against the edges and vertices met last."""
    codes, end = data[1 : 1 + count // 3], len(data) - TABLE_BYTES
    if data[0] not in (0xE0, 0xE1) or count % 3 or 1 + count // 3 > end:
        raise ValueError("not a triangle stream of version 0 or 1")
    edges, recent, fresh = [(0, 0)] * 16, [0] * 16, 0  # newest last; the first vertex not met yet
    remembered = 13 if data[0] == 0xE1 else FREE
    steps = _Steps(data, 1 + count // 3)
    triangles: list[int] = []
    for code in codes:
        if steps.at > end:
            raise ValueError("cut off")
        if code < 0xF0:  # across an edge that is remembered
            (a, b), which = edges[-1 - (code >> 4)], code & 15
            if which == 0:
                c, fresh = fresh, fresh + 1
            elif which < remembered:
                c = recent[-1 - which]
            else:
                steps.last += 0 if which == FREE else 2 * which - 27  # 13: one back, 14: one on
                c = steps.index() if which == FREE else steps.last
            new = [c] if which == 0 or which >= remembered else []
            edges += [(c, b), (a, c)]
        else:
            tabled = code < 0xFE
            pair = data[end + (code & 15)] if tabled else steps.byte()
            if not tabled and pair == 0:
                fresh = 0
            corners, new = [], []
            for number, which in enumerate((FREE if code == 0xFF else 0, pair >> 4, pair & 15)):
                corners.append(fresh if which == 0 else recent[-which] if which < FREE else -1)
                fresh += which == 0
                new += [number] if which in (0, FREE) else []
            a, b, c = (steps.index() if corner < 0 else corner for corner in corners)
            new = [(a, b, c)[number] for number in new]
            edges += [(b, a), (c, b), (a, c)]
        recent += new
        triangles += (a, b, c)
        del edges[:-16], recent[:-16]
    if steps.at != end:
        raise ValueError(f"{end - steps.at} bytes are left over")
    return np.array(triangles, np.int64)


def _sequence(data: bytes, count: int) -> np.ndarray:
    """Indices (count,) in any order, as steps from one of two running values."""
    if data[0] not in (0xD0, 0xD1) or len(data) < 1 + count + SEQUENCE_TAIL:
        raise ValueError("not an index stream of version 0 or 1")
    steps, last, indices = _Steps(data, 1), [0, 0], []
    for _ in range(count):
        number = steps.number()
        last[number & 1] = (last[number & 1] + _signed(number >> 1)) & 0xFFFFFFFF
        indices.append(last[number & 1])
    if steps.at != len(data) - SEQUENCE_TAIL:
        raise ValueError("bytes are left over")
    return np.array(indices, np.int64)


def _octahedral(rows: np.ndarray) -> np.ndarray:
    """Unit vectors folded onto an octahedron, in four signed bytes or words; the fourth passes."""
    if rows.shape[1] not in (4, 8):
        raise ValueError(f"octahedral vectors of {rows.shape[1]} bytes")
    values = rows.view("<i1" if rows.shape[1] == 4 else "<i2").copy()
    largest = np.iinfo(values.dtype).max
    x, y, one = values[:, :3].astype(np.float64).T
    z = one - np.abs(x) - np.abs(y)
    fold = np.minimum(z, 0)
    x, y = x + np.where(x >= 0, fold, -fold), y + np.where(y >= 0, fold, -fold)
    vectors = np.stack([x, y, z], 1)
    length = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    values[:, :3] = np.rint(vectors / length * largest)
    return values


def _quaternion(rows: np.ndarray) -> np.ndarray:
    """Unit quaternions without their largest component, in four signed words; two low bits of the fourth say which it was."""
    if rows.shape[1] != 8:
        raise ValueError(f"quaternions of {rows.shape[1]} bytes")
    packed = rows.view("<i2").astype(np.int64)
    three = packed[:, :3] / (np.sqrt(2) * np.maximum(packed[:, 3:] | 3, 1))
    whole = np.concatenate([np.sqrt(np.maximum(1 - (three**2).sum(1, keepdims=True), 0)), three], 1)
    values = np.empty(packed.shape, "<i2")
    place = (packed[:, 3:] & 3) + np.arange(4) & 3
    np.put_along_axis(values, place, np.rint(whole.clip(-1, 1) * 32767).astype("<i2"), 1)
    return values


def _exponential(rows: np.ndarray) -> np.ndarray:
    """Floats as 24 bits of mantissa and 8 of exponent, both signed."""
    words = np.ascontiguousarray(rows).view("<i4")
    return np.ldexp((words << 8 >> 8).astype(np.float32), words >> 24).astype("<f4")


FILTERS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType({
    "NONE": lambda rows: rows, "OCTAHEDRAL": _octahedral, "QUATERNION": _quaternion, "EXPONENTIAL": _exponential,
})  # fmt: skip
