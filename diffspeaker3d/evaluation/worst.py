"""The worst clips to look at: recording, prediction, and the distance between them as colours; moving, with sound, and still."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.audio import SAMPLE_RATE, load_audio
from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.evaluation import predictors
from diffspeaker3d.evaluation.clip import pair_clips
from diffspeaker3d.evaluation.predictors import Animator
from diffspeaker3d.evaluation.run import WorstClip
from diffspeaker3d.metrics.metric import ClipPair
from diffspeaker3d.rendering import RenderOptions, compare_frames, render_animation, write_png
from diffspeaker3d.topology import METRES_PER_UNIT, Topology

MOMENTS = 3  # stills of a clip: the worst frame of each of MOMENTS equal parts
SIZE = 320  # pixels, of one panel
SECONDS = 8.0  # the longest video: those around the worst moment of a long clip
STEPS = (1, 1.5, 2, 3, 5, 7, 10)  # ends of a scale: close enough to use most of its colours
LABELS = ("recording", "prediction")


@dataclass(frozen=True)
class Picture:
    """Pictures of one of the worst clips.

    Attributes:
        worst: whose they are.
        still: the PNG, one row per moment.
        seconds: when each row is.
        video: the mp4.
        start: when the video begins, seconds.
        scale: distance that gets the last colour, in millimetres where the unit is known.
        sentence: what is said.
    """

    worst: WorstClip
    still: Path
    seconds: tuple[float, ...]
    video: Path
    start: float
    scale: float
    sentence: str


def try_drawing(renderer: str = "auto") -> None:
    """Draw and encode a triangle: so that what does not work here is found before the evaluation, not after it.

    Raises:
        InputError: the renderer or the video encoder does not work here.
    """
    corners = np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]], np.float32)
    triangle = Animation(corners[None], 25.0, Topology("triangle", np.array([[0, 1, 2]], np.int32), 3), corners)
    with tempfile.TemporaryDirectory() as folder:
        render_animation(triangle, Path(folder) / "try.mp4", RenderOptions(size=(16, 16), renderer=renderer))


def draw_worst(
    animator: Animator,
    corpus: Corpus,
    worst: Sequence[WorstClip],
    folder: Path,
    steps: int | None,
    renderer: str = "auto",
) -> list[Picture]:
    """Predict the worst clips once more and write `worst-1.mp4`, `worst-1.png`, ... into a folder.

    Raises:
        InputError: the renderer or the video encoder does not work here.
    """
    predict = predictors.model(animator, steps)
    clips = {clip.id: clip for clip in corpus.clips}
    pictures = []
    for number, case in enumerate(worst, 1):
        clip = clips[case.clip]
        waveform, truth = load_audio(corpus.audio_path(clip)), predictors.recorded(corpus, clip)
        pair = pair_clips(predict(clip, waveform, case.style, case.seed), truth, waveform, corpus, clip)
        region = truth.topology.regions.get("lips", np.arange(truth.topology.num_vertices))
        distance = np.linalg.norm(pair.predicted[:, region] - pair.recorded[:, region], axis=-1).max(1)
        moments, part = (
            worst_moments(distance),
            around(int(np.argmax(distance)), len(distance), round(SECONDS * truth.fps)),
        )
        scale = round_up(float(distance.max()) * METRES_PER_UNIT.get(truth.topology.unit, 0.001) * 1000)
        options = RenderOptions(size=(SIZE, SIZE), renderer=renderer, error_scale=scale)
        still, video = folder / f"worst-{number}.png", folder / f"worst-{number}.mp4"
        recording, prediction = _animations(pair, moments)
        write_png(still, np.concatenate(list(compare_frames(recording, prediction, options, LABELS)), 0))
        recording, prediction = _animations(pair, part, waveform)
        render_animation(recording, video, options, prediction, LABELS)
        times = tuple((moments / truth.fps).tolist())
        pictures.append(Picture(case, still, times, video, float(part[0] / truth.fps), scale, clip.sentence))
    return pictures


def worst_moments(distance: np.ndarray) -> np.ndarray:
    """Frames: the largest distance (T,) in each of MOMENTS equal parts of the clip."""
    parts = np.array_split(np.arange(len(distance)), min(MOMENTS, len(distance)))
    return np.array([part[np.argmax(distance[part])] for part in parts])


def around(frame: int, count: int, most: int) -> np.ndarray:
    """At most `most` neighbouring frames of `count`, as nearly as possible with `frame` in the middle."""
    first = min(max(frame - most // 2, 0), max(count - most, 0))
    return np.arange(first, min(first + most, count))


def round_up(value: float) -> float:
    """The next of STEPS times a power of ten: an end of a scale that reads well. 1 for nothing."""
    if not value > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in STEPS if step * power >= value * (1 - 1e-9)))


def _animations(pair: ClipPair, frames: np.ndarray, waveform: np.ndarray | None = None) -> tuple[Animation, Animation]:
    """Some frames of recording and prediction, as animations; with the sound of the first to the last of them."""
    sound: dict[str, Any] = {}
    if waveform is not None:
        start, stop = (round(frame / pair.fps * SAMPLE_RATE) for frame in (frames[0], frames[-1] + 1))
        sound = {"waveform": waveform[start:stop], "sample_rate": SAMPLE_RATE}
    recording, prediction = (
        Animation(vertices[frames], pair.fps, pair.topology, pair.template, **sound)
        for vertices in (pair.recorded, pair.predicted)
    )
    return recording, prediction
