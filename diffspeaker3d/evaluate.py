"""Command: `python -m diffspeaker3d.evaluate checkpoint=DIR dataset=vocaset`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import ListConfig

from diffspeaker3d.config import door

if TYPE_CHECKING:
    from diffspeaker3d.config.schema import Evaluate

log = logging.getLogger(__name__)


@door("evaluate")
def main(typed: Evaluate) -> None:
    from diffspeaker3d.config import as_config

    cfg = as_config(typed)
    from diffspeaker3d.data.prepared import open_corpus
    from diffspeaker3d.evaluation import (
        EvaluationOptions,
        draw_worst,
        evaluate,
        named_checkpoints,
        try_drawing,
    )
    from diffspeaker3d.generation.options import Options
    from diffspeaker3d.generation.pipeline import SpeechAnimator, set_threads
    from diffspeaker3d.rendering import RenderOptions
    from diffspeaker3d.reports.evaluation import clips_csv, degradation_lines, screen_table, write_report

    options = EvaluationOptions(
        split=cfg.split,
        limit=cfg.limit,
        seeds=_items(cfg.seeds),
        styles=cfg.styles,
        steps=cfg.steps,
        baselines=_items(cfg.baselines),
        degradations=_items(cfg.degradations),
        worst=cfg.worst,
    )
    others = named_checkpoints(cfg.compare)
    RenderOptions(renderer=cfg.renderer)  # a wrong name is refused before the work, not after
    set_threads(cfg.threads)
    animator = SpeechAnimator.from_pretrained(cfg.checkpoint, device=cfg.device)
    compare = {name: SpeechAnimator.from_pretrained(folder, device=cfg.device) for name, folder in others.items()}
    corpus = open_corpus(cfg.dataset)
    for one in (animator, *compare.values()):  # a style or a number of steps that one of them does not know
        one.check(Options(style=next((clip.style for clip in corpus.split(cfg.split)), None), steps=cfg.steps))
    if options.worst:
        try_drawing(cfg.renderer)
    folder = Path(cfg.out or f"outputs/evaluate/{corpus.name}-{cfg.split}")
    with clips_csv(folder / "clips.csv") as write_row:
        evaluation = evaluate(animator, corpus, options, write_row, compare)
    result = evaluation.result
    write_report(folder, result, draw_worst(animator, corpus, evaluation.worst, folder, cfg.steps, cfg.renderer))
    regions = "; ".join(result.about.regions.values())
    log.info("%s, split %s, %d clips; %s", corpus.name, cfg.split, result.about.clips, regions)
    log.info("%s", screen_table(result))
    for line in degradation_lines(result):
        log.info("%s", line)
    pictures = ", worst-*.mp4, worst-*.png" if evaluation.worst else ""
    log.info("%s: report.html, metrics.json, clips.csv%s", folder, pictures)


def _items(value: Any) -> tuple[Any, ...]:
    """A list from the command line; one thing stands for a list of one, null for none."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, ListConfig) else (value,)


if __name__ == "__main__":
    sys.exit(main())
