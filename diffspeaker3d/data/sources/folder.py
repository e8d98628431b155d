"""Anyone's own recordings: sound files, vertex sequences of the same names, a neutral mesh, and one yaml.

raw/
  corpus.yaml
  <clip>.wav                 or any sound file, in any subfolder
  <clip>.npy | <clip>.npz | <clip>/*.obj

Equal names in several folders are several clips: s1/take.wav and s1/take.npy are the clip s1-take; audio/s1/take.wav and
motion/s1/take.npy are it, too. Patterns see the name, the path (s1/take) and the bare stem.

# corpus.yaml
fps: 60
unit: mm                     # m, cm and mm become metres; any other name is kept
templates: {ann: ann.ply}    # subject -> mesh; a clip belongs to the subject its name begins with, or whose folder it lies in
regions: {lips: lips.txt}    # optional; vertex indices
splits: {train: [ann_*], val: [ann_x9], test: []}    # clip names or patterns, first match wins
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from diffspeaker3d.audio import find_sounds, is_hidden, read_audio
from diffspeaker3d.data.plan import Plan, PlannedClip, style_of
from diffspeaker3d.data.regions import read_indices
from diffspeaker3d.data.sources.base import MissingClip, Opened, as_frames, check_templates, read_npy
from diffspeaker3d.data.sources.clip_names import Place, clip_names, pair_places, place_of
from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.mesh_file import read_mesh, read_obj
from diffspeaker3d.topology import METRES_PER_UNIT, Topology

DESCRIPTION = "corpus.yaml"
_NEEDED = ("fps", "unit", "templates", "splits")


@dataclass(frozen=True)
class Description:
    """The user's corpus.yaml, checked for keys and types.

    Attributes:
        name: of the topology.
        fps, unit: of the motion files.
        templates, regions: name -> file, relative to the folder.
        splits: split -> clip names or patterns.
    """

    name: str
    fps: float
    unit: str
    templates: dict[str, str]
    regions: dict[str, str]
    splits: dict[str, list[str]]


def open_folder(raw: Path, track: int | None = None) -> tuple[FolderSource, Plan]:
    """A folder with a corpus.yaml: its source and the plan that its files and splits make.

    Args:
        raw: the folder.
        track: which sound track of files with several, counted from 1; None is their default one.

    Raises:
        InputError: no corpus.yaml, a key it lacks, a mesh that cannot be used, or no clip at all.
    """
    description = read_description(raw)
    found = find_clips(raw)
    planned = [_plan_clip(clip, description, raw) for clip in found]
    styles = tuple(dict.fromkeys(c[1] for c in planned if c is not None and c[2] == "train"))
    if not styles:
        names = ", ".join(clip.name for clip in found[:3]) or "nothing"
        raise InputError(
            f"{raw}: no clip in split train; found {len(found)} named {names}, "
            f"the patterns are {description.splits.get('train')}"
        )
    clips = tuple(PlannedClip(c[0], c[1], c[0], c[2], style_of(c[1], styles)) for c in planned if c is not None)
    source = FolderSource(raw, description, {clip.name: clip for clip in found}, track)
    return source, Plan(clips, styles, {}, frozenset())


@dataclass(frozen=True)
class RawClip:
    """The files of one clip.

    Attributes:
        name: what tells it from all others.
        place: folders and stem that it has the name from.
        sounds, motions: its files; one of each when all is well.
    """

    name: str
    place: Place
    sounds: tuple[Path, ...]
    motions: tuple[Path, ...]


def find_clips(raw: Path) -> list[RawClip]:
    """Every sound and every motion below a folder, paired, sorted by name; hidden files are left alone."""
    sounds, motions = defaultdict(list), defaultdict(list)
    for path in find_sounds(raw, recursive=True):
        sounds[place_of(path, raw)].append(path)
    for path in sorted(raw.rglob("*")):
        if is_hidden(path, raw):
            continue
        sequence = path.is_dir() and len(list(path.glob("*.obj"))) > 1
        if sequence or (path.suffix in (".npy", ".npz") and path.is_file()):
            motions[place_of(path, raw)].append(path)
    pairs = pair_places(list(sounds), list(motions))
    return [
        RawClip(name, place, tuple(sounds.get(own[0] or (), ())), tuple(motions.get(own[1] or (), ())))
        for name, (place, own) in sorted(zip(clip_names(list(pairs)), pairs.items(), strict=True))
    ]


class FolderSource(Opened):
    """Motion and sound found by name below a folder."""

    def __init__(self, raw: Path, description: Description, clips: dict[str, RawClip], track: int | None) -> None:
        self.clips, self.track = clips, track
        self.scale = np.float32(METRES_PER_UNIT.get(description.unit, 1.0))
        meshes = {subject: read_mesh(raw / file) for subject, file in description.templates.items()}
        first, reference = next(iter(meshes.items()))
        for subject, mesh in meshes.items():
            if len(mesh.vertices) != len(reference.vertices) or not np.array_equal(mesh.faces, reference.faces):
                raise InputError(
                    f"{raw / description.templates[subject]}: its vertices or faces are in another order than {description.templates[first]}; export both the same way, without merging or reordering"
                )
        self.topology = Topology(
            description.name,
            reference.faces.astype(np.int32),
            len(reference.vertices),
            {n: read_indices(raw / f) for n, f in description.regions.items()},
            "m" if description.unit in METRES_PER_UNIT else description.unit,
            {subject: mesh.vertices.astype(np.float32) * self.scale for subject, mesh in meshes.items()},
        )
        check_templates(self.topology, reference.vertices, str(raw))
        files = {"unit": description.unit} | ({} if track is None else {"track": track})
        super().__init__("folder", description.fps, self.topology, [], files)

    def motion(self, clip: PlannedClip) -> np.ndarray:
        path = _only(self.clips[clip.id].motions, f"no {clip.id}.npy, .npz or folder of obj")
        if path.is_dir():
            files = sorted(path.glob("*.obj"), key=lambda p: [int(n) for n in re.findall(r"\d+", p.stem)])
            frames = [read_obj(file).vertices.astype(np.float32) for file in files]
            if len({len(frame) for frame in frames}) > 1:
                raise InputError(
                    f"{path}: the meshes have between {min(map(len, frames))} and {max(map(len, frames))} vertices; export them without merging"
                )
            motion = np.stack(frames)
        else:
            motion = as_frames(read_npy(path) if path.suffix == ".npy" else _read_npz(path))
        return motion * self.scale

    def sound(self, clip: PlannedClip) -> Path | tuple[np.ndarray, int]:
        path = _only(self.clips[clip.id].sounds, f"no sound file {clip.id}.wav")
        return path if self.track is None else read_audio(path, track=self.track)


def _only(files: Sequence[Path], lacking: str) -> Path:
    """The one file of a clip; raises MissingClip for none and for several."""
    if not files:
        raise MissingClip(lacking)
    if len(files) > 1:
        raise MissingClip(f"{' and '.join(file.name for file in files)} in one folder: keep one of them")
    return files[0]


def read_description(raw: Path) -> Description:
    """The folder's corpus.yaml. Raises InputError for what is missing or of another type."""
    path = raw / DESCRIPTION
    if not path.is_file():
        raise InputError(f"{path}: no such file; write it with {', '.join(_NEEDED)} (data/README.md has an example)")
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
    except (YAMLError, OmegaConfBaseException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a yaml file ({' '.join(str(error).split())})") from error
    content = content if isinstance(content, dict) else {}
    missing = [key for key in _NEEDED if not content.get(key)]
    unknown = sorted(content.keys() - {*_NEEDED, "name", "regions"})
    if missing or unknown:
        problem = f"lacks {', '.join(missing)}" if missing else f"does not know {', '.join(map(str, unknown))}"
        raise InputError(f"{path}: {problem}; keys: {', '.join(_NEEDED)}, and optionally name, regions")
    fps = content["fps"]
    if not isinstance(fps, (int, float)) or fps <= 0:
        raise InputError(f"{path}: fps must be a positive number, got {fps!r}")
    mappings = [content["templates"], content["splits"], content.get("regions") or {}]
    if not all(isinstance(m, dict) for m in mappings) or not all(
        isinstance(v, list) for v in content["splits"].values()
    ):
        raise InputError(f"{path}: templates and regions map names to files, splits map names to lists of clips")
    return Description(
        str(content.get("name", raw.resolve().name)),
        float(fps),
        str(content["unit"]),
        *(mappings[0], mappings[2], mappings[1]),
    )


def _plan_clip(clip: RawClip, description: Description, raw: Path) -> tuple[str, str, str] | None:
    """(clip, subject, split), or None for a name that no pattern asks for."""
    stem, known_as = clip.place[-1], {clip.name, clip.place[-1], "/".join(clip.place)}
    split = next(
        (
            s
            for s, patterns in description.splits.items()
            if any(fnmatchcase(n, str(p)) for p in patterns for n in known_as)
        ),
        None,
    )
    if split is None:
        return None
    names = list(description.templates)
    folders = {part for file in (*clip.sounds, *clip.motions) for part in file.relative_to(raw).parts[:-1]}
    subjects = [s for s in names if stem == s or stem.startswith(f"{s}_")] or [s for s in names if s in folders]
    if not subjects and len(names) > 1:
        raise InputError(
            f"{raw}: clip {clip.name} begins with none of the subjects {', '.join(names)}; name it <subject>_..., "
            "or put it into a folder of the subject's name"
        )
    return clip.name, max(subjects, key=len) if subjects else names[0], split


def _read_npz(path: Path) -> np.ndarray:
    """`vertices` of an npz without pickles, e.g. a motion file of this package or one made from Alembic."""
    try:
        with np.load(path, allow_pickle=False) as data:
            if "vertices" not in data:
                raise InputError(f"{path}: no array called vertices; found {', '.join(data) or 'nothing'}")
            return data["vertices"]
    except (ValueError, EOFError, OSError, BadZipFile) as error:
        raise InputError(f"{path}: not a readable npz ({error}); export it again") from error
