"""What a metric of an evaluation is, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from diffspeaker3d.metrics.mouth import Rate, Share, closure_threshold, mouth_opening
from diffspeaker3d.phone import Phone
from diffspeaker3d.speech.phones import viseme_frames
from diffspeaker3d.topology import Topology

POOLINGS = ("frames", "clips", "median", "whole")


class Measured(NamedTuple):
    """A number and its weight: frames, or how many things it counts."""

    value: float
    weight: float


@dataclass(frozen=True, eq=False)
class ClipPair:
    """A predicted and a recorded motion of one clip, frame by frame, and what is known about the clip.

    Attributes:
        predicted, recorded (array (T, V, 3)): vertices on the recording's template, in the topology's unit.
        predicted_weights, recorded_weights (array (T, K)): blendshape weights, or None.
        template (array (V, 3)): the recorded speaker's neutral face.
        topology: of both.
        fps: frames per second of both.
        waveform (array (N,)): the sound, as recorded.
        sample_rate: its rate, Hz.
        phones: with their times, or None where they are not known.
    """

    predicted: np.ndarray
    recorded: np.ndarray
    predicted_weights: np.ndarray | None
    recorded_weights: np.ndarray | None
    template: np.ndarray
    topology: Topology
    fps: float
    waveform: np.ndarray
    sample_rate: int
    phones: Sequence[Phone] | None = None

    def __len__(self) -> int:
        return len(self.predicted)

    @property
    def has_mouth(self) -> bool:
        """Whether the topology says where the middles of the lips are."""
        return {"lip_upper_mid", "lip_lower_mid"} <= set(self.topology.regions)

    @cached_property
    def opening(self) -> np.ndarray:
        """Distance (T,) of the predicted lips, metres."""
        return mouth_opening(self.predicted, self.topology)

    @cached_property
    def recorded_opening(self) -> np.ndarray:
        """Distance (T,) of the recorded lips, metres."""
        return mouth_opening(self.recorded, self.topology)

    @cached_property
    def closure_threshold(self) -> float:
        """Opening below which lips count as closed, metres."""
        return closure_threshold(self.template, self.topology)

    @cached_property
    def visemes(self) -> np.ndarray | None:
        """Viseme class (T,) of each frame; None where the phones are not known."""
        if self.phones is None:
            return None
        return viseme_frames(self.phones, len(self), self.fps)


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Attributes:
        name: in metrics.json and clips.csv.
        title: for people.
        unit: "u" stands for the topology's unit.
        goal: `low`, `high`, `zero`, `recorded`: as close as possible to the recording's own value, or "" where a
            number is neither good nor bad by itself.
        meaning: one or two plain sentences.
        region: the vertices it looks at, if not all.
        pooling: `frames` weighs a clip by its length (or by what it counts), `clips` not at all, `median` over clips;
            `whole` numbers exist only for all clips together.
        compute: its value for one clip, with a weight of its own where that is not the number of frames; None where
            the clip cannot tell. Metrics without it are computed over seeds or over the whole corpus (`evaluation`).
        needs_recording: False for what can be said of a single motion, and so of the recording itself.
    """

    name: str
    title: str
    unit: str
    goal: str
    meaning: str
    region: str = ""
    pooling: str = "frames"
    compute: Callable[[ClipPair], float | Share | Rate | None] | None = None
    needs_recording: bool = True

    def measure(self, pair: ClipPair) -> Measured | None:
        """The clip's number and its weight, or None."""
        value = None if self.compute is None else self.compute(pair)
        if value is None:
            return None
        if isinstance(value, Share):
            return Measured(value.value, value.total) if value.total else None
        if isinstance(value, Rate):
            return Measured(value.value, value.seconds) if value.seconds else None
        return Measured(value, len(pair))

    def unit_in(self, length_unit: str) -> str:
        """The metric's unit where lengths of the topology are in `length_unit`."""
        if self.unit == "m":  # openings are metres wherever the unit is known
            return "m" if length_unit in ("m", "cm", "mm") else length_unit
        return self.unit.replace("u", length_unit, 1) if self.unit[:1] == "u" else self.unit
