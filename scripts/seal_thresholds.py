"""How far to trust the viseme head: python scripts/seal_thresholds.py CHECKPOINT CORPUS [--split val] [--clips 90].

For pairs of probabilities (low, high) between which heard p, b, m close the lips (`data.guidance.seal_heard`): how many spoken
p, b, m are sealed and how many vowel frames are closed by mistake. Choose on `val`; `test` is for reporting.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from diffspeaker3d.audio import load_audio
from diffspeaker3d.controls.arkit import close_lips
from diffspeaker3d.controls.lipsync import seal_heard
from diffspeaker3d.data.clips import read_phones
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.errors import InputError
from diffspeaker3d.generation.pipeline import SpeechAnimator
from diffspeaker3d.generation.sample import sample
from diffspeaker3d.metrics import Share, bilabial_closure_recall, closure_threshold, false_closure, mouth_opening
from diffspeaker3d.speech.phones import VISEMES, VOWELS, viseme_frames

PAIRS = ((1.0, 2.0), (0.2, 0.5), (0.1, 0.35), (0.05, 0.2), (0.02, 0.1), (0.01, 0.05), (0.005, 0.02), (0.002, 0.01))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--clips", type=int, default=90)
    arguments = parser.parse_args()
    animator, corpus = SpeechAnimator.from_pretrained(arguments.checkpoint), Corpus.load(arguments.corpus)
    clips = [clip for clip in corpus.split(arguments.split) if corpus.phones_path(clip).is_file()]
    clips = [clips[i] for i in np.linspace(0, len(clips) - 1, min(arguments.clips, len(clips))).round().astype(int)]
    heard = list(listen(animator, corpus, clips))
    print("low    high   sealed            closed by mistake")
    for low, high in PAIRS:
        sealed, mistaken = Share(0, 0), Share(0, 0)
        for controls, probability, bilabial, vowel in heard:
            opening = opening_of(animator, seal_heard(controls, probability, low, high))
            threshold = closure_threshold(animator.topology.template(), animator.topology)
            sealed = sealed.plus(bilabial_closure_recall(opening, bilabial, threshold))
            mistaken = mistaken.plus(false_closure(opening, vowel, threshold))
        print(
            f"{low:<6g} {high:<6g} {sealed.hits}/{sealed.total} {sealed.value:.3f}   {mistaken.hits}/{mistaken.total} {mistaken.value:.4f}"
        )


def listen(
    animator: SpeechAnimator, corpus: Corpus, clips: list[ClipRecord]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Of each clip: sampled controls (T, K), probability of p, b, m, and which frames are p, b, m and open vowels (T,)."""
    model, mouth = animator.model, VISEMES.index("PP")
    for clip in clips:
        waveform = torch.from_numpy(load_audio(corpus.audio_path(clip)))
        count = torch.tensor([clip.num_frames])
        with torch.inference_mode():
            features = model.audio_encoder(waveform[None], torch.tensor([len(waveform)]), count)
            conditions = {"style": torch.tensor([animator.style_vector(clip.style)])}
            state = sample(model, animator.schedule, features, conditions, animator.sampling, [0])
            controls = model.motion.decode(state)[0].numpy()
            logits = model.viseme_logits(features)
        if logits is None:
            raise InputError("this checkpoint does not name visemes: train it with num_visemes")
        probability = logits[0].softmax(-1)[:, mouth].numpy()
        labels = viseme_frames(read_phones(corpus.phones_path(clip)), clip.num_frames, corpus.fps)
        bilabial = labels == mouth
        beside = np.convolve(bilabial, np.ones(5), "same") > 0
        threshold = closure_threshold(animator.topology.template(), animator.topology)
        apart = opening_of(animator, np.array(corpus.load_motion(clip), np.float32)) > threshold
        yield controls, probability, bilabial, np.isin(labels, [VISEMES.index(v) for v in VOWELS]) & ~beside & apart


def opening_of(animator: SpeechAnimator, controls: np.ndarray) -> np.ndarray:
    """Mouth opening (T,) in metres of controls (T, K)."""
    topology = animator.topology
    assert topology.blendshapes is not None
    return mouth_opening(topology.template() + topology.blendshapes.displacements(close_lips(controls)), topology)


if __name__ == "__main__":
    main()
