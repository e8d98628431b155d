"""The loop: every predictor, every seed, every style, clip by clip."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from diffspeaker3d.audio import load_audio
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.errors import InputError
from diffspeaker3d.evaluation import predictors
from diffspeaker3d.evaluation.accumulators import (
    CorrelationAccumulator,
    FrechetAccumulator,
    MeanAccumulator,
    across_seeds,
    seed_shares,
)
from diffspeaker3d.evaluation.clip import REGIONS, Numbers, measure_samples, measure_spread, pair_clips, region_vertices
from diffspeaker3d.evaluation.degradations import CLEAN, parse_degradation
from diffspeaker3d.evaluation.options import MODEL, EvaluationOptions
from diffspeaker3d.evaluation.predictors import Animator, Predict, Style
from diffspeaker3d.evaluation.result import About, EvaluationResult, ModelScores, Scores
from diffspeaker3d.metrics import MotionFeatures, describe_region
from diffspeaker3d.metrics.metric import ClipPair
from diffspeaker3d.metrics.registry import BY_NAME, measure

FRECHET_CLIPS, CLIP_FRAMES = 60, 300  # recordings that the features are fitted on, first frames of each
FRECHET_FRAMES = 10_000  # frames whose features are kept
FRECHET_VERTICES = 100  # of lips and upper face, where motion is vertices
COMPONENTS = 16
Row = dict[str, Any]


@dataclass(frozen=True, order=True)
class WorstClip:
    """A prediction worth looking at: its error (LVE, or MVE without lips), and how to make it again."""

    error: float
    clip: str
    style: Style = field(compare=False)
    style_name: str = ""
    seed: int = 0


class SeedRun:
    """One whole evaluation under one seed."""

    def __init__(self, frechet: FrechetAccumulator) -> None:
        self.means, self.correlations, self.frechet = MeanAccumulator(), CorrelationAccumulator(), frechet

    def add(self, pair: ClipPair, numbers: Numbers) -> None:
        """One prediction."""
        self.means.add(numbers)
        self.correlations.add(pair)
        if pair.recorded_weights is None or pair.predicted_weights is not None:  # else they have no common motion
            self.frechet.add(_frechet_motion(pair, pair.predicted), _frechet_motion(pair, pair.recorded))

    def summary(self) -> Scores:
        return self.means.summary() | self.correlations.summary() | self.frechet.summary()


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
        self.recorded = MeanAccumulator()
        self.groups = defaultdict[str, MeanAccumulator](MeanAccumulator)
        self.styles = defaultdict[str, MeanAccumulator](MeanAccumulator)
        self.worst: list[WorstClip] = []

    def score(
        self, name: str, predict: Predict, seeds: Sequence[int], degradation: str = CLEAN
    ) -> tuple[list[SeedRun], MeanAccumulator]:
        """One SeedRun per seed, and what all seeds say together."""
        stride = -(-sum(clip.num_frames * len(self._styles(clip, name)) for clip in self.clips) // FRECHET_FRAMES)
        runs = [SeedRun(FrechetAccumulator(self.features, stride)) for _ in seeds]
        over_seeds, degrade = MeanAccumulator(), parse_degradation(degradation)
        label = name if degradation == CLEAN else f"{name}, {degradation}"
        for clip in tqdm(self.clips, desc=label, disable=None):
            truth = predictors.recorded(self.corpus, clip)
            waveform = load_audio(self.corpus.audio_path(clip))
            degraded = degrade(waveform, clip, self.corpus)
            recorded = region_vertices(np.asarray(truth.vertices), truth)
            for style, style_name in self._styles(clip, name):
                samples = []
                for seed, run in zip(seeds, runs, strict=True):
                    prediction = predict(clip, degraded, style, seed)
                    pair = pair_clips(prediction, truth, waveform, self.corpus, clip)
                    numbers = measure(pair)
                    run.add(pair, numbers)
                    self._note(name, degradation, clip, style, style_name, seed, len(pair), numbers)
                    samples.append(region_vertices(pair.predicted, truth) if len(seeds) > 1 else {})
                if len(seeds) > 1:
                    over_seeds.add(measure_samples(samples, {k: v[: len(pair)] for k, v in recorded.items()}))
            if name == MODEL and degradation == CLEAN:
                self._note_recording(pair_clips(truth, truth, waveform, self.corpus, clip), recorded)
        return runs, over_seeds

    def _note_recording(self, pair: ClipPair, regions: dict[str, np.ndarray]) -> None:
        """The recording's own numbers, where no second motion is needed."""
        alone = {name: number for name, number in measure(pair).items() if not BY_NAME[name].needs_recording}
        self.recorded.add(alone | measure_spread(regions))

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
        degradation: str,
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
                "degradation": degradation,
                "clip": clip.id,
                "subject": clip.subject,
                "style": style_name,
                "seed": seed,
                "num_frames": count,
            }
            | {k: v.value for k, v in numbers.items()}
        )
        if name != MODEL or degradation != CLEAN:
            return
        self.groups[_group(clip, self.corpus)].add(numbers)
        self.styles[style_name].add(numbers)
        error = numbers["lve" if "lve" in numbers else "mve"].value
        known = {worst.clip: worst for worst in self.worst}
        if clip.id not in known or known[clip.id].error < error:  # every clip once, at its worst
            known[clip.id] = WorstClip(error, clip.id, style, style_name, seed)
            self.worst = heapq.nlargest(self.options.worst, known.values())


