"""The motion file (.npz, version 1): everything of an animation, exact, without pickles; written and read frame by frame.

Members are stored uncompressed, so that hours of motion can be memory-mapped instead of loaded.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffspeaker3d.animation import CHUNK_FRAMES, Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.phone import Phone
from diffspeaker3d.topology import ASSETS, Topology, load_topology

SUFFIXES = {
    ".npz": "motion file, exact, reopens here",
}


FORMAT_VERSION = 1
REQUIRED = ("format_version", "vertices", "faces", "template", "fps", "topology", "unit")


def write(animation: Animation, path: Path, options: None = None) -> tuple[Path, ...]:
    """Write the motion file; vertices go to disk in chunks of frames."""
    topology = animation.topology
    arrays: dict[str, np.ndarray] = {
        "format_version": np.array(FORMAT_VERSION), "faces": np.asarray(topology.faces, np.int32),
        "template": np.asarray(animation.template, np.float32), "fps": np.array(float(animation.fps)),
        "topology": np.array(topology.name), "unit": np.array(topology.unit),
        "provenance": np.array(animation.provenance_json),
    }  # fmt: skip
    if animation.waveform is not None:
        arrays |= {
            "waveform": np.asarray(animation.waveform, np.float32),
            "sample_rate": np.array(animation.sample_rate),
        }
    if animation.weights is not None:
        arrays |= {
            "weights": np.asarray(animation.weights, np.float32),
            "weight_names": np.array(animation.weight_names, str),
        }
    if animation.phones is not None:
        arrays |= {
            "phone_names": np.array([phone.name for phone in animation.phones], str),
            "phone_times": np.array([phone[1:] for phone in animation.phones], np.float64).reshape(-1, 2),
        }
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            _write_member(archive, name, array.shape, array.dtype, [array])
        _write_member(archive, "vertices", animation.vertices.shape, np.dtype("<f4"), animation.chunks())
    return (path,)


def _write_member(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype,
    pieces: Sequence[np.ndarray] | Iterator[np.ndarray],
) -> None:
    """One .npy member, header first and then whatever pieces of the array come along."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        write_npy(member, shape, dtype, pieces)


def write_npy(
    stream: Any, shape: tuple[int, ...], dtype: np.dtype, pieces: Sequence[np.ndarray] | Iterator[np.ndarray]
) -> None:
    """A .npy file of known shape whose data arrives in pieces along the first axis."""
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": tuple(int(n) for n in shape),
    }
    np.lib.format.write_array_header_1_0(stream, header)
    for piece in pieces:
        stream.write(np.ascontiguousarray(piece, dtype).tobytes())


def load_animation(path: str | Path) -> Animation:
    """Read a motion file; vertices stay on disk and are read frame by frame.

    A topology that ships with the package and has the same faces comes back whole (regions, shapes, colours); otherwise
    it holds the faces only.

    Raises:
        InputError: missing, not a motion file, of another version, truncated, or with values that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path")
    try:
        arrays = _read_members(path)
        missing = [name for name in REQUIRED if name not in arrays]
        if missing:
            raise InputError(
                f"{path}: not a motion file, it lacks {', '.join(missing)}; give an .npz written by animate or save"
            )
        if int(arrays["format_version"]) != FORMAT_VERSION:
            raise InputError(
                f"{path}: motion file version {int(arrays['format_version'])}, this program reads {FORMAT_VERSION}; update it"
            )
        animation = _assemble(arrays)
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from error
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable motion file ({error}); write or copy it again") from error
    for start, chunk in zip(range(0, len(animation), CHUNK_FRAMES), animation.chunks(), strict=True):
        if not np.isfinite(chunk.sum(dtype=np.float64)):
            raise InputError(
                f"{path}: vertices between frames {start} and {start + len(chunk)} are not finite numbers; make it again"
            )
    return animation


def _assemble(arrays: dict[str, np.ndarray]) -> Animation:
    vertices, template = arrays["vertices"], np.asarray(arrays["template"], np.float32)
    if vertices.ndim != 3 or vertices.dtype != np.float32:
        raise InputError(f"vertices must be (T, V, 3) float32, got {vertices.shape} {vertices.dtype}")
    topology = find_topology(str(arrays["topology"]), arrays["faces"], len(template), str(arrays["unit"]))
    return Animation(
        vertices=vertices,
        fps=float(arrays["fps"]),
        topology=topology,
        template=template,
        waveform=arrays.get("waveform"),
        sample_rate=int(arrays["sample_rate"]) if "sample_rate" in arrays else None,
        weights=arrays.get("weights"),
        weight_names=tuple(str(n) for n in arrays.get("weight_names", ())),
        phones=_phones(arrays) if "phone_names" in arrays else None,
        provenance=json.loads(str(arrays["provenance"])) if "provenance" in arrays else {},
    )


def _phones(arrays: dict[str, np.ndarray]) -> tuple[Phone, ...]:
    """The phones of a motion file."""
    names, times = arrays["phone_names"], arrays["phone_times"]
    if names.ndim != 1 or times.shape != (len(names), 2):
        raise InputError(f"phone_times must be ({len(names)}, 2), got {times.shape}")
    return tuple(Phone(str(name), float(a), float(b)) for name, (a, b) in zip(names, times, strict=True))


def find_topology(name: str, faces: np.ndarray, num_vertices: int, unit: str) -> Topology:
    """The shipped topology of that name if faces and unit agree, else a bare one of the given faces."""
    bare = Topology(name=name, faces=np.asarray(faces, np.int32), num_vertices=num_vertices, unit=unit)
    if name in {p.stem for p in ASSETS.glob("*.npz")}:
        shipped = load_topology(name)
        if shipped.hash == bare.hash and shipped.unit == unit:
            return shipped
    return bare


def _read_members(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz; `vertices` as a memory map where it is stored uncompressed."""
    with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as data:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        return {name: _map_member(path, info) if name == "vertices" and info.compress_type == zipfile.ZIP_STORED else data[name]
                for name, info in members.items()}  # fmt: skip


def _map_member(path: Path, info: zipfile.ZipInfo) -> np.ndarray:
    """A stored .npy member as a read-only memory map of the archive itself."""
    with open(path, "rb") as stream:
        stream.seek(info.header_offset)
        local = stream.read(30)  # fixed part of a local file header; lengths of name and extra field at 26 and 28
        if local[:4] != b"PK\x03\x04":
            raise zipfile.BadZipFile("a member does not start where the directory says")
        stream.seek(int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little"), 1)
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        if dtype.hasobject or fortran:
            raise ValueError("vertices are stored as objects or in Fortran order")
        return np.memmap(path, dtype, "r", stream.tell(), shape)


def verify(animation: Animation, path: Path) -> None:
    """Reopen the motion file and compare frames, up to the rounding of products that are computed anew."""
    from diffspeaker3d.formats import check_frames

    written = load_animation(path)
    if written.vertices.shape != animation.vertices.shape:
        raise InputError(
            f"{path}: reads back as {written.vertices.shape}, not {animation.vertices.shape}; write it again, and report this"
        )
    check_frames(path, animation, lambda t: written.vertices[t], 1e-6 * float(np.ptp(animation.template)))
