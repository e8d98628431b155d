"""Evaluation: a model (or a baseline) against the recorded motion of a corpus, clip by clip, and one table."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from diffspeaker3d.animation import Animation
from diffspeaker3d.arkit import CONTROL_NAMES, close_lips
from diffspeaker3d.audio import load_audio
from diffspeaker3d.data.clips import read_phones
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.data.synthetic.phones import VISEMES, VOWELS, viseme_frames
from diffspeaker3d.errors import InputError
from diffspeaker3d.metrics import (
    Share,
    bilabial_closure_recall,
    closure_threshold,
    diversity,
    false_closure,
    jitter,
    lip_vertex_error,
    mean_temporal_misalignment,
    mean_vertex_error,
    mouth_opening,
    mouth_opening_distance,
    pool,
    upper_face_dynamics_deviation,
)  # fmt: skip
from diffspeaker3d.metrics.baselines import mean_face, nearest_neighbour, ridge_regression
from diffspeaker3d.models import MelEncoder
from diffspeaker3d.models.audio_encoder import to_motion_frames
from diffspeaker3d.models.mel import MEL_RATE, normalise
from diffspeaker3d.pipeline import SpeechAnimator

log = logging.getLogger(__name__)

BASELINES = {"mean_face": mean_face, "nearest_neighbour": nearest_neighbour, "ridge": ridge_regression}
BASELINE_CLIPS = 400  # training clips a baseline is fitted on
MAX_LAG = 5  # frames either way in which the lag is looked for
LEAST_MOTION = 0.01  # controls that move less than this are left out of correlations
MOUTH = slice(CONTROL_NAMES.index("jawForward"), CONTROL_NAMES.index("mouthUpperUpRight") + 1)
Predict = Callable[[ClipRecord, int], Animation]


@dataclass
class Scores:
    """What is collected over clips: per-clip numbers, counts, and weights for correlations over all frames."""

    rows: list[dict[str, float]] = field(default_factory=list)
    shares: dict[str, Share] = field(default_factory=dict)
    weights: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def count(self, name: str, share: Share) -> None:
        self.shares[name] = self.shares.get(name, Share(0, 0)).plus(share)

    def summary(self) -> dict[str, float]:
        """One number per metric: frame-weighted means, ratios of counts, correlations over all frames."""
        frames = [row["num_frames"] for row in self.rows]
        names = [name for name in self.rows[0] if name != "num_frames"]
        result = {}
        for name in names:
            known = [(row[name], n) for row, n in zip(self.rows, frames, strict=True) if np.isfinite(row[name])]
            if known:
                values, lengths = zip(*known, strict=True)
                result[name] = float(np.median(values)) if name == "lag_frames" else pool(values, lengths, "clips" if name == "fdd" else "frames")
        result |= {"lve_by_clip": pool([row["lve"] for row in self.rows], frames, "clips")} if "lve" in names else {}
        result |= {name: share.value for name, share in self.shares.items() if share.total}
        return result | _correlations(self.weights)


def evaluate(
    animator: SpeechAnimator, corpus: Corpus, split: str = "test", *, limit: int | None = None, samples: int = 1, seed: int = 0,
    steps: int | None = None, baselines: Sequence[str] = (), group: bool = True,
) -> dict[str, Any]:
    """Score a checkpoint and baselines on one split.

    Args:
        animator: the model.
        corpus: prepared corpus; its topology must be the model's.
        split: which clips.
        limit: at most so many clips, drawn evenly; None is all.
        samples: predictions per clip, seeds seed, seed + 1, ...; with two or more, diversity is measured.
        seed: first seed.
        steps: DDIM steps, None is the checkpoint's own.
        baselines: names of BASELINES to score beside the model.
        group: also one row per group of voices (the clip id up to the first "-").

    Returns:
        dict: `regions` used, `models` -> name -> metric -> number, `groups` -> voices -> metric -> number. Lengths in the topology's unit, LVE and FDD in squared units.

    Raises:
        InputError: another topology, an empty split, an unknown baseline.
    """
    if corpus.motion == "vertices" and corpus.topology_hash != animator.topology.hash:
        raise InputError(f"{corpus.root}: topology {corpus.topology_name} is not the checkpoint's {animator.topology.name}")
    clips = corpus.split(split)
    if not clips:
        raise InputError(f"{corpus.root}: no clips in split {split}; known: {', '.join(sorted({c.split for c in corpus.clips}))}")
    if limit and limit < len(clips):
        clips = [clips[i] for i in np.linspace(0, len(clips) - 1, limit).round().astype(int)]
    unknown = [name for name in baselines if name not in BASELINES]
    if unknown:
        raise InputError(f"baselines: unknown {', '.join(unknown)}; known: {', '.join(BASELINES)}")

    def predict(clip: ClipRecord, sample: int) -> Animation:
        return animator(corpus.audio_path(clip), style=clip.style, template=clip.subject if clip.subject in animator.topology.templates else None, seed=seed + sample, steps=steps)

    total, groups = score(predict, corpus, clips, samples, "model")
    result: dict[str, Any] = {"split": split, "clips": len(clips), "models": {"model": total.summary()}}
    if group and len(groups) > 1:
        result["groups"] = {name: scores.summary() for name, scores in sorted(groups.items())}
    for name in baselines:
        scores, _ = score(_baseline(name, corpus), corpus, clips, 1, name)
        result["models"][name] = scores.summary()
    return result


def score(predict: Predict, corpus: Corpus, clips: Sequence[ClipRecord], samples: int, name: str) -> tuple[Scores, dict[str, Scores]]:
    """Scores of a predictor over all clips, and by the group of the clip id."""
    total: Scores = Scores()
    groups: dict[str, Scores] = defaultdict(Scores)
    for clip in tqdm(clips, desc=name, disable=None):
        truth = recorded(corpus, clip)
        predictions = [predict(clip, sample) for sample in range(samples)]
        for scores in (total, groups[clip.id.split("-")[0]]):
            _add(scores, predictions, truth, corpus, clip)
    return total, groups


def recorded(corpus: Corpus, clip: ClipRecord) -> Animation:
    """The corpus' own motion of a clip as an animation."""
    motion = np.array(corpus.load_motion(clip), np.float32)
    topology = corpus.topology
    template = topology.templates.get(clip.subject)
    if corpus.motion == "controls":
        return Animation.from_weights(close_lips(motion), corpus.fps, topology, topology.template() if template is None else template)
    return Animation(motion.reshape(len(motion), -1, 3), corpus.fps, topology, topology.template(clip.subject))


