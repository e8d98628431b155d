"""`text=` end to end: nothing said, nothing changed; something said, the lips obey; vertex models refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.diffusion import NoiseSchedule
from diffspeaker3d.errors import InputError
from diffspeaker3d.generation.jobs import Job, with_texts
from diffspeaker3d.generation.pipeline import SpeechAnimator
from diffspeaker3d.models import ControlMotion, Denoiser, DiffSpeaker, MelEncoder, VertexMotion
from diffspeaker3d.speech import transcript
from diffspeaker3d.speech.phones import Phone

SOUND = (np.random.default_rng(0).normal(0.0, 0.1, 16_000).astype(np.float32), 16_000)
PHONES = [
    Phone("sil", 0.0, 0.3),
    Phone("m", 0.3, 0.45),
    Phone("aa1", 0.45, 0.7),
    Phone("b", 0.7, 0.78),
    Phone("sil", 0.78, 1.0),
]


def animator(topology, motion) -> SpeechAnimator:
    torch.manual_seed(0)
    denoiser = Denoiser(motion.dim, 16, 16, 32, layers=1, conditions={"style": 1}, period=30)
    torch.nn.init.normal_(denoiser.output.weight, std=0.3)
    encoder = MelEncoder(30, width=16, num_mels=20, dilations=(1, 2))
    model = DiffSpeaker(encoder, denoiser, motion, fps=30, style_names=("only",), topology="tiny").eval()
    schedule = NoiseSchedule("cosine", zero_terminal_snr=True)
    return SpeechAnimator(model, schedule, topology, {"provenance": {}, "sampling": {"steps": 3}})


def test_text_closes_the_lips_where_it_says_so_and_changes_nothing_else(tiny_topology, monkeypatch):
    speaks = animator(tiny_topology, ControlMotion())
    free = speaks(SOUND)
    monkeypatch.setattr(transcript, "guiding_phones", lambda waveform, text: PHONES if text else [])
    guided, silent = speaks(SOUND, text="ma b"), speaks(SOUND, text="")
    assert np.array_equal(silent.weights, free.weights) and np.array_equal(silent.vertices, free.vertices)
    close, jaw = (guided.weights[:, CONTROL_NAMES.index(n)] for n in ("mouthClose", "jawOpen"))
    sealed = [i for p in PHONES if p.name in "mb" for i in range(30) if p.start <= i / 30 <= p.end]
    assert np.array_equal(close[sealed], jaw[sealed])
    assert np.array_equal(guided.weights[:6], free.weights[:6]) and np.array_equal(
        guided.weights[26:], free.weights[26:]
    )
    assert guided.phones == tuple(PHONES) and free.phones is None
    assert "text" not in free.provenance and guided.provenance["text"] == "ma b"


def test_a_model_of_bare_vertices_cannot_be_guided(tiny_topology):
    with pytest.raises(InputError, match="bare vertices"):
        animator(tiny_topology, VertexMotion(12))(SOUND, text="hello")


def test_one_folder_of_transcripts_serves_many_sounds(tmp_path):
    jobs = [Job(tmp_path / "x" / f"{name}.wav", ()) for name in ("a", "b")]
    (tmp_path / "a.txt").write_text("hello", "utf-8")
    assert with_texts(jobs, None) == jobs
    assert [job.text for job in with_texts(jobs, "auto")] == ["auto", "auto"]
    assert with_texts(jobs[:1], "hello there")[0].text == "hello there"
    assert with_texts(jobs[:1], tmp_path)[0].text == str(tmp_path / "a.txt")
    with pytest.raises(InputError, match=r"no transcript for b\.wav"):
        with_texts(jobs, tmp_path)
    with pytest.raises(InputError, match="one transcript for 2 sounds"):
        with_texts(jobs, "hello")
