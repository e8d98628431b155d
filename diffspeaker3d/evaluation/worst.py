"""Pictures of the worst clips: prediction, recording, and the distance between them as colours, at the worst moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.audio import load_audio
from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.evaluation import predictors
from diffspeaker3d.evaluation.clip import aligned
from diffspeaker3d.evaluation.predictors import Animator
from diffspeaker3d.evaluation.run import WorstClip
from diffspeaker3d.rendering import RenderOptions, compare_frames, write_png
from diffspeaker3d.topology import METRES_PER_UNIT

MOMENTS = 3  # pictures of a clip: the worst frame of each of so many equal parts
SIZE = 320  # pixels, of one panel


@dataclass(frozen=True)
class Picture:
    """Attributes:
        worst: whose it is.
        path: the PNG, one row per moment.
        seconds: when each row is.
        sentence: what is said.
    """

    worst: WorstClip
    path: Path
    seconds: tuple[float, ...]
    sentence: str


def draw_worst(animator: Animator, corpus: Corpus, worst: Sequence[WorstClip], folder: Path, steps: int | None, renderer: str = "auto") -> list[Picture]:
    """Predict the worst clips once more and write `worst-1.png`, ... into a folder."""
    predict = predictors.model(animator, steps)
    clips = {clip.id: clip for clip in corpus.clips}
    pictures = []
    for number, case in enumerate(worst, 1):
        clip = clips[case.clip]
        truth = predictors.recorded(corpus, clip)
        take, target = aligned(predict(clip, load_audio(corpus.audio_path(clip)), case.style, case.seed), truth)
        region = truth.topology.regions.get("lips", np.arange(truth.topology.num_vertices))
        distance = np.linalg.norm(take.vertices[:, region] - target.vertices[:, region], axis=-1).max(1)
        moments = worst_moments(distance)
        path = folder / f"worst-{number}.png"
        scale = round_up(float(distance[moments].max()) * METRES_PER_UNIT.get(truth.topology.unit, 0.001) * 1000)
        _draw(path, take.vertices[moments], target.vertices[moments], truth, RenderOptions(size=(SIZE, SIZE), renderer=renderer, error_scale=scale))
        pictures.append(Picture(case, path, tuple((moments / corpus.fps).tolist()), clip.sentence))
    return pictures


def worst_moments(distance: np.ndarray) -> np.ndarray:
    """Frames: the largest distance (T,) in each of MOMENTS equal parts of the clip."""
    parts = np.array_split(np.arange(len(distance)), min(MOMENTS, len(distance)))
    return np.array([part[np.argmax(distance[part])] for part in parts])


def round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten: an end of a scale that reads well. 1 for nothing."""
    if not value > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9)))


def _draw(path: Path, predicted: np.ndarray, recorded: np.ndarray, truth: Animation, options: RenderOptions) -> None:
    left, right = (Animation(vertices, truth.fps, truth.topology, truth.template) for vertices in (predicted, recorded))
    write_png(path, np.concatenate(list(compare_frames(left, right, options, ("prediction", "recording"))), 0))