def _add(scores: Scores, predictions: list[Animation], truth: Animation, corpus: Corpus, clip: ClipRecord) -> None:
    """One clip into the collection."""
    prediction, topology = predictions[0], truth.topology
    n = min(len(prediction), len(truth))
    p, g = (np.asarray(a.vertices[:n]) for a in (prediction, truth))
    row: dict[str, float] = {"num_frames": n, "mve": mean_vertex_error(p, g), "jitter": jitter(p, corpus.fps)}
    if "lips" in topology.regions:
        row["lve"] = lip_vertex_error(p, g, topology.region("lips"))
    if "upper_face" in topology.regions:
        row["fdd"] = upper_face_dynamics_deviation(p, g, truth.template, topology.region("upper_face"))
    if "lip_upper_mid" in topology.regions:
        row["mouth_opening_distance"] = mouth_opening_distance(p, g, topology)
        _add_mouth(scores, row, mouth_opening(p, topology), mouth_opening(g, topology), corpus, clip, truth)
    if len(predictions) > 1:
        others = [np.asarray(a.vertices[:n]) for a in predictions]
        for region in ("lips", "upper_face"):
            if region in topology.regions:
                indices = topology.region(region)
                row[f"diversity_{region}"] = diversity([other[:, indices] for other in others])
    scores.rows.append(row)
    if prediction.weights is not None and truth.weights is not None:
        scores.weights.append((prediction.weights[:n], truth.weights[:n]))


