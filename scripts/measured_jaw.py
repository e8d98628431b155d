"""A corpus from people whose jaw was measured: python scripts/measured_jaw.py CHECKPOINT CAPTURES ROOT --column NAME [--test TAKE ...].

CAPTURES holds NAME.csv (columns `time` and the jaw's) beside NAME.wav or .flac. The jaw is the person's, scaled to the
checkpoint's own range; everything else is what the checkpoint makes of the sound. So a model is taught one part of the face by
people without unlearning the others: `also=[{name: folder, root: ROOT, share: 0.15}]` in training.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from pathlib import Path

import numpy as np
import soundfile
import torch

from diffspeaker3d.audio import SAMPLE_RATE, load_audio, num_motion_frames
from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.controls.style import PRESETS, STYLE_NAMES
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.files import atomic_path
from diffspeaker3d.generation.encode import encode
from diffspeaker3d.generation.pipeline import SpeechAnimator
from diffspeaker3d.generation.sample import sample
from diffspeaker3d.topology import load_topology

LOWEST, HIGHEST = 0.04, 0.45  # jawOpen at the 5th and 95th percentile of what was measured
PIECE_SECONDS = 20  # a clip of the corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("captures", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("--column", default="mouth_stretch_c")
    parser.add_argument("--test", nargs="*", default=[])
    arguments = parser.parse_args()
    animator, topology = SpeechAnimator.from_pretrained(arguments.checkpoint), load_topology("mannequin")
    clips: list[ClipRecord] = []
    for sound in sorted([*arguments.captures.glob("*.wav"), *arguments.captures.glob("*.flac")]):
        curve = measured(sound.with_suffix(".csv"), arguments.column)
        if curve is None:
            continue
        waveform = load_audio(sound)[: int(curve[0][-1] * SAMPLE_RATE)]
        low, high = np.quantile(curve[1], (0.05, 0.95))
        for number, first in enumerate(range(0, len(waveform) - SAMPLE_RATE, PIECE_SECONDS * SAMPLE_RATE)):
            piece = waveform[first : first + PIECE_SECONDS * SAMPLE_RATE]
            controls = sampled(animator, piece)
            times = first / SAMPLE_RATE + np.arange(len(controls)) / animator.model.fps
            jaw = LOWEST + (HIGHEST - LOWEST) * (np.interp(times, *curve) - low) / (high - low)
            controls[:, CONTROL_NAMES.index("jawOpen")] = np.clip(jaw, 0.0, 1.0)
            split = "test" if sound.stem in arguments.test else "train"
            clips.append(
                write(arguments.root, f"{sound.stem}-{number}", piece, controls, split, next(iter(topology.templates)))
            )
    Corpus(
        arguments.root, "folder", animator.model.fps, "controls", topology.name, topology.hash, STYLE_NAMES, tuple(clips),
        provenance={"jaw": arguments.column, "rest": str(animator.config["provenance"]["name"])},
    ).save()  # fmt: skip


def sampled(animator: SpeechAnimator, waveform: np.ndarray) -> np.ndarray:
    """What the model makes of a sound (N,) before any stage: controls (T, K)."""
    model, fps = animator.model, animator.model.fps
    count = num_motion_frames(len(waveform), SAMPLE_RATE, fps)
    with torch.inference_mode():
        features = encode(model.audio_encoder, torch.from_numpy(waveform), count, fps)
        conditions = {"style": torch.tensor([animator.style_vector(None)])}
        state = sample(model, animator.schedule, features, conditions, animator.sampling, [0])
    return np.array(model.motion.decode(state)[0])


def measured(path: Path, column: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Times and curve of a capture; None if it has none of that name."""
    if not path.is_file():
        return None
    with open(path, newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row.get("time") and row.get(column)]
    return (np.array([float(r["time"]) for r in rows]), np.array([float(r[column]) for r in rows])) if rows else None


def write(root: Path, name: str, waveform: np.ndarray, controls: np.ndarray, split: str, subject: str) -> ClipRecord:
    """One clip's files."""
    motion, audio = root / "motion" / f"{name}.npy", root / "audio" / f"{name}.wav"
    with atomic_path(audio) as temporary:
        soundfile.write(temporary, waveform, SAMPLE_RATE, subtype="PCM_16")
    with atomic_path(motion) as temporary, open(temporary, "wb") as stream:
        np.save(stream, controls.astype(np.float16), allow_pickle=False)
    digest = hashlib.sha256(motion.read_bytes() + audio.read_bytes()).hexdigest()
    return ClipRecord(name, subject, name, split, len(controls), len(waveform), PRESETS["neutral"], digest)


if __name__ == "__main__":
    main()
