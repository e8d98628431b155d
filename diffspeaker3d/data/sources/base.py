"""What every raw layout can be asked: its topology, and the motion and sound of one clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from diffspeaker3d.data.plan import PlannedClip
from diffspeaker3d.data.regions import collect_regions
from diffspeaker3d.data.validate import template_fault
from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.mesh_file import read_mesh
from diffspeaker3d.topology import Topology


class MissingClip(LookupError):
    """A clip that the raw release does not hold; the message says what of it is missing."""


class Source(Protocol):
    """A raw layout, opened.

    Attributes:
        layout: what was recognised, for the report.
        fps: of the raw motion.
        topology: with the templates of all subjects, in the corpus' unit.
        notes: anything the report should say about it.
        files: provenance: what was read, JSON types only.
    """

    layout: str
    fps: float
    topology: Topology
    notes: list[str]
    files: dict[str, Any]

    def motion(self, clip: PlannedClip) -> np.ndarray:
        """Absolute vertices (T, V, 3) in the corpus' unit at `fps`; raises MissingClip or InputError."""

    def sound(self, clip: PlannedClip) -> tuple[np.ndarray, int] | Path:
        """(samples, Hz) or a sound file; raises MissingClip or InputError."""


@dataclass(frozen=True)
class FaceSpec:
    """The faces that a known corpus uses.

    Attributes:
        topology: its name.
        num_vertices: V.
        mesh: usual name of the mesh file that holds the faces.
        hash: `Topology.hash` of the right vertex order; "" accepts any.
    """

    topology: str
    num_vertices: int
    mesh: str
    hash: str = ""


FLAME = FaceSpec("flame", 5023, "FLAME_sample.ply", "5c7f6c2fff95217c")
BIWI = FaceSpec("biwi", 23370, "BIWI.ply", "f2cdc2fa7216b3f0")


@dataclass(frozen=True)
class Extras:
    """Files that a raw release lacks and the user adds.

    Attributes:
        topology: a mesh with the faces; None looks for the usual name in the raw folder.
        regions: a folder with region files, besides the raw folder.
    """

    topology: Path | None = None
    regions: Path | None = None

    def folders(self, raw: Path) -> list[Path]:
        """Where meshes and region files are looked for."""
        return [f for f in (self.regions, raw, raw / "templates", raw / "regions") if f is not None and f.is_dir()]


@dataclass
class Opened:
    """The parts of `Source` that are plain values."""

    layout: str
    fps: float
    topology: Topology
    notes: list[str] = field(default_factory=list)
    files: dict[str, Any] = field(default_factory=dict)


def known_topology(
    spec: FaceSpec, raw: Path, extras: Extras, templates: Mapping[str, np.ndarray], unit: str
) -> tuple[Topology, list[str]]:
    """The topology of a known corpus from the user's mesh, checked against the pinned vertex order.

    Args:
        templates: neutral faces (V, 3) by subject, in `unit`.

    Returns:
        Topology and list[str]: with regions and templates; one line per region file that was used.

    Raises:
        InputError: no mesh, another vertex order, or a template that does not fit.
    """
    candidates = [extras.topology] if extras.topology else [f / spec.mesh for f in extras.folders(raw)]
    mesh = next((path for path in candidates if path.is_file()), None)
    if mesh is None:
        raise InputError(
            f"{extras.topology or raw / spec.mesh}: no such file; the faces of {spec.topology} are needed: put {spec.mesh} into {raw} or give topology=FILE (data/README.md says where to get it)"
        )
    read = read_mesh(mesh)
    reference, faces = read.vertices.astype(np.float32), read.faces.astype(np.int32)
    regions, used = collect_regions(spec.topology, spec.num_vertices, extras.folders(raw))
    if len(reference) != spec.num_vertices:
        raise InputError(
            f"{mesh}: {len(reference)} vertices, {spec.topology} has {spec.num_vertices}; a program has merged or split them, take the original file"
        )
    topology = Topology(spec.topology, faces, spec.num_vertices, MappingProxyType(regions), unit, templates)
    if spec.hash and topology.hash != spec.hash:
        raise InputError(
            f"{mesh}: its vertices or faces are in another order than {spec.topology} (hash {topology.hash}, expected {spec.hash}); take the original file, exported without reordering"
        )
    check_templates(topology, reference, f"{raw}/templates.pkl")
    return topology, used


def check_templates(topology: Topology, reference: np.ndarray | None, where: str) -> None:
    """Raise InputError for the first template that has another vertex order or no human size."""
    for subject, template in topology.templates.items():
        if fault := template_fault(topology, template, reference):
            raise InputError(f"{where}: template {subject} {fault}")


def as_frames(motion: np.ndarray) -> np.ndarray:
    """(T, 3V) or (T, V, 3) to (T, V, 3); anything else as it is, for the checks to name."""
    return motion.reshape(len(motion), -1, 3) if motion.ndim == 2 and motion.shape[1] % 3 == 0 else motion


def read_npy(path: Path) -> np.ndarray:
    """A numeric array as a memory map; raises InputError when the file is not one or ends early."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a readable array ({error}); copy it again") from error
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path}: holds {array.dtype}, not numbers; export it again")
    return array


def need_templates(templates: Any, subjects: Sequence[str], spec: FaceSpec, path: Path) -> dict[str, np.ndarray]:
    """Checked shapes of a templates.pkl; subjects that nobody asks for are left out.

    Raises:
        InputError: it is not a dictionary of faces, or holds none of the subjects.
    """
    if not isinstance(templates, dict):
        raise InputError(f"{path}: holds a {type(templates).__name__}, expected a dictionary from subject to template")
    faces = {s: np.asarray(templates[s], np.float32).reshape(-1, 3) for s in subjects if s in templates}
    if not faces:
        raise InputError(
            f"{path}: has none of the subjects {', '.join(subjects[:3])}, ...; found {', '.join(map(str, list(templates)[:3])) or 'nothing'}"
        )
    for subject, face in faces.items():
        if len(face) != spec.num_vertices:
            raise InputError(
                f"{path}: template {subject} has {len(face)} vertices, {spec.topology} has {spec.num_vertices}; take the original file"
            )
    return faces