@dataclass(frozen=True)
class Evaluation:
    """An evaluation and the clips worth looking at, worst first."""

    result: EvaluationResult
    worst: list[WorstClip]


def evaluate(
    animator: Animator,
    corpus: Corpus,
    options: EvaluationOptions | None = None,
    on_row: Callable[[Row], None] = lambda row: None,
    compare: Mapping[str, Animator] | None = None,
) -> Evaluation:
    """Score a model, other models and baselines on one split, streaming: memory does not grow with the number of clips.

    Args:
        animator: the model, a `SpeechAnimator`.
        corpus: prepared corpus; its topology must be the model's.
        options: what to do.
        on_row: is given the numbers of every prediction of every clip, e.g. to write clips.csv.
        compare: column name -> another model, scored on the same clips, seeds, styles and sounds.

    Raises:
        InputError: another topology, an empty split.
    """
    options, animators = options or EvaluationOptions(), {MODEL: animator, **(compare or {})}
    for name, one in animators.items():
        if corpus.motion == "vertices" and corpus.topology_hash != one.topology.hash:
            which = "the checkpoint's" if name == MODEL else f"that of {name}:"
            raise InputError(f"{corpus.root}: topology {corpus.topology_name} is not {which} {one.topology.name}")
    evaluator = Evaluator(corpus, options, on_row, tuple(animators))
    models = {name: _score_model(evaluator, name, one) for name, one in animators.items()}
    for name in options.baselines:
        runs, _ = evaluator.score(name, predictors.baseline(name, corpus), (0,))
        models[name] = ModelScores(runs[0].summary())
    result = EvaluationResult(
        about=_about(corpus, evaluator.clips, options),
        models=models,
        recorded=evaluator.recorded.summary(),
        groups=_summaries(evaluator.groups),
        styles=_summaries(evaluator.styles),
    )
    return Evaluation(result, evaluator.worst)


def _score_model(evaluator: Evaluator, name: str, animator: Animator) -> ModelScores:
    """A model under all seeds, first clean, then in every changed sound."""
    options, predict = evaluator.options, predictors.model(animator, evaluator.options.steps)
    runs, over_seeds = evaluator.score(name, predict, options.seeds)
    clean = [run.summary() for run in runs]
    means, intervals = across_seeds(clean)
    sampled = over_seeds.summary()
    controls, _ = across_seeds([run.correlations.by_control() for run in runs])
    degradations = {}
    for degradation in options.degraded:
        changed, _ = evaluator.score(name, predict, options.seeds, degradation)
        degradations[degradation] = _compared([run.summary() for run in changed], clean)
    shares = seed_shares(sampled, evaluator.recorded.summary())
    provenance = dict(animator.config["provenance"])
    return ModelScores(means | sampled | shares, intervals, controls, degradations, provenance)