def _add_mouth(scores: Scores, row: dict[str, float], opening: np.ndarray, wanted: np.ndarray, corpus: Corpus, clip: ClipRecord, truth: Animation) -> None:
    """What depends on the opening of the lips: timing, and closures where the phones are known."""
    row["mtm_ms"] = mean_temporal_misalignment(opening, wanted, corpus.fps)
    row["lag_frames"] = lag(opening, wanted)
    path = corpus.phones_path(clip)
    if not path.is_file():
        return
    labels = viseme_frames(read_phones(path), len(opening), corpus.fps)
    threshold = closure_threshold(truth.template, truth.topology)
    bilabial = labels == VISEMES.index("PP")
    near_bilabial = np.convolve(bilabial, np.ones(5), "same") > 0
    vowel = np.isin(labels, [VISEMES.index(v) for v in VOWELS]) & ~near_bilabial & (wanted > threshold)
    scores.count("closure_recall", bilabial_closure_recall(opening, bilabial, threshold))
    scores.count("false_closures", false_closure(opening, vowel, threshold))
    quiet = np.convolve(labels != VISEMES.index("sil"), np.ones(9), "same") < 0.5
    if quiet.any():
        scores.count("closed_in_silence", Share(int((opening[quiet] <= threshold).sum()), int(quiet.sum())))


def lag(opening: np.ndarray, wanted: np.ndarray) -> float:
    """Frames by which the predicted opening (T,) comes late: the shift of best correlation; nan if either is still."""
    best = (-1.0, float("nan"))
    for shift in range(-MAX_LAG, MAX_LAG + 1):
        a, b = (opening[shift:], wanted[: len(wanted) - shift]) if shift >= 0 else (opening[:shift], wanted[-shift:])
        if len(a) > 2 * MAX_LAG and a.std() > 0 and b.std() > 0:
            best = max(best, (float(np.corrcoef(a, b)[0, 1]), float(shift)))
    return best[1]


def _correlations(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Correlation over all frames of the weights: of the jaw, and the mean over all mouth controls that move."""
    if not pairs:
        return {}
    p, g = (np.concatenate(side) for side in zip(*pairs, strict=True))
    found = {
        name: float(np.corrcoef(p[:, k], g[:, k])[0, 1]) if p[:, k].std() > 0 else 0.0
        for k, name in enumerate(CONTROL_NAMES) if g[:, k].std() > LEAST_MOTION
    }  # fmt: skip
    mouth = [value for name, value in found.items() if name in CONTROL_NAMES[MOUTH]]
    return {"jaw_correlation": found.get("jawOpen", float("nan")), "mouth_correlation": float(np.mean(mouth)) if mouth else float("nan")}


def _baseline(name: str, corpus: Corpus) -> Predict:
    """A baseline fitted on the training split, as a predictor of animations."""
    clips = corpus.split("train")
    chosen = [clips[i] for i in np.linspace(0, len(clips) - 1, min(BASELINE_CLIPS, len(clips))).round().astype(int)]
    encoder = MelEncoder(corpus.fps).eval()

    def origin(clip: ClipRecord) -> np.ndarray | float:
        return corpus.topology.template(clip.subject).reshape(-1) if corpus.motion == "vertices" else 0.0

    def examples() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for clip in tqdm(chosen, desc=f"fit {name}", disable=None):
            motion = np.array(corpus.load_motion(clip), np.float32) - origin(clip)
            yield _mel_frames(encoder, load_audio(corpus.audio_path(clip)), len(motion), corpus.fps), motion.astype(np.float32)

    fitted = BASELINES[name](examples())

    def predict(clip: ClipRecord, sample: int) -> Animation:
        motion = fitted(_mel_frames(encoder, load_audio(corpus.audio_path(clip)), clip.num_frames, corpus.fps))
        topology, template = corpus.topology, corpus.topology.templates.get(clip.subject, None)
        if corpus.motion == "controls":
            return Animation.from_weights(close_lips(motion), corpus.fps, topology, topology.template() if template is None else template)
        return Animation((motion + origin(clip)).reshape(len(motion), -1, 3).astype(np.float32), corpus.fps, topology, topology.template(clip.subject))

    return predict


@torch.inference_mode()
def _mel_frames(encoder: MelEncoder, waveform: np.ndarray, num_frames: int, fps: float) -> np.ndarray:
    """Normalised log-mel (T, M) at the motion's frames: what a baseline hears."""
    mel, count = encoder.log_mel(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    return to_motion_frames(normalise(mel, count), count, MEL_RATE, 0.0, torch.tensor([num_frames]), fps)[0].numpy()
