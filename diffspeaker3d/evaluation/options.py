"""What is asked of an evaluation, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffspeaker3d.errors import InputError
from diffspeaker3d.evaluation.degradations import CLEAN, parse_degradation

STYLES = ("all", "own")
BASELINES = ("mean_face", "nearest_neighbour", "ridge")
MODEL, RECORDED = "model", "recorded"  # columns of every table: the checkpoint that is evaluated, and the recording


@dataclass(frozen=True)
class EvaluationOptions:
    """What to evaluate.

    Attributes:
        split: which clips.
        limit: at most `limit` clips, drawn evenly; None is all.
        seeds: one whole evaluation each; two or more give confidence intervals, diversity and coverage error.
        styles: for speakers that training has not seen: `all` tries every training style in turn, as the papers do,
            `own` takes the corpus' own style vector (the mean of all). Speakers with a style of their own keep it.
        steps: DDIM steps; None is the checkpoint's own.
        baselines: names of BASELINES to score beside the model.
        degradations: changes of the sound to try besides `clean`; see `degradations.py`.
        worst: how many of the worst clips to keep for pictures.
    """

    split: str = "test"
    limit: int | None = None
    seeds: tuple[int, ...] = (0,)
    styles: str = "all"
    steps: int | None = None
    baselines: tuple[str, ...] = ()
    degradations: tuple[str, ...] = (CLEAN,)
    worst: int = 3

    def __post_init__(self) -> None:
        if (
            not self.seeds
            or len(set(self.seeds)) < len(self.seeds)
            or not all(isinstance(seed, int) for seed in self.seeds)
        ):
            raise InputError(f"seeds={list(self.seeds)}: give one or more different whole numbers")
        if self.styles not in STYLES:
            raise InputError(f"styles={self.styles}: unknown; known: {', '.join(STYLES)}")
        if unknown := [name for name in self.baselines if name not in BASELINES]:
            raise InputError(f"baselines: unknown {', '.join(unknown)}; known: {', '.join(BASELINES)}")
        if self.limit is not None and not (isinstance(self.limit, int) and self.limit >= 1):
            raise InputError(f"limit={self.limit}: must be at least 1, or null for all clips")
        if not (isinstance(self.worst, int) and self.worst >= 0):
            raise InputError(f"worst={self.worst}: must be 0 or more")
        for name in self.degradations:
            parse_degradation(str(name))

    @property
    def degraded(self) -> tuple[str, ...]:
        """The degradations other than clean, each once."""
        return tuple(dict.fromkeys(name for name in self.degradations if name != CLEAN))


def named_checkpoints(value: Any) -> dict[str, str]:
    """`compare` of the command line: column name -> checkpoint.

    Raises:
        InputError: not names with checkpoints, or a name that another column has.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"compare={value}: give every checkpoint a name, as compare={{faceformer:DIR}}")
    taken = (MODEL, RECORDED, *BASELINES)
    if clashes := [str(name) for name in value if name in taken]:
        raise InputError(
            f"compare: the name {', '.join(clashes)} belongs to another column of the table; choose another"
        )
    if empty := [str(name) for name, checkpoint in value.items() if checkpoint is None]:
        raise InputError(f"compare: {', '.join(empty)} has no checkpoint; write compare={{{empty[0]}:DIR}}")
    return {str(name): str(checkpoint) for name, checkpoint in value.items()}
