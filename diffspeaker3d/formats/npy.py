"""Bare vertices (.npy) with a readable sidecar (.npy.json): for those who want one array and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.formats.npz import FORMAT_VERSION, find_topology, write_npy

SUFFIXES = {
    ".npy": "bare vertices, with a json beside",
}
COMPANIONS = {".npy": "+.json"}


def write(animation: Animation, path: Path, options: None = None) -> tuple[Path, ...]:
    """Write vertices (T, V, 3) float32 to `path` and all else but the sound to `path`.json."""
    topology = animation.topology
    description = {
        "format_version": FORMAT_VERSION, "fps": animation.fps, "topology": topology.name, "unit": topology.unit,
        "shape": list(animation.vertices.shape), "weight_names": list(animation.weight_names),
        "provenance": animation.provenance, "faces": topology.faces.tolist(), "template": _exact(animation.template),
        "weights": None if animation.weights is None else _exact(animation.weights),
    }  # fmt: skip
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        write_npy(stream, animation.vertices.shape, np.dtype("<f4"), animation.chunks())
    with atomic_path(sidecar(path)) as temporary:
        temporary.write_text(json.dumps(description))
    return path, sidecar(path)


def sidecar(path: Path) -> Path:
    """Where the description of `path` stands: a.npy -> a.npy.json (a.json is Audio2Face's)."""
    return path.with_name(path.name + ".json")


def _exact(values: np.ndarray) -> list[Any]:
    """float32 as the shortest decimals that read back as the same float32."""
    return [_exact(row) if row.ndim else float(str(row)) for row in np.asarray(values, np.float32)]


def read(path: Path) -> Animation:
    """The animation (without its sound) from `path` and its sidecar; vertices stay on disk.

    Raises:
        InputError: either file is missing or broken.
    """
    try:
        description = json.loads(sidecar(path).read_text())
        vertices = np.load(path, mmap_mode="r", allow_pickle=False)
        template = np.array(description["template"], np.float32)
        topology = find_topology(
            description["topology"], np.array(description["faces"]), len(template), description["unit"]
        )
        weights = description["weights"]
        return Animation(
            vertices,
            description["fps"],
            topology,
            template,
            weights=None if weights is None else np.array(weights, np.float32),
            weight_names=tuple(description["weight_names"]),
            provenance=description["provenance"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not readable together with {sidecar(path).name} ({error}); write it again"
        ) from error


def verify(animation: Animation, path: Path) -> None:
    """Reopen both files and compare frames."""
    from diffspeaker3d.formats import check_frames

    written = read(path)
    if written.vertices.shape != animation.vertices.shape:
        raise InputError(
            f"{path}: reads back as {written.vertices.shape}, not {animation.vertices.shape}; write it again, and report this"
        )
    check_frames(path, animation, lambda t: written.vertices[t], 1e-6 * float(np.ptp(animation.template)))
