"""A small world to train in: ten clips of smooth vertex motion on a tetrahedron, and a run that takes a moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from diffspeaker3d.audio import SAMPLE_RATE
from diffspeaker3d.config import CONF_DIR
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.topology import Topology

FPS = 20.0
MEL = ["audio_encoder.width=16", "audio_encoder.dilations=[1]"]
SMALL = [
    "dataset=folder", "name=small", "denoiser.width=16", "denoiser.feedforward=16",
    "data.batch_size=2", "data.crop_seconds=0.8", "data.num_workers=0", "trainer.log_every_n_steps=1", "trainer.limit_val_batches=1",
    "trainer.max_steps=6", "save_every=1", "export_every=1000", "steps=2", "draws=1",
]  # fmt: skip


def write_corpus(root: Path, count: int = 7, frames: int = 20, vertices: int = 4) -> Corpus:
    """`count` training clips (the first speaker's, then the second's, in turn) and one to validate on."""
    corners = np.float32([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1], [0.1, 0.1, 0.1]])[:vertices]
    topology = Topology(
        "tetra",
        np.int32([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
        vertices,
        templates={"ann": corners, "bob": corners + np.float32(0.01)},
    )
    rng = np.random.default_rng(3)
    for folder in ("audio", "motion"):
        (root / folder).mkdir(parents=True)
    clips = []
    for number in range(count + 1):
        subject, samples = ("ann", "bob")[number % 2], round(frames / FPS * SAMPLE_RATE)
        phase = np.arange(frames)[:, None] / 4 + rng.uniform(0, 6, (1, 3 * vertices))
        np.save(
            root / "motion" / f"c{number}.npy",
            np.float32(topology.templates[subject].reshape(1, -1) + 0.01 * np.sin(phase)),
        )
        soundfile.write(
            root / "audio" / f"c{number}.wav", 0.1 * rng.normal(size=samples), SAMPLE_RATE, subtype="PCM_16"
        )
        clips.append(
            ClipRecord(
                f"c{number}",
                subject,
                str(number),
                "val" if number == count else "train",
                frames,
                samples,
                number % 2,
                sha256=f"{number}",
            )
        )
    topology.save(root / "topology.npz")
    Corpus(root, "small", FPS, "vertices", "tetra", topology.hash, ("ann", "bob"), tuple(clips)).save()
    return Corpus.load(root)


def arguments(corpus: Path, out: Path, *more: str) -> list[str]:
    """What to give the train door for a small run, with a small mel encoder unless `more` names another."""
    encoder = [] if any(setting.startswith("audio_encoder=") for setting in more) else MEL
    return [*SMALL, *encoder, f"dataset.root={corpus}", f"out={out}", *more]


def configure(corpus: Path, out: Path, *more: str) -> DictConfig:
    """The train door's configuration of a small run."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose("train", overrides=arguments(corpus, out, *more))


def start(corpus: Path, out: Path, *more: str, accident: str = "") -> subprocess.Popen:
    """The train door in its own process; the code of `accident` runs first."""
    program = f"{accident}\nfrom diffspeaker3d.train import main\nmain()"
    command = [sys.executable, "-c", program, *arguments(corpus, out, *more)]
    environment = os.environ | {
        "OMP_NUM_THREADS": str(torch.get_num_threads())
    }  # sums are bitwise equal for equal threads only
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=corpus.parent, env=environment)


def write_encoder(folder: Path) -> Path:
    """A wav2vec2 of no size with random weights; frozen, it draws no random numbers."""
    import transformers

    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )
    transformers.Wav2Vec2Model(config).save_pretrained(folder)
    return folder


def saved(path: Path) -> dict:
    """What a later step depends on: weights, their average, optimiser and rate."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    assert any(name.startswith("average.") for name in content["state_dict"])
    return {name: content[name] for name in ("state_dict", "optimizer_states", "lr_schedulers", "global_step")}


def equal(a: object, b: object) -> bool:
    """Bitwise, through dicts and lists."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b
