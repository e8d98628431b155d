"""What an evaluation found: the contents of metrics.json, typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from diffspeaker3d.evaluation.options import MODEL

Scores = dict[str, float]
"""Metric name -> number; lengths in the topology's unit, LVE and FDD in squared units."""


@dataclass(frozen=True)
class ModelScores:
    """The numbers of one model, baseline or other checkpoint.

    Attributes:
        means: metric -> mean over seeds.
        intervals: metric -> half width of the 95 % interval over seeds; absent for one seed.
        controls: control -> correlation with the recording.
        degradations: changed sound -> metric -> number, with `lve_change` (relative) and its `_interval`.
        checkpoint: provenance of the weights.
    """

    means: Scores
    intervals: Scores = field(default_factory=dict)
    controls: Scores = field(default_factory=dict)
    degradations: dict[str, Scores] = field(default_factory=dict)
    checkpoint: dict[str, Any] = field(default_factory=dict)

    @property
    def error(self) -> str:
        """The metric that stands for the error: LVE, or MVE where the topology has no lips."""
        return "lve" if "lve" in self.means else "mve"


@dataclass(frozen=True)
class About:
    """What was evaluated on what.

    Attributes:
        regions: name -> description with vertex count and hash.
    """

    corpus: str
    split: str
    clips: int
    frames: int
    fps: float
    topology: str
    topology_hash: str
    unit: str
    seeds: tuple[int, ...]
    style_choice: str
    steps: int | None
    regions: dict[str, str]


@dataclass(frozen=True)
class EvaluationResult:
    """All numbers of an evaluation.

    Attributes:
        about: what was evaluated on what.
        models: column -> its numbers; `model` first, then other checkpoints, then baselines.
        recorded: metric -> the recording's own value.
        groups: voice or subject -> the model's numbers there; empty where there is only one.
        styles: style -> the model's numbers in it; empty where there is only one.
    """

    about: About
    models: dict[str, ModelScores]
    recorded: Scores
    groups: dict[str, Scores]
    styles: dict[str, Scores]

    @property
    def model(self) -> ModelScores:
        """The checkpoint that is evaluated."""
        return self.models[MODEL]

    def degraded(self) -> Iterator[tuple[str, str, Mapping[str, float]]]:
        """(model, degradation, its numbers): the model's, then those of every checkpoint beside it."""
        for name, scores in self.models.items():
            yield from ((name, degradation, found) for degradation, found in scores.degradations.items())

    def to_json(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self)
