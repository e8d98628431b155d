"""BIWI (B3D(AC)^2): the scans of its authors, and the layout that CodeTalker made of them."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from diffspeaker3d.data.plan import Plan, PlannedClip
from diffspeaker3d.data.regions import collect_regions
from diffspeaker3d.data.sources.base import BIWI, Extras, FaceSpec, MissingClip, Opened, Source, check_templates
from diffspeaker3d.data.sources.vocaset import ProcessedLayout
from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.mesh_file import read_obj
from diffspeaker3d.topology import Topology

FPS = 25.0
UNIT_AREA = "unit area"
NORMALISATIONS = ("unit_area", "metres")
# Mirrors of the release differ in where its sound lies; videos carry it too.
SOUND_PLACES = (
    "audio/{0}/{1}.wav",
    "audio/{0}_{1}.wav",
    "wav/{0}/{1}.wav",
    "wav/{0}_{1}.wav",
    "faces/{0}/{1}.wav",
    "videos/{0}/{1}.flv",
    "videos/{0}_{1}.flv",
    "videos/{0}/{0}_{1}.flv",
)
_HEADERS = (4, 8)  # bytes of the vertex count: "ulong" was either


def open_biwi(raw: Path, plan: Plan, extras: Extras, normalise: str = "unit_area", spec: FaceSpec = BIWI) -> Source:
    """The raw scans or the CodeTalker layout, whichever lies in `raw`.

    Args:
        normalise: for raw scans, `unit_area` (as CodeTalker: each frame centred and divided by the root of its own
            surface, the numbers of every published table) or `metres` (one shift per subject: no motion is lost).

    Raises:
        InputError: neither does, an unknown normalisation, or a file that cannot be used.
    """
    if normalise not in NORMALISATIONS:
        raise InputError(f"normalise: unknown {normalise!r}; known: {', '.join(NORMALISATIONS)}")
    if (raw / "vertices_npy").is_dir():
        if normalise != "unit_area":
            raise InputError(
                f"{raw}: the CodeTalker layout is of unit area already; normalise=metres needs the raw scans"
            )
        source = ProcessedLayout("CodeTalker layout", raw, plan, extras, spec, FPS, UNIT_AREA)
        areas = [surface_area(t, source.topology.faces) for t in source.topology.templates.values()]
        if not 0.97 < float(np.median(areas)) < 1.03:
            source.notes.append(
                f"templates have area {np.median(areas):.3g}, not 1: not CodeTalker's normalisation, so LVE and FDD do not compare with published ones"
            )
        return source
    if not ((raw / "faces").is_dir() and (raw / "rigid_scans").is_dir()):
        raise InputError(
            f"{raw}: no BIWI there: neither vertices_npy/ (CodeTalker layout) nor faces/ and rigid_scans/ (raw release); see data/README.md"
        )
    return RawBiwi(raw, plan, extras, normalise, spec)


class RawBiwi(Opened):
    """`faces/<subject>/<sentence>/frame_XXX.vl` in millimetres, `rigid_scans/<subject>.obj`, sound as wav."""

    def __init__(self, raw: Path, plan: Plan, extras: Extras, normalise: str, spec: FaceSpec) -> None:
        self.raw, self.num_vertices = raw, spec.num_vertices
        scans = {
            subject: read_obj(path)
            for subject in dict.fromkeys(clip.subject for clip in plan.clips)
            if (path := raw / "rigid_scans" / f"{subject}.obj").is_file()
        }
        if not scans:
            raise InputError(
                f"{raw}/rigid_scans: no neutral scan of {', '.join(plan.styles[:3])}, ...; see data/README.md"
            )
        faces = next(iter(scans.values())).faces.astype(np.int32)
        regions, used = collect_regions(spec.topology, spec.num_vertices, extras.folders(raw))
        topology = Topology(spec.topology, faces, spec.num_vertices, regions)
        for subject, scan in scans.items():
            topology.check(scan.vertices, f"{raw}/rigid_scans/{subject}.obj")
            own_hash = replace(topology, faces=scan.faces).hash
            if own_hash != topology.hash or (spec.hash and own_hash != spec.hash):
                raise InputError(
                    f"{raw}/rigid_scans/{subject}.obj: its vertices or faces are in another order (hash {own_hash}, expected {spec.hash or topology.hash}); take the original file"
                )
        vertices = {s: scan.vertices.astype(np.float32) for s, scan in scans.items()}
        self.normalise = {s: _normaliser(normalise, v, faces) for s, v in vertices.items()}
        templates = {s: self.normalise[s](v) for s, v in vertices.items()}
        topology = replace(topology, templates=templates, unit=UNIT_AREA if normalise == "unit_area" else "m")
        check_templates(topology, next(iter(templates.values())), f"{raw}/rigid_scans")
        super().__init__(f"raw release, {normalise}", FPS, topology, [], {"regions": used, "normalise": normalise})

    def motion(self, clip: PlannedClip) -> np.ndarray:
        """Frames in the order of their numbers, from a folder of scans or straight from the release's tar."""
        scans = dict(_scans(self.raw / "faces" / clip.subject / clip.sentence))
        if not scans:
            raise MissingClip(f"no faces/{clip.subject}/{clip.sentence}/frame_*.vl and no .tar of it")
        if clip.subject not in self.normalise:
            raise MissingClip(f"no rigid_scans/{clip.subject}.obj")
        names = sorted(scans, key=lambda name: int(re.sub(r"\D", "", Path(name).stem) or 0))
        return np.stack([self.normalise[clip.subject](read_vl(scans[name], self.num_vertices, name)) for name in names])

    def sound(self, clip: PlannedClip) -> Path:
        places = [self.raw / place.format(clip.subject, clip.sentence) for place in SOUND_PLACES]
        found = next((path for path in places if path.is_file()), None)
        if found is None:
            raise MissingClip(f"no sound such as {places[0].relative_to(self.raw)}")
        return found


