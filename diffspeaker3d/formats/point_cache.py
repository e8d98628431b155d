"""Point caches with the neutral mesh beside them: .pc2 (3ds Max, Blender) and .mdd (LightWave, Blender, Houdini) + .obj.

PC2, little-endian: "POINTCACHE2\\0", int32 version 1, int32 points, float32 first frame, float32 frames per sample, int32
samples, then float32 (samples, points, 3). MDD, big-endian: int32 frames, int32 points, float32 times in seconds, then
float32 (frames, points, 3). Metres, Y up.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.formats.common.mesh import metres_per_unit

SUFFIXES = {
    ".pc2": "point cache for 3ds Max and Blender, with an obj beside",
    ".mdd": "point cache for Blender and Houdini, with an obj beside",
}
COMPANIONS = {".pc2": ".obj", ".mdd": ".obj"}


def write(animation: Animation, path: Path, options: None = None) -> tuple[Path, ...]:
    """Write the cache frame chunk by frame chunk, and the template as `<stem>.obj`."""
    scale = np.float32(metres_per_unit(animation.topology))
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        stream.write(_header(animation, path.suffix.lower()))
        for chunk in animation.chunks():
            stream.write((chunk * scale).astype(_dtype(path)).tobytes())
    mesh = path.with_suffix(".obj")
    write_obj(mesh, animation.template * scale, animation.topology.faces)
    return path, mesh


def _dtype(path: Path) -> np.dtype:
    return np.dtype("<f4" if path.suffix.lower() == ".pc2" else ">f4")


def _header(animation: Animation, suffix: str) -> bytes:
    frames, points = len(animation), animation.topology.num_vertices
    if suffix == ".pc2":
        return struct.pack("<12siiffi", b"POINTCACHE2\0", 1, points, 0.0, 1.0, frames)
    times = (np.arange(frames) / animation.fps).astype(">f4")
    return struct.pack(">ii", frames, points) + times.tobytes()


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Vertices (V, 3) and triangles (F, 3) as Wavefront OBJ, in order, exact to float32."""
    lines = [
        *(f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in vertices.tolist()),
        *(f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist()),
    ]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n")


def verify(animation: Animation, path: Path) -> None:
    """Reopen the cache: its size must follow the formula of its format, and frames must match."""
    from diffspeaker3d.formats import check_frames

    frames, points = len(animation), animation.topology.num_vertices
    offset = len(_header(animation, path.suffix.lower()))
    if path.stat().st_size != offset + 12 * frames * points:
        raise InputError(
            f"{path}: {path.stat().st_size} bytes, not {offset + 12 * frames * points}; write it again, and report this"
        )
    cached = np.memmap(path, _dtype(path), "r", offset, (frames, points, 3))
    scale = metres_per_unit(animation.topology)
    check_frames(path, animation, lambda t: cached[t] / scale, 1e-6 * float(np.ptp(animation.template)))
