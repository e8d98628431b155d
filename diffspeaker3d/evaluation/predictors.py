"""From a clip to an animation: the model, the baselines, and the recording itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from tqdm import tqdm

from diffspeaker3d.animation import Animation
from diffspeaker3d.audio import SAMPLE_RATE, load_audio
from diffspeaker3d.controls.arkit import close_lips
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.metrics.baselines import mean_face, nearest_neighbour, ridge_regression
from diffspeaker3d.models import MelEncoder
from diffspeaker3d.models.encoders.base import to_motion_frames
from diffspeaker3d.models.encoders.mel import MEL_RATE, normalise
from diffspeaker3d.topology import Topology

FITTED = {"mean_face": mean_face, "nearest_neighbour": nearest_neighbour, "ridge": ridge_regression}
BASELINE_CLIPS = 400  # training clips a baseline is fitted on
Style = int | list[float]
Predict = Callable[[ClipRecord, np.ndarray, Style, int], Animation]
"""(clip, waveform at SAMPLE_RATE, style, seed) -> animation."""


class Animator(Protocol):
    """What an evaluation needs of a `SpeechAnimator`."""

    topology: Topology
    config: Mapping[str, Any]
    """Its `provenance` goes into the result."""

    def __call__(self, audio: Any, *, style: Any, template: str | None, seed: int, steps: int | None) -> Animation: ...


def model(animator: Animator, steps: int | None) -> Predict:
    """The model as a predictor. The seed is set before each prediction, also torch's own."""

    def predict(clip: ClipRecord, waveform: np.ndarray, style: Style, seed: int) -> Animation:
        torch.manual_seed(seed)
        template = clip.subject if clip.subject in animator.topology.templates else None
        return animator((waveform, SAMPLE_RATE), style=style, template=template, seed=seed, steps=steps)

    return predict


def recording(corpus: Corpus) -> Predict:
    """The recording as its own prediction: what the numbers that need no second motion are to be compared with."""
    return lambda clip, waveform, style, seed: recorded(corpus, clip)


def recorded(corpus: Corpus, clip: ClipRecord) -> Animation:
    """The corpus' own motion of a clip as an animation."""
    motion = np.array(corpus.load_motion(clip), np.float32)
    return _animation(corpus, clip, motion if corpus.motion == "controls" else motion - _origin(corpus, clip))


def baseline(name: str, corpus: Corpus) -> Predict:
    """A baseline fitted on the training split."""
    clips = corpus.split("train")
    chosen = [clips[i] for i in np.linspace(0, len(clips) - 1, min(BASELINE_CLIPS, len(clips))).round().astype(int)]
    encoder = MelEncoder(corpus.fps).eval()

    def examples() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for clip in tqdm(chosen, desc=f"fit {name}", disable=None):
            motion = np.array(corpus.load_motion(clip), np.float32) - _origin(corpus, clip)
            yield (
                _mel_frames(encoder, load_audio(corpus.audio_path(clip)), len(motion), corpus.fps),
                motion.astype(np.float32),
            )

    fitted = FITTED[name](examples())

    def predict(clip: ClipRecord, waveform: np.ndarray, style: Style, seed: int) -> Animation:
        return _animation(corpus, clip, fitted(_mel_frames(encoder, waveform, clip.num_frames, corpus.fps)))

    return predict


def _origin(corpus: Corpus, clip: ClipRecord) -> np.ndarray | float:
    """What motion is measured from: the subject's template (3V,), or nothing for controls."""
    return corpus.topology.template(clip.subject).reshape(-1) if corpus.motion == "vertices" else 0.0


def _animation(corpus: Corpus, clip: ClipRecord, motion: np.ndarray) -> Animation:
    """Displacements (T, 3V) or controls (T, K) of a clip's speaker, with vertices."""
    topology = corpus.topology
    if corpus.motion == "controls":
        template = topology.template(clip.subject if clip.subject in topology.templates else None)
        return Animation.from_weights(close_lips(motion), corpus.fps, topology, template)
    template = topology.template(clip.subject)
    return Animation(template + motion.reshape(len(motion), -1, 3).astype(np.float32), corpus.fps, topology, template)


@torch.inference_mode()
def _mel_frames(encoder: MelEncoder, waveform: np.ndarray, num_frames: int, fps: float) -> np.ndarray:
    """Normalised log-mel (T, M) at the motion's frames: what a baseline hears."""
    mel, count = encoder.log_mel(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    return to_motion_frames(normalise(mel, count), count, MEL_RATE, 0.0, torch.tensor([num_frames]), fps)[0].numpy()
