"""Tiny corpora on disk, made of known numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from diffspeaker3d.audio import SAMPLE_RATE
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.topology import Topology

NUM_VERTICES = 4
FPS = 25.0


def tetrahedron() -> Topology:
    """Four vertices, two subjects whose templates differ."""
    corners = np.float32([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]])
    faces = np.int32([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    return Topology("tetra", faces, NUM_VERTICES, templates={"ann": corners, "bob": corners + np.float32(0.01)})


def write_corpus(root: Path, lengths: list[int], split: str = "train", phones: bool = False) -> Corpus:
    """Clips whose frame t lies t micrometres from the template, in sound a ramp that tells its own sample number."""
    topology = tetrahedron()
    for folder in ("audio", "motion", "phones"):
        (root / folder).mkdir(parents=True)
    clips = []
    for number, frames in enumerate(lengths):
        subject = ("ann", "bob")[number % 2]
        name, samples = f"{subject}_{number:02d}", round(frames / FPS * SAMPLE_RATE)
        steps = np.arange(frames, dtype=np.float32)[:, None] * np.float32(1e-3)
        np.save(root / "motion" / f"{name}.npy", topology.templates[subject].reshape(1, -1) + steps)
        ramp = (np.arange(samples) % 30000).astype(np.int16)
        soundfile.write(root / "audio" / f"{name}.wav", ramp, SAMPLE_RATE, subtype="PCM_16")
        if phones:
            seconds = frames / FPS
            np.savez(
                root / "phones" / f"{name}.npz", names=["m", "aa"], start=[0.0, seconds / 2], end=[seconds / 2, seconds]
            )
        clips.append(ClipRecord(name, subject, str(number), split, frames, samples, number % 2, sha256=str(frames)))
    topology.save(root / "topology.npz")
    corpus = Corpus(root, "tiny", FPS, "vertices", "tetra", topology.hash, ("ann", "bob"), tuple(clips))
    corpus.save()
    return Corpus.load(root)
