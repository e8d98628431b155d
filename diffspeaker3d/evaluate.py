"""Door: `python -m diffspeaker3d.evaluate checkpoint=DIR dataset=vocaset`."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from omegaconf import DictConfig

from diffspeaker3d.config import door
from diffspeaker3d.files import atomic_path

log = logging.getLogger(__name__)


@door("evaluate")
def main(cfg: DictConfig) -> None:
    from diffspeaker3d.data.prepared import open_corpus
    from diffspeaker3d.evaluation import evaluate
    from diffspeaker3d.metrics import describe_region
    from diffspeaker3d.pipeline import SpeechAnimator, set_threads

    set_threads(cfg.threads)
    animator = SpeechAnimator.from_pretrained(cfg.checkpoint, device=cfg.device)
    corpus = open_corpus(cfg.dataset)
    regions = {name: describe_region(name, corpus.topology.regions[name]) for name in ("lips", "upper_face") if name in corpus.topology.regions}
    result = evaluate(animator, corpus, cfg.split, limit=cfg.limit, samples=cfg.samples, seed=cfg.seed, steps=cfg.steps, baselines=list(cfg.baselines))
    result |= {"regions": regions, "checkpoint": dict(animator.config["provenance"]), "unit": corpus.topology.unit}
    with atomic_path(cfg.out) as temporary:
        temporary.write_text(json.dumps(result, indent=1), "utf-8")
    log.info("%s, split %s, %d clips; %s", corpus.name, cfg.split, result["clips"], "; ".join(regions.values()))
    log.info("%s", table(result["models"] | result.get("groups", {})))
    log.info("%s: all numbers", cfg.out)


def table(columns: dict[str, dict[str, Any]]) -> str:
    """Metrics as rows, models and groups of voices as columns."""
    metrics = list(dict.fromkeys(metric for column in columns.values() for metric in column))
    width = max(map(len, metrics)) + 2
    lines = ["".ljust(width) + "".join(name.rjust(18) for name in columns)]
    for metric in metrics:
        cells = (f"{column[metric]:.4g}" if metric in column else "" for column in columns.values())
        lines.append(metric.ljust(width) + "".join(cell.rjust(18) for cell in cells))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
