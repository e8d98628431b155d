"""VOCASET: the release of its authors, and the layout that FaceFormer made of it (which BIWI's followers share)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from diffspeaker3d.data.plan import Plan, PlannedClip
from diffspeaker3d.data.sources.base import (
    FLAME,
    Extras,
    FaceSpec,
    MissingClip,
    Opened,
    Source,
    as_frames,
    known_topology,
    need_templates,
    read_npy,
)
from diffspeaker3d.data.unpickle import load_pickle
from diffspeaker3d.errors import InputError

FPS = 60.0  # both layouts keep the scanner's rate
RELEASE = ("data_verts.npy", "subj_seq_to_idx.pkl", "raw_audio_fixed.pkl", "templates.pkl")


def open_vocaset(raw: Path, plan: Plan, extras: Extras, spec: FaceSpec = FLAME) -> Source:
    """The raw release or the FaceFormer layout, whichever lies in `raw`.

    Raises:
        InputError: neither does, and what is missing; or a file that cannot be used.
    """
    if (raw / "vertices_npy").is_dir():
        return ProcessedLayout("FaceFormer layout", raw, plan, extras, spec, FPS, "m")
    missing = [name for name in RELEASE if not (raw / name).is_file()]
    if missing:
        raise InputError(
            f"{raw}: no VOCASET there: neither vertices_npy/ (FaceFormer layout) nor {', '.join(missing)} (raw release); see data/README.md"
        )
    return RawVocaset(raw, plan, extras, spec)


class RawVocaset(Opened):
    """`data_verts.npy` (rows of vertices), two dictionaries that say which rows and which sound are a sentence."""

    def __init__(self, raw: Path, plan: Plan, extras: Extras, spec: FaceSpec) -> None:
        self.vertices = read_npy(raw / "data_verts.npy")
        if self.vertices.ndim != 3 or self.vertices.shape[1:] != (spec.num_vertices, 3):
            raise InputError(
                f"{raw}/data_verts.npy: shape {self.vertices.shape}, expected (frames, {spec.num_vertices}, 3); download it again"
            )
        self.rows = _dictionary(raw / "subj_seq_to_idx.pkl")
        self.sounds = _dictionary(raw / "raw_audio_fixed.pkl")
        subjects = list(dict.fromkeys(clip.subject for clip in plan.clips))
        templates = need_templates(load_pickle(raw / "templates.pkl"), subjects, spec, raw / "templates.pkl")
        topology, regions = known_topology(spec, raw, extras, templates, "m")
        sizes = {name: (raw / name).stat().st_size for name in RELEASE}
        super().__init__("raw release", FPS, topology, [], {"sizes": sizes, "regions": regions})

    def motion(self, clip: PlannedClip) -> np.ndarray:
        """Rows of the sentence in order of their frame numbers (dictionary order is not guaranteed)."""
        frames = self.rows.get(clip.subject, {}).get(clip.sentence, {})
        if not frames:
            raise MissingClip("no vertices in the release")
        rows = np.array([frames[number] for number in sorted(frames)], np.int64)
        if rows.min() < 0 or rows.max() >= len(self.vertices):
            raise InputError(
                f"refers to row {rows.max()} of {len(self.vertices)} in data_verts.npy, which is cut short; download it again"
            )
        return self.vertices[rows]

    def sound(self, clip: PlannedClip) -> tuple[np.ndarray, int]:
        entry = self.sounds.get(clip.subject, {}).get(clip.sentence)
        if entry is None:
            raise MissingClip("no sound in the release")
        samples = np.asarray(entry["audio"])
        # 16-bit numbers whatever the array's type; wider integers would be scaled to nothing.
        return (samples.astype(np.int16) if samples.dtype.kind in "iu" else samples), int(entry["sample_rate"])


class ProcessedLayout(Opened):
    """`vertices_npy/<subject>_<sentence>.npy` (T, 3V), `wav/` of the same names, `templates.pkl`, a mesh for the faces."""

    def __init__(
        self, layout: str, raw: Path, plan: Plan, extras: Extras, spec: FaceSpec, fps: float, unit: str
    ) -> None:
        self.raw = raw
        subjects = list(dict.fromkeys(clip.subject for clip in plan.clips))
        templates = need_templates(load_pickle(raw / "templates.pkl"), subjects, spec, raw / "templates.pkl")
        topology, regions = known_topology(spec, raw, extras, templates, unit)
        sizes = {"templates.pkl": (raw / "templates.pkl").stat().st_size}
        super().__init__(layout, fps, topology, [], {"sizes": sizes, "regions": regions})

    def motion(self, clip: PlannedClip) -> np.ndarray:
        path = self.raw / "vertices_npy" / f"{clip.id}.npy"
        if not path.is_file():
            raise MissingClip(f"no vertices_npy/{path.name}")
        return as_frames(read_npy(path))

    def sound(self, clip: PlannedClip) -> Path:
        path = self.raw / "wav" / f"{clip.id}.wav"
        if not path.is_file():
            raise MissingClip(f"no wav/{path.name}")
        return path


def _dictionary(path: Path) -> dict[str, Any]:
    content = load_pickle(path)
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise InputError(f"{path}: expected a dictionary from subject to sentences; download it again")
    return content
