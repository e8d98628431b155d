"""Door: `python -m diffspeaker3d.evaluate checkpoint=DIR dataset=vocaset`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffspeaker3d.config import door

if TYPE_CHECKING:
    from diffspeaker3d.config.schema import Evaluate

log = logging.getLogger(__name__)


@door("evaluate")
def main(cfg: Evaluate) -> None:
    from diffspeaker3d.config import as_config
    from diffspeaker3d.data.prepared import open_corpus
    from diffspeaker3d.evaluation import (
        EvaluationOptions,
        changes,
        clips_csv,
        draw_worst,
        evaluate,
        named_checkpoints,
        table,
        try_drawing,
        write_report,
    )
    from diffspeaker3d.generation.options import Options
    from diffspeaker3d.generation.pipeline import SpeechAnimator, set_threads
    from diffspeaker3d.rendering import RenderOptions

    options = EvaluationOptions(
        split=cfg.split,
        limit=cfg.limit,
        seeds=_items(cfg.seeds),
        styles=cfg.styles,
        steps=cfg.steps,
        baselines=_items(cfg.baselines),
        conditions=_items(cfg.conditions),
        worst=cfg.worst,
    )
    others = named_checkpoints(cfg.against)
    RenderOptions(renderer=cfg.renderer)  # a wrong name is to be heard before the work, not after
    set_threads(cfg.threads)
    animator = SpeechAnimator.from_pretrained(cfg.checkpoint, device=cfg.device)
    against = {name: SpeechAnimator.from_pretrained(folder, device=cfg.device) for name, folder in others.items()}
    corpus = open_corpus(as_config(cfg.dataset))
    for one in (animator, *against.values()):  # a style or a number of steps that one of them does not know
        one.check(Options(style=next((clip.style for clip in corpus.split(cfg.split)), None), steps=cfg.steps))
    if options.worst:
        try_drawing(cfg.renderer)
    folder = Path(cfg.out or f"outputs/evaluate/{corpus.name}-{cfg.split}")
    with clips_csv(folder / "clips.csv") as write_row:
        evaluation = evaluate(animator, corpus, options, write_row, against)
    numbers = evaluation.numbers | {"checkpoint": dict(animator.config["provenance"])}
    for name, other in against.items():
        numbers["against"][name]["checkpoint"] = dict(other.config["provenance"])
    write_report(folder, numbers, draw_worst(animator, corpus, evaluation.worst, folder, cfg.steps, cfg.renderer))
    log.info(
        "%s, split %s, %d clips; %s", corpus.name, cfg.split, numbers["clips"], "; ".join(numbers["regions"].values())
    )
    log.info("%s", table(numbers))
    for line in changes(numbers):
        log.info("%s", line)
    log.info(
        "%s: report.html, metrics.json, clips.csv%s", folder, ", worst-*.mp4, worst-*.png" * bool(evaluation.worst)
    )


def _items(value: Any) -> tuple[Any, ...]:
    """A list from the command line; one thing stands for a list of one, null for none."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (value,)


if __name__ == "__main__":
    sys.exit(main())