def _normaliser(normalise: str, scan: np.ndarray, faces: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """What is done to every frame (V, 3) of the subject whose neutral scan this is."""
    if normalise == "unit_area":
        return lambda vertices: to_unit_area(vertices, faces)
    centre = turned(scan).mean(0)
    return lambda vertices: (turned(vertices) - centre) * np.float32(1e-3)


def _scans(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the scans of one sentence."""
    if folder.is_dir():
        yield from ((path.name, path.read_bytes()) for path in folder.glob("*.vl"))
        return
    archive = folder.with_suffix(".tar")
    if archive.is_file():
        try:
            with tarfile.open(archive) as members:
                for member in members:
                    content = members.extractfile(member) if member.isfile() and member.name.endswith(".vl") else None
                    if content is not None:
                        yield Path(member.name).name, content.read()
        except tarfile.TarError as error:
            raise InputError(f"{archive}: not a readable archive ({error}); copy it again") from error


def read_vl(content: bytes, num_vertices: int, name: str) -> np.ndarray:
    """One scan (V, 3) float32 in its own unit: a little-endian vertex count of 4 or 8 bytes, then xyz float32.

    Raises:
        InputError: another count, or a file that ends early; the message begins with `name`.
    """
    for header in _HEADERS:
        count = int.from_bytes(content[:header], "little")
        if count == num_vertices and len(content) == header + 12 * count:
            return np.frombuffer(content, "<f4", offset=header).reshape(-1, 3)
    raise InputError(
        f"{name}: {len(content)} bytes do not hold {num_vertices} vertices (header says {int.from_bytes(content[:4], 'little')}); copy it again"
    )


def turned(vertices: np.ndarray) -> np.ndarray:
    """Half a turn about x: the scanner looks along +z with y down, we keep y up."""
    return vertices * np.array([1, -1, -1], np.float32)


def to_unit_area(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """CodeTalker's normalisation of one face (V, 3): turned, centred on its vertex mean, divided by sqrt(its area)."""
    upright = turned(vertices)
    return ((upright - upright.mean(0)) / np.sqrt(surface_area(upright, faces))).astype(np.float32)


def surface_area(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Sum of the triangles' areas, in the square of the vertices' unit."""
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)