def _compared(changed: Sequence[Scores], clean: Sequence[Scores]) -> Scores:
    """Means under a changed sound, and the relative change of the error, seed by seed, with its interval."""
    means, _ = across_seeds(changed)
    error = "lve" if "lve" in means else "mve"
    ratios = [
        {f"{error}_change": after[error] / before[error] - 1}
        for after, before in zip(changed, clean, strict=True)
        if before[error] > 0
    ]
    change, widths = across_seeds(ratios)
    return means | change | {f"{name}_interval": width for name, width in widths.items()}


def _summaries(parts: Mapping[str, MeanAccumulator]) -> dict[str, Scores]:
    """Their numbers by name; nothing where there is only one part."""
    return {key: part.summary() for key, part in sorted(parts.items())} if len(parts) > 1 else {}


def _about(corpus: Corpus, clips: Sequence[ClipRecord], options: EvaluationOptions) -> About:
    """What was evaluated on what."""
    regions = corpus.topology.regions
    return About(
        corpus=corpus.name,
        split=options.split,
        clips=len(clips),
        frames=sum(clip.num_frames for clip in clips),
        fps=corpus.fps,
        topology=corpus.topology.name,
        topology_hash=corpus.topology_hash,
        unit=corpus.topology.unit,
        seeds=options.seeds,
        style_choice=options.styles,
        steps=options.steps,
        regions={name: describe_region(name, regions[name]) for name in REGIONS if name in regions},
    )


def _choose(corpus: Corpus, options: EvaluationOptions) -> list[ClipRecord]:
    clips = corpus.split(options.split)
    if not clips:
        raise InputError(
            f"{corpus.root}: no clips in split {options.split}; known: {', '.join(sorted({c.split for c in corpus.clips}))}"
        )
    if options.limit and options.limit < len(clips):
        clips = [clips[i] for i in np.linspace(0, len(clips) - 1, options.limit).round().astype(int)]
    return clips


def _features(corpus: Corpus, clips: Sequence[ClipRecord]) -> MotionFeatures | None:
    """Features of the Fréchet distance, fitted on some of the recordings; None if they are too few."""
    chosen = [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, FRECHET_CLIPS).round().astype(int))]
    if sum(min(clip.num_frames, CLIP_FRAMES) for clip in chosen) <= 4 * COMPONENTS:
        return None
    return MotionFeatures.fit((_recorded_motion(corpus, clip)[:CLIP_FRAMES] for clip in chosen), COMPONENTS)


def _recorded_motion(corpus: Corpus, clip: ClipRecord) -> np.ndarray:
    """Motion (T, D) of a recording, as the Fréchet distance describes it."""
    truth = predictors.recorded(corpus, clip)
    pair = pair_clips(truth, truth, np.zeros(0, np.float32), corpus, clip)
    return _frechet_motion(pair, pair.recorded)


def _frechet_motion(pair: ClipPair, vertices: np.ndarray) -> np.ndarray:
    """Motion (T, D) that frames are described by: weights where the recording has them, else displacements of the face."""
    if pair.predicted_weights is not None and pair.recorded_weights is not None:
        return pair.predicted_weights if vertices is pair.predicted else pair.recorded_weights
    regions = pair.topology.regions
    face = np.unique(
        np.concatenate([regions[name] for name in REGIONS if name in regions] or [np.arange(len(pair.template))])
    )
    face = face[:: -(-len(face) // FRECHET_VERTICES)]
    return (vertices[:, face] - pair.template[face]).reshape(len(vertices), -1)


def _group(clip: ClipRecord, corpus: Corpus) -> str:
    """Subjects where motion was recorded; kinds of voice (the id up to the first "-") where speech is synthetic."""
    return clip.subject if corpus.motion == "vertices" else clip.id.split("-")[0]
