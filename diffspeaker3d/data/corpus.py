"""Corpus: the one checked layout that every dataset is prepared into, and its manifest.

    corpus/
      manifest.json        what is here: fps, unit, topology, styles, splits, clips with hashes, what was skipped and why
      topology.npz         faces, regions, templates (absent when the topology is one that ships with the package)
      audio/<clip>.wav     mono, 16 kHz, 16 bit
      motion/<clip>.npy    (T, D) float32 or float16, memory-mapped when read
      phones/<clip>.npz    optional: names (P,), start and end (P,) in seconds

`motion` says what D is: "vertices" (absolute vertices, D = 3V, in the topology's unit) or "controls" (D = K, the
mannequin's blendshape controls, see arkit.close_lips).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.speech.phones import Phone
from diffspeaker3d.topology import Topology, load_topology

FORMAT_VERSION = 1
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ClipRecord:
    """One utterance of one subject, as the manifest lists it.

    Attributes:
        id: file stem, unique in the corpus.
        subject: who is speaking; a key of the topology's templates.
        sentence: what is said (an id, or the text).
        split: "train", "val" or "test" (a corpus may add its own, such as BIWI's "test_b").
        num_frames: T, motion frames.
        num_samples: N, audio samples at 16 kHz.
        style: index into the corpus' styles, or a vector of style_dim numbers.
        sha256: of the motion file followed by the audio file.
    """

    id: str
    subject: str
    sentence: str
    split: str
    num_frames: int
    num_samples: int
    style: int | list[float]
    sha256: str = ""

    @property
    def spoken(self) -> bool:
        """Somebody talks; false where the sentence is a remark in parentheses: "(music)", "(silence)"."""
        return not self.sentence.startswith("(")


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus on disk. `root` is where the manifest lies; everything else is in the manifest.

    Attributes:
        name: dataset name, e.g. `vocaset`.
        fps: motion frames per second.
        motion: "vertices" or "controls".
        topology_name: name of a shipped topology, or of the one in topology.npz.
        topology_hash: guards against reordered vertices.
        styles: names of the style dimensions (one per training subject for VOCASET and BIWI, manner parameters for synthetic).
        clips: every usable clip.
        skipped: clip id -> why it was left out.
        provenance: what made it; JSON types only.
    """

    root: Path
    name: str
    fps: float
    motion: str
    topology_name: str
    topology_hash: str
    styles: tuple[str, ...]
    clips: tuple[ClipRecord, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, root: str | Path) -> Corpus:
        """Read `root/manifest.json`. Raises InputError when it is absent, broken or of another version."""
        path = Path(root) / "manifest.json"
        if not path.is_file():
            raise InputError(
                f"{root}: no manifest.json there; prepare the corpus first (python -m diffspeaker3d.prepare)"
            )
        try:
            content = json.loads(path.read_text("utf-8"))
            version = content.pop("format_version")
            clips = tuple(ClipRecord(**clip) for clip in content.pop("clips"))
            corpus = cls(root=Path(root), clips=clips, styles=tuple(content.pop("styles")), **content)
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path}: not a corpus manifest ({error}); prepare the corpus again") from error
        if version != FORMAT_VERSION:
            raise InputError(
                f"{path}: format version {version}, this program reads {FORMAT_VERSION}; prepare the corpus again"
            )
        return corpus

    def save(self) -> None:
        """Write the manifest, whole or not at all."""
        content = {"format_version": FORMAT_VERSION} | {k: v for k, v in asdict(self).items() if k != "root"}
        with atomic_path(self.root / "manifest.json") as temporary:
            temporary.write_text(json.dumps(content, indent=1), "utf-8")

    @cached_property
    def topology(self) -> Topology:
        """The corpus' topology, checked against the manifest's hash."""
        own = self.root / "topology.npz"
        topology = load_topology(own if own.is_file() else self.topology_name)
        if topology.hash != self.topology_hash:
            raise InputError(
                f"{self.root}: topology {self.topology_name} has hash {topology.hash}, the manifest says {self.topology_hash}; prepare the corpus again"
            )
        return topology

    def split(self, *names: str) -> list[ClipRecord]:
        """Clips of the given splits, in manifest order."""
        return [clip for clip in self.clips if clip.split in names]

    def motion_path(self, clip: ClipRecord) -> Path:
        return self.root / "motion" / f"{clip.id}.npy"

    def audio_path(self, clip: ClipRecord) -> Path:
        return self.root / "audio" / f"{clip.id}.wav"

    def phones_path(self, clip: ClipRecord) -> Path:
        return self.root / "phones" / f"{clip.id}.npz"

    def load_motion(self, clip: ClipRecord) -> np.ndarray:
        """(T, D) memory map of a clip's motion; nothing is read until it is sliced."""
        return np.load(self.motion_path(clip), mmap_mode="r", allow_pickle=False)


def style_matrix(corpus: Corpus, clips: Iterable[ClipRecord]) -> np.ndarray:
    """Style vectors (n, S) float32 of clips: one-hot rows where the style is an index."""
    rows = [np.eye(len(corpus.styles))[c.style] if isinstance(c.style, int) else np.asarray(c.style) for c in clips]
    return np.asarray(rows, np.float32).reshape(len(rows), len(corpus.styles))


def read_phones(path: Path) -> list[Phone]:
    """Phone times of a prepared clip, seconds."""
    with np.load(path, allow_pickle=False) as data:
        return [
            Phone(str(n), float(a), float(b)) for n, a, b in zip(data["names"], data["start"], data["end"], strict=True)
        ]
