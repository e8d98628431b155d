"""What happens to sampled motion on its way to an animation: a list of stages, built from the checkpoint's configuration.

motion (T, D) -> FollowHeard -> Procedural -> FollowTranscript -> Strength -> Retime -> CloseLips -> motion (T', D)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from diffspeaker3d.controls.arkit import CONTROL_NAMES, close_lips
from diffspeaker3d.controls.expression import expressions
from diffspeaker3d.controls.groups import CONTROLS_OF
from diffspeaker3d.controls.lipsync import LipRule, follow_heard, guide_controls
from diffspeaker3d.controls.style import Manner
from diffspeaker3d.phone import Phone
from diffspeaker3d.speech.phones import VISEMES, VOWELS

NEVER_SCALED = ("mouthClose", *CONTROLS_OF["lids"])  # closure is a fraction of the opening, and blinks are whole


@dataclass(frozen=True)
class Performance:
    """What the stages may know beside the motion.

    Attributes:
        fps: of the sampled motion.
        output_fps: of the animation.
        names: of the controls; () for vertices.
        style: vector (S,).
        visemes (array (T, 24)): probabilities by the model's viseme head, or None.
        phones: of a transcript, or None.
        strength: how far the face moves from rest.
        seed: of what the sound does not determine, of this line.
    """

    fps: float
    output_fps: float
    names: tuple[str, ...]
    style: Sequence[float]
    visemes: np.ndarray | None
    phones: Sequence[Phone] | None
    strength: float
    seed: int


class Stage(Protocol):
    """Motion (T, D) to motion (T, D); the argument may be written to."""

    def __call__(self, motion: np.ndarray, performance: Performance) -> np.ndarray: ...


@dataclass(frozen=True)
class FollowHeard:
    """Closes the lips where p, b, m is heard."""

    rule: LipRule

    def __call__(self, motion: np.ndarray, performance: Performance) -> np.ndarray:
        if performance.visemes is None:
            return motion
        return follow_heard(motion, performance.visemes, performance.fps, self.rule, performance.names)


@dataclass(frozen=True)
class Procedural:
    """Gives motion groups to the process that made them in the training corpus.

    Blinks are drawn to the pauses that are heard, raised brows to the long vowels.
    """

    groups: tuple[str, ...]

    def __call__(self, motion: np.ndarray, performance: Performance) -> np.ndarray:
        if performance.visemes is None:
            return motion
        heard = viseme_runs(performance.visemes.argmax(-1), performance.fps)
        manner = Manner.from_style(list(performance.style))
        process = expressions(heard, len(motion) / performance.fps, performance.fps, manner, performance.seed)
        columns = [CONTROL_NAMES.index(name) for group in self.groups for name in CONTROLS_OF[group]]
        motion[:, columns] = process[:, columns]
        return motion


class FollowTranscript:
    """Lips do what the phones of a transcript demand."""

    def __call__(self, motion: np.ndarray, performance: Performance) -> np.ndarray:
        if performance.phones is None:
            return motion
        return guide_controls(motion, performance.phones, performance.fps, performance.names)


class Strength:
    """Motion further from rest or nearer to it."""

    def __call__(self, motion: np.ndarray, performance: Performance) -> np.ndarray:
        if performance.strength == 1.0:
            return motion
        factors = np.full(motion.shape[1], performance.strength, np.float32)
        factors[[k for k, name in enumerate(performance.names) if name in NEVER_SCALED]] = 1.0
        return motion * factors


class Retime:
    """Motion at the output's frame rate, by monotone cubic interpolation, which adds no overshoot."""

    def __call__(self, motion: np.ndarray, performance: Performance) -> np.ndarray:
        if performance.output_fps == performance.fps:
            return motion
        return at_rate(motion, performance.fps, performance.output_fps)


class CloseLips:
    """Controls to weights in [0, 1]: lips that aim past contact are stopped by it."""

    def __call__(self, motion: np.ndarray, performance: Performance) -> np.ndarray:
        return close_lips(motion, performance.names)


def build_stages(config: Mapping[str, Any], of_controls: bool) -> tuple[Stage, ...]:
    """The stages of a checkpoint.

    Args:
        config: the checkpoint's; `lips` (of `LipRule`) and `procedural` (names of groups) are read.
        of_controls: the model moves blendshape controls rather than bare vertices.
    """
    if not of_controls:
        return (Strength(), Retime())
    stages: list[Stage] = []
    if "lips" in config:
        stages.append(FollowHeard(LipRule(**config["lips"])))
    if groups := config.get("procedural"):
        stages.append(Procedural(tuple(groups)))
    return (*stages, FollowTranscript(), Strength(), Retime(), CloseLips())


def viseme_runs(labels: np.ndarray, fps: float) -> list[Phone]:
    """Runs of equal viseme labels (T,) as phones; a vowel longer than half of the clip's counts as stressed."""
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1), len(labels)]
    runs = [(VISEMES[labels[a]], int(a), int(b)) for a, b in pairwise(edges)]
    usual = float(np.median([b - a for name, a, b in runs if name in VOWELS] or [0]))
    return [Phone(name + "1" if name in VOWELS and b - a > usual else name, a / fps, b / fps) for name, a, b in runs]


def at_rate(motion: np.ndarray, source_fps: float, target_fps: float) -> np.ndarray:
    """Motion (T, D) at other instants: monotone cubic (no overshoot, so closed lips stay closed), the last pose is held."""
    from scipy.interpolate import PchipInterpolator

    times = np.arange(max(int(len(motion) * target_fps / source_fps + 1e-6), 1)) / target_fps
    if len(motion) == 1:
        return np.repeat(motion, len(times), 0)
    own = np.arange(len(motion)) / source_fps
    return PchipInterpolator(own, motion, axis=0)(np.minimum(times, own[-1])).astype(np.float32)
