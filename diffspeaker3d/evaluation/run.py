"""The loop: every predictor, every seed, every style, clip by clip."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from diffspeaker3d.animation import Animation
from diffspeaker3d.audio import load_audio
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.errors import InputError
from diffspeaker3d.evaluation import predictors
from diffspeaker3d.evaluation.clip import (
    REGIONS,
    Numbers,
    Take,
    aligned,
    measure,
    measure_samples,
    measure_spread,
    region_vertices,
)
from diffspeaker3d.evaluation.conditions import CLEAN, parse_condition
from diffspeaker3d.evaluation.options import MODEL, EvaluationOptions
from diffspeaker3d.evaluation.predictors import Animator, Predict, Style
from diffspeaker3d.evaluation.tally import Correlations, Crowd, Means, over_repeats, seed_shares
from diffspeaker3d.metrics import MotionFeatures, describe_region

CROWD_CLIPS, CLIP_FRAMES = (
    60,
    300,
)  # recordings that the features of the Fréchet distance are fitted on, first frames of each
CROWD_FRAMES = 10_000  # frames whose features are kept
CROWD_VERTICES = 100  # of lips and upper face, where motion is vertices
COMPONENTS = 16
ALONE = ("jitter", "beat_alignment", "closure_recall", "false_closures", "closed_in_silence", "blinks_per_minute")
Row = dict[str, Any]


@dataclass(frozen=True, order=True)
class WorstClip:
    """A prediction worth looking at: its error (LVE, or MVE without lips), and how to make it again."""

    error: float
    clip: str
    style: Style = field(compare=False)
    style_name: str = ""
    seed: int = 0


@dataclass
class Evaluation:
    """Attributes:
    numbers: what metrics.json holds; see `evaluate`.
    worst: worst first.
    """

    numbers: dict[str, Any]
    worst: list[WorstClip]


class Repeat:
    """One whole evaluation under one seed."""

    def __init__(self, crowd: Crowd) -> None:
        self.means, self.correlations, self.crowd = Means(), Correlations(), crowd

    def summary(self) -> dict[str, float]:
        return self.means.summary() | self.correlations.summary() | self.crowd.summary()


class Evaluator:
    """Scores predictors on the same clips.

    Args:
        corpus, options: where and what.
        on_row: is given the numbers of every prediction of every clip.
        styled: predictors that take a style, and so all of them for speakers nobody has seen.
    """

    def __init__(
        self,
        corpus: Corpus,
        options: EvaluationOptions,
        on_row: Callable[[Row], None],
        styled: Sequence[str] = (MODEL,),
    ) -> None:
        self.corpus, self.options, self.on_row, self.styled = corpus, options, on_row, styled
        self.clips = _choose(corpus, options)
        self.features = _features(corpus, self.clips)
        self.recorded, self.groups, self.styles = (
            Means(),
            defaultdict[str, Means](Means),
            defaultdict[str, Means](Means),
        )
        self.worst: list[WorstClip] = []

    def score(
        self, name: str, predict: Predict, seeds: Sequence[int], condition: str = CLEAN
    ) -> tuple[list[Repeat], Means]:
        """One Repeat per seed, and what all seeds say together."""
        stride = -(-sum(clip.num_frames * len(self._styles(clip, name)) for clip in self.clips) // CROWD_FRAMES)
        repeats, together = [Repeat(Crowd(self.features, stride)) for _ in seeds], Means()
        change = parse_condition(condition)
        for clip in tqdm(self.clips, desc=name if condition == CLEAN else f"{name}, {condition}", disable=None):
            truth = predictors.recorded(self.corpus, clip)
            waveform = load_audio(self.corpus.audio_path(clip))
            heard = change(waveform, clip, self.corpus)
            for style, style_name in self._styles(clip, name):
                samples = []
                for seed, repeat in zip(seeds, repeats, strict=True):
                    take, target = aligned(predict(clip, heard, style, seed), truth)
                    numbers = measure(take, target, truth, waveform, self.corpus, clip)
                    _count(repeat, numbers, take, target, truth)
                    self._note(name, condition, clip, style, style_name, seed, len(take.vertices), numbers)
                    samples.append(region_vertices(take, truth) if len(seeds) > 1 else {})
                if len(seeds) > 1:
                    together.add(measure_samples(samples, region_vertices(target, truth)))
            if name == MODEL and condition == CLEAN:
                alone = measure(target, target, truth, waveform, self.corpus, clip)
                self.recorded.add(
                    {key: value for key, value in alone.items() if key in ALONE}
                    | measure_spread(region_vertices(target, truth))
                )
        return repeats, together

    def _styles(self, clip: ClipRecord, name: str) -> list[tuple[Style, str]]:
        """Styles to predict a clip in, with their names: more than one only for models and speakers they have not seen."""
        names = self.corpus.styles
        if isinstance(clip.style, int):
            return [(clip.style, names[clip.style])]
        if name in self.styled and self.corpus.motion == "vertices" and self.options.styles == "all":
            return list(enumerate(names))
        return [(clip.style, "own")]

    def _note(
        self,
        name: str,
        condition: str,
        clip: ClipRecord,
        style: Style,
        style_name: str,
        seed: int,
        count: int,
        numbers: Numbers,
    ) -> None:
        """Hand on a row; for the model also gather it by group and style, and remember the worst clips."""
        self.on_row(
            {
                "model": name,
                "condition": condition,
                "clip": clip.id,
                "subject": clip.subject,
                "style": style_name,
                "seed": seed,
                "num_frames": count,
            }
            | {k: v.value for k, v in numbers.items()}
        )
        if name != MODEL or condition != CLEAN:
            return
        self.groups[_group(clip, self.corpus)].add(numbers)
        self.styles[style_name].add(numbers)
        error = numbers["lve" if "lve" in numbers else "mve"].value
        known = {worst.clip: worst for worst in self.worst}
        if clip.id not in known or known[clip.id].error < error:  # every clip once, at its worst
            known[clip.id] = WorstClip(error, clip.id, style, style_name, seed)
            self.worst = heapq.nlargest(self.options.worst, known.values())


def evaluate(
    animator: Animator,
    corpus: Corpus,
    options: EvaluationOptions | None = None,
    on_row: Callable[[Row], None] = lambda row: None,
    against: Mapping[str, Animator] | None = None,
) -> Evaluation:
    """Score a model, other models and baselines on one split, streaming: memory does not grow with the number of clips.

    Args:
        animator: the model, a `SpeechAnimator`.
        corpus: prepared corpus; its topology must be the model's.
        options: what to do.
        on_row: is given the numbers of every prediction of every clip, e.g. to write clips.csv.
        against: column name -> another model, scored on the same clips, seeds, styles and sounds.

    Returns:
        Evaluation: `numbers` has `models` (name -> metric -> mean over seeds), `intervals` (the same, half width of the
        95 % interval), `recorded` (the recording's own value), `groups` (voices or subjects) and `styles` -> metric ->
        number, `conditions` -> metric -> number, `controls` (control -> correlation), `regions` (name, count, hash), and
        `against` (name -> its own `conditions` and `controls`).
        Lengths in the topology's unit, LVE and FDD in squared units.

    Raises:
        InputError: another topology, an empty split.
    """
    options, models = options or EvaluationOptions(), {MODEL: animator, **(against or {})}
    for name, one in models.items():
        if corpus.motion == "vertices" and corpus.topology_hash != one.topology.hash:
            which = "the checkpoint's" if name == MODEL else f"that of {name}:"
            raise InputError(f"{corpus.root}: topology {corpus.topology_name} is not {which} {one.topology.name}")
    evaluator = Evaluator(corpus, options, on_row, tuple(models))
    scores = {name: _scores(evaluator, name, predictors.model(one, options.steps)) for name, one in models.items()}
    numbers = _about(corpus, evaluator.clips, options)
    numbers |= {
        "models": {name: found.means for name, found in scores.items()},
        "intervals": {name: found.widths for name, found in scores.items()},
    }
    ours = scores.pop(MODEL)
    numbers |= {"recorded": evaluator.recorded.summary(), "controls": ours.controls, "conditions": ours.conditions}
    numbers["against"] = {
        name: {"controls": found.controls, "conditions": found.conditions} for name, found in scores.items()
    }
    for kind, parts in (("groups", evaluator.groups), ("styles", evaluator.styles)):
        numbers[kind] = {key: part.summary() for key, part in sorted(parts.items())} if len(parts) > 1 else {}
    for name in options.baselines:
        repeats, _ = evaluator.score(name, predictors.baseline(name, corpus), (0,))
        numbers["models"][name] = repeats[0].summary()
    return Evaluation(numbers, evaluator.worst)


@dataclass(frozen=True)
class Scores:
    """What an evaluation says of one model: means and interval widths over seeds, by control, and by changed sound."""

    means: dict[str, float]
    widths: dict[str, float]
    controls: dict[str, float]
    conditions: dict[str, dict[str, float]]


def _scores(evaluator: Evaluator, name: str, predict: Predict) -> Scores:
    """A model under all seeds, first clean, then in every changed sound."""
    options = evaluator.options
    repeats, together = evaluator.score(name, predict, options.seeds)
    clean = [repeat.summary() for repeat in repeats]
    means, widths = over_repeats(clean)
    sampled = together.summary()
    controls = over_repeats([repeat.correlations.by_control() for repeat in repeats])[0]
    conditions = {}
    for condition in options.changed:
        changed, _ = evaluator.score(name, predict, options.seeds, condition)
        conditions[condition] = _compared([repeat.summary() for repeat in changed], clean)
    return Scores(means | sampled | seed_shares(sampled, evaluator.recorded.summary()), widths, controls, conditions)


def _compared(changed: Sequence[dict[str, float]], clean: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means under a changed sound, and the relative change of the error, seed by seed, with its interval."""
    means, _ = over_repeats(changed)
    error = "lve" if "lve" in means else "mve"
    ratios = [
        {f"{error}_change": after[error] / before[error] - 1}
        for after, before in zip(changed, clean, strict=True)
        if before[error] > 0
    ]
    change, widths = over_repeats(ratios)
    return means | change | {f"{name}_interval": width for name, width in widths.items()}


def _about(corpus: Corpus, clips: Sequence[ClipRecord], options: EvaluationOptions) -> dict[str, Any]:
    """What was evaluated on what."""
    regions = corpus.topology.regions
    return {
        "corpus": corpus.name, "split": options.split, "clips": len(clips), "frames": sum(clip.num_frames for clip in clips), "fps": corpus.fps,
        "topology": corpus.topology.name, "topology_hash": corpus.topology_hash, "unit": corpus.topology.unit,
        "seeds": list(options.seeds), "style_choice": options.styles, "steps": options.steps,
        "regions": {name: describe_region(name, regions[name]) for name in REGIONS if name in regions},
    }  # fmt: skip


def _choose(corpus: Corpus, options: EvaluationOptions) -> list[ClipRecord]:
    clips = corpus.split(options.split)
    if not clips:
        raise InputError(
            f"{corpus.root}: no clips in split {options.split}; known: {', '.join(sorted({c.split for c in corpus.clips}))}"
        )
    if options.limit and options.limit < len(clips):
        clips = [clips[i] for i in np.linspace(0, len(clips) - 1, options.limit).round().astype(int)]
    return clips


def _count(repeat: Repeat, numbers: Numbers, take: Take, target: Take, truth: Animation) -> None:
    repeat.means.add(numbers)
    repeat.correlations.add(take, target)
    if (
        truth.weights is None or take.weights is not None
    ):  # a model of vertices beside recorded weights has no common motion
        repeat.crowd.add(_crowd_motion(take, truth), _crowd_motion(target, truth))


def _features(corpus: Corpus, clips: Sequence[ClipRecord]) -> MotionFeatures | None:
    """Features of the Fréchet distance, fitted on some of the recordings; None if they are too few."""
    chosen = [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, CROWD_CLIPS).round().astype(int))]
    if sum(min(clip.num_frames, CLIP_FRAMES) for clip in chosen) <= 4 * COMPONENTS:
        return None
    truths = (predictors.recorded(corpus, clip) for clip in chosen)
    return MotionFeatures.fit(
        (_crowd_motion(aligned(truth, truth)[1], truth)[:CLIP_FRAMES] for truth in truths), COMPONENTS
    )


def _crowd_motion(take: Take, truth: Animation) -> np.ndarray:
    """Motion (T, D) that the crowd is described by: weights where the recording has them, else displacements of the face."""
    if take.weights is not None and truth.weights is not None:
        return take.weights
    regions = truth.topology.regions
    face = np.unique(
        np.concatenate([regions[name] for name in REGIONS if name in regions] or [np.arange(len(truth.template))])
    )
    face = face[:: -(-len(face) // CROWD_VERTICES)]
    return (take.vertices[:, face] - truth.template[face]).reshape(len(take.vertices), -1)


def _group(clip: ClipRecord, corpus: Corpus) -> str:
    """Subjects where motion was recorded; kinds of voice (the id up to the first "-") where speech is synthetic."""
    return clip.subject if corpus.motion == "vertices" else clip.id.split("-")[0]
