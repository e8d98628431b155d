"""Anyone's own recordings: sound files, vertex sequences of the same names, a neutral mesh, and one yaml.

raw/
  corpus.yaml
  <clip>.wav                 or any sound file, in any subfolder
  <clip>.npy | <clip>.npz | <clip>/*.obj

# corpus.yaml
fps: 60
unit: mm                     # m, cm and mm become metres; any other name is kept
templates: {ann: ann.ply}    # subject -> mesh; a clip belongs to the subject its name begins with
regions: {lips: lips.txt}    # optional; vertex indices
splits: {train: [ann_*], val: [ann_x9], test: []}    # clip names or patterns, first match wins
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from diffspeaker3d.audio import AUDIO_SUFFIXES
from diffspeaker3d.data.plan import Plan, PlannedClip, style_of
from diffspeaker3d.data.regions import read_indices
from diffspeaker3d.data.sources.base import MissingClip, Opened, as_frames, check_templates, read_npy
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


def open_folder(raw: Path) -> tuple[FolderSource, Plan]:
    """A folder with a corpus.yaml: its source and the plan that its files and splits make.

    Raises:
        InputError: no corpus.yaml, a key it lacks, a mesh that cannot be used, or no clip at all.
    """
    description = read_description(raw)
    sounds = {p.stem: p for p in sorted(raw.rglob("*")) if p.suffix.lower() in AUDIO_SUFFIXES}
    motions = {p.stem: p for p in sorted(raw.rglob("*")) if p.suffix in (".npy", ".npz")}
    motions |= {
        p.parent.name: p.parent
        for p in sorted(raw.rglob("*.obj"))
        if p.parent != raw and len(list(p.parent.glob("*.obj"))) > 1
    }
    names = sorted(sounds.keys() | motions.keys())
    planned = [_plan_clip(name, description, raw) for name in names]
    styles = tuple(dict.fromkeys(c[1] for c in planned if c is not None and c[2] == "train"))
    if not styles:
        raise InputError(
            f"{raw}: no clip in split train; found {len(names)} named {', '.join(names[:3]) or 'nothing'}, the patterns are {description.splits.get('train')}"
        )
    clips = tuple(PlannedClip(c[0], c[1], c[0], c[2], style_of(c[1], styles)) for c in planned if c is not None)
    return FolderSource(raw, description, sounds, motions), Plan(clips, styles, {}, frozenset())


class FolderSource(Opened):
    """Motion and sound found by name below a folder."""

    def __init__(self, raw: Path, description: Description, sounds: dict[str, Path], motions: dict[str, Path]) -> None:
        self.sounds, self.motions = sounds, motions
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
        super().__init__("folder", description.fps, self.topology, [], {"unit": description.unit})

    def motion(self, clip: PlannedClip) -> np.ndarray:
        path = self.motions.get(clip.id)
        if path is None:
            raise MissingClip(f"no {clip.id}.npy, .npz or folder of obj")
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

    def sound(self, clip: PlannedClip) -> Path:
        if clip.id not in self.sounds:
            raise MissingClip(f"no sound file {clip.id}.wav")
        return self.sounds[clip.id]


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


def _plan_clip(name: str, description: Description, raw: Path) -> tuple[str, str, str] | None:
    """(clip, subject, split), or None for a name that no pattern asks for."""
    split = next(
        (s for s, patterns in description.splits.items() if any(fnmatchcase(name, str(p)) for p in patterns)), None
    )
    if split is None:
        return None
    subjects = [s for s in description.templates if name == s or name.startswith(f"{s}_")]
    if not subjects and len(description.templates) > 1:
        raise InputError(
            f"{raw}: clip {name} begins with none of the subjects {', '.join(description.templates)}; name it <subject>_..."
        )
    return name, max(subjects, key=len) if subjects else next(iter(description.templates)), split


def _read_npz(path: Path) -> np.ndarray:
    """`vertices` of an npz without pickles, e.g. a motion file of this package or one made from Alembic."""
    try:
        with np.load(path, allow_pickle=False) as data:
            if "vertices" not in data:
                raise InputError(f"{path}: no array called vertices; found {', '.join(data) or 'nothing'}")
            return data["vertices"]
    except (ValueError, EOFError, OSError, BadZipFile) as error:
        raise InputError(f"{path}: not a readable npz ({error}); export it again") from error
