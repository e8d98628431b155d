"""How far to trust the viseme head: python scripts/lip_rule.py CHECKPOINT [--corpus DIR ...] [--labelled DIR] [--crowd DIR].

For rules by which heard p, b, m close the lips (`controls.lipsync.LipRule`): how many are sealed, how often and for which share of
other speech the lips shut wrongly. On validation clips of corpora, and on recordings with phone times set by hand (NAME.wav or
.flac beside NAME.phn: start end label); with a crowd of voices from DIR also in babble of 10 dB. First the temperature at which
the head is as sure as it is right.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from diffspeaker3d.audio import load_audio, num_motion_frames
from diffspeaker3d.controls.lipsync import LipRule, follow_heard
from diffspeaker3d.data.corpus import Corpus, read_phones
from diffspeaker3d.errors import InputError
from diffspeaker3d.evaluation.degradations import babble
from diffspeaker3d.generation.encode import encode
from diffspeaker3d.generation.options import Options
from diffspeaker3d.generation.pipeline import SpeechAnimator
from diffspeaker3d.generation.sample import sample
from diffspeaker3d.metrics import Rate, Share, bilabial_closure_recall, other_speech, wrong_closures
from diffspeaker3d.models import ControlMotion
from diffspeaker3d.speech.phones import VISEMES, Phone, viseme_frames

BILABIAL = re.compile(r"(p|b|m|pcl|bcl|ph|em)\d?", re.IGNORECASE)
SILENCE = re.compile(r"(sil|sp|pau|h#|epi|spn|#|<.*>|_|)", re.IGNORECASE)
SHUT = 0.5 / 36.0  # half a millimetre of the mannequin's 36 at jawOpen 1
CROWD = 6


class Heard(NamedTuple):
    """One clip: controls (T, K) and visemes (T, 24) before any rule, and which class (T,) each frame is."""

    controls: np.ndarray
    visemes: np.ndarray
    labels: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--corpus", type=Path, action="append", default=[])
    parser.add_argument("--labelled", type=Path)
    parser.add_argument("--crowd", type=Path)
    parser.add_argument("--clips", type=int, default=60)
    arguments = parser.parse_args()
    animator = SpeechAnimator.from_pretrained(arguments.checkpoint)
    if not isinstance(animator.model.motion, ControlMotion) or animator.model.viseme_head is None:
        raise InputError(f"{arguments.checkpoint}: names no visemes, or moves no controls")
    sources = {root.name: list(of_corpus(animator, root, arguments.clips)) for root in arguments.corpus}
    if arguments.labelled:
        crowd = [load_audio(path) for path in sounds(arguments.crowd)[:: max(len(sounds(arguments.crowd)) // 60, 1)]]
        sources |= of_recordings(animator, arguments.labelled, crowd if arguments.crowd else [])
    print("temperature", {name: round(fitted_temperature(clips), 2) for name, clips in sources.items()})
    print("rule".ljust(46), *(name[:24].ljust(24) for name in sources), "(sealed, wrong/s, wrongly closed)")
    names = animator.model.motion.names
    for temperature, (low, high) in product(
        (1.0, 1.5),
        ((0.02, 0.1), (0.05, 0.2), (0.1, 0.3), (0.2, 0.5), (0.3, 0.6), (0.4, 0.7)),
    ):
        rule = LipRule(temperature=temperature, low=low, high=high)
        cells = [score(clips, rule, animator.model.fps, names) for clips in sources.values()]
        print(f"temperature {temperature:g} low {low:g} high {high:g}".ljust(46), *cells)


def score(clips: Sequence[Heard], rule: LipRule, fps: float, names: tuple[str, ...]) -> str:
    """Sealed, wrong closures per second and share of frames wrongly closed."""
    sealed, wrong, rate = Share(0, 0), Share(0, 0), Rate(0, 0.0)
    for clip in clips:
        controls = follow_heard(clip.controls, clip.visemes, fps, rule, names)
        jaw, close = (np.clip(controls[:, names.index(name)], 0, 1) for name in ("jawOpen", "mouthClose"))
        bilabial, silent = clip.labels == VISEMES.index("PP"), clip.labels == VISEMES.index("sil")
        opening = jaw * (1.0 - close)
        sealed = sealed.plus(bilabial_closure_recall(opening, bilabial, SHUT))
        frames, events = wrong_closures(opening, other_speech(bilabial, silent, fps), fps, SHUT)
        wrong, rate = wrong.plus(frames), rate.plus(events)
    return f"{sealed.value:.3f} {rate.value:.3f} {wrong.value:.4f}".ljust(24)


def fitted_temperature(clips: Sequence[Heard]) -> float:
    """Where the mean log probability of what is said is highest."""
    visemes = np.log(np.concatenate([clip.visemes for clip in clips]) + 1e-9)
    labels = np.concatenate([clip.labels for clip in clips])
    known = labels >= 0

    def loss(log_temperature: float) -> float:
        scaled = visemes[known] / np.exp(log_temperature)
        scaled -= np.log(np.exp(scaled).sum(1, keepdims=True))
        return -float(scaled[np.arange(known.sum()), labels[known]].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-1.5, 1.5), method="bounded").x)) if known.any() else float("nan")


def of_corpus(animator: SpeechAnimator, root: Path, count: int) -> Iterator[Heard]:
    """Validation clips with speech, evenly through the manifest."""
    corpus = Corpus.load(root)
    clips = [clip for clip in corpus.split("val") if clip.spoken and corpus.phones_path(clip).is_file()]
    for clip in (clips[i] for i in np.linspace(0, len(clips) - 1, min(count, len(clips))).round().astype(int)):
        yield hear(animator, load_audio(corpus.audio_path(clip)), read_phones(corpus.phones_path(clip)))


def of_recordings(animator: SpeechAnimator, folder: Path, crowd: list[np.ndarray]) -> dict[str, list[Heard]]:
    """Recordings with phone times by family (name up to the first underscore), and the same in a crowd."""
    found: dict[str, list[Heard]] = {}
    rng = np.random.default_rng(0)
    for path in sounds(folder):
        if not path.with_suffix(".phn").is_file():
            continue
        family, waveform, phones = path.name.split("_")[0], load_audio(path), hand_labels(path.with_suffix(".phn"))
        found.setdefault(family, []).append(hear(animator, waveform, phones, known=False))
        if crowd:
            voices = [crowd[i] for i in rng.choice(len(crowd), CROWD, replace=False)]
            noisy = hear(animator, babble(waveform, voices, 10.0), phones, known=False)
            found.setdefault(f"{family} in babble", []).append(noisy)
    return found


def hear(animator: SpeechAnimator, waveform: np.ndarray, phones: Sequence[Phone], known: bool = True) -> Heard:
    """What the model makes of a sound before any rule; without `known` names only p, b, m and pauses count."""
    model, fps = animator.model, animator.model.fps
    count = num_motion_frames(len(waveform), 16_000, fps)
    with torch.inference_mode():
        features = encode(model.audio_encoder, torch.from_numpy(waveform), count, fps)
        conditions = {"style": torch.tensor([animator.style_vector(Options().style)])}
        controls = model.motion.decode(sample(model, animator.schedule, features, conditions, animator.sampling, [0]))
        logits = model.viseme_logits(features)
    assert logits is not None
    labels = viseme_frames(phones, count, fps)
    if not known:
        labels[~np.isin(labels, [VISEMES.index("PP"), VISEMES.index("sil")])] = -1
    return Heard(controls[0].numpy(), logits[0].softmax(-1).numpy(), labels)


def hand_labels(path: Path) -> list[Phone]:
    """Phones of a label file, in any alphabet: p, b, m, pauses, and everything else."""
    rows = [line.split() for line in path.read_text("utf-8", errors="replace").splitlines()]
    kinds = [row[2] if len(row) > 2 else "" for row in rows]
    plain = ["p" if BILABIAL.fullmatch(k) else "sil" if SILENCE.fullmatch(k) else "t" for k in kinds]
    return [Phone(name, float(row[0]), float(row[1])) for name, row in zip(plain, rows, strict=True) if len(row) >= 2]


def sounds(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.wav"), *folder.glob("*.flac")])


if __name__ == "__main__":
    main()
