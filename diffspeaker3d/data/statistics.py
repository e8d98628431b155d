"""How large the motion of a corpus is: the scale a diffusion model divides by, and the speed its losses are measured in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path

_CHUNK_FRAMES = 256


@dataclass(frozen=True)
class MotionStatistics:
    """Moments of the training motion, over all real frames (a long clip weighs more than a short one).

    Attributes:
        mean: per control (K numbers); [0.0] for vertices, whose displacements keep the template as origin.
        scale: standard deviation per control (K numbers), or [the RMS of all displacement coordinates].
        mean_squared_velocity: mean of (x_t+1 - x_t)^2 per control (K numbers), or [over all coordinates]; (unit/frame)^2.
        num_frames: frames that were counted.
    """

    mean: list[float]
    scale: list[float]
    mean_squared_velocity: list[float]
    num_frames: int


def motion_statistics(corpus: Corpus, split: str = "train") -> MotionStatistics:
    """Statistics of one split, computed in one pass over the memory maps and cached beside the manifest.

    The cache is keyed by the clips' hashes and lengths: preparing again makes it count again.

    Raises:
        InputError: the split is empty or does not move at all.
    """
    path = corpus.root / f"statistics-{split}.json"
    key = _key(corpus, split)
    if path.is_file():
        content = json.loads(path.read_text("utf-8"))
        if content.pop("key", None) == key:
            return MotionStatistics(**content)
    statistics = _count(corpus, split)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"key": key} | asdict(statistics)), "utf-8")
    return statistics


def _key(corpus: Corpus, split: str) -> str:
    text = "\n".join(f"{clip.id} {clip.num_frames} {clip.sha256}" for clip in corpus.split(split))
    return hashlib.sha256(f"{corpus.motion} {corpus.topology_hash}\n{text}".encode()).hexdigest()[:16]


def _count(corpus: Corpus, split: str) -> MotionStatistics:
    clips = corpus.split(split)
    if not clips:
        raise InputError(f"{corpus.root}: no clip in split {split}, so its motion has no statistics")
    frames = steps = 0
    total: np.ndarray | float = 0.0
    squares: np.ndarray | float = 0.0
    velocities: np.ndarray | float = 0.0
    for clip in clips:
        for chunk, is_first in _displacements(corpus, clip):
            new = chunk if is_first else chunk[1:]  # later chunks begin with the last frame of the one before
            frames += len(new)
            steps += len(chunk) - 1
            total = total + new.sum(0)
            squares = squares + np.square(new).sum(0)
            velocities = velocities + np.square(np.diff(chunk, axis=0)).sum(0)
    if corpus.motion == "vertices":
        mean, variance = np.zeros(1), np.atleast_1d(np.mean(squares) / frames)
        velocity = np.atleast_1d(np.mean(velocities) / max(steps, 1))
    else:
        mean = np.asarray(total) / frames
        variance = np.maximum(np.asarray(squares) / frames - mean**2, 0.0)
        velocity = np.asarray(velocities) / max(steps, 1)
    if not variance.any():
        raise InputError(f"{corpus.root}: nothing moves in split {split}; check the motion files")
    return MotionStatistics(mean.tolist(), np.sqrt(variance).tolist(), velocity.tolist(), frames)


def _displacements(corpus: Corpus, clip: ClipRecord) -> Iterator[tuple[np.ndarray, bool]]:
    """Chunks (n, D) float64 that overlap by one frame, and whether a chunk is the first."""
    motion = corpus.load_motion(clip)
    origin = corpus.topology.template(clip.subject).reshape(-1) if corpus.motion == "vertices" else 0.0
    for start in range(0, max(len(motion) - 1, 1), _CHUNK_FRAMES):
        yield np.asarray(motion[start : start + _CHUNK_FRAMES + 1], np.float64) - origin, start == 0
