"""Command: `python -m diffspeaker3d.animate audio=speech.wav out=speech.mp4`."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from diffspeaker3d.config import door
from diffspeaker3d.errors import InputError

if TYPE_CHECKING:
    from diffspeaker3d.animation import Animation
    from diffspeaker3d.config.schema import Animate
    from diffspeaker3d.generation.options import Options
    from diffspeaker3d.heads.open import CustomHead

log = logging.getLogger(__name__)


@door("animate")
def main(typed: Animate) -> None:
    from diffspeaker3d.config import as_config

    cfg = as_config(typed)
    from diffspeaker3d.generation.jobs import open_template, plan_jobs, run_jobs, with_texts
    from diffspeaker3d.reports.lines import inspect_result, report_lines, wants_report

    jobs = with_texts(plan_jobs(_plain(cfg.audio), _plain(cfg.out), _plain(cfg.formats), named_files(cfg)), cfg.text)
    inspects = wants_report(cfg.qc, len(jobs))

    from diffspeaker3d.generation.pipeline import SpeechAnimator, set_threads

    set_threads(cfg.threads)
    animator = SpeechAnimator.from_pretrained(cfg.checkpoint, device=cfg.device, precision=cfg.precision)
    head = open_template(cfg.template, _plain(cfg.landmarks), animator.topology, cfg.names)
    options = animator.check(options_of(cfg, own_head=head is not None))
    inspected, failures = [], []
    for result in run_jobs(
        jobs, lambda job: animator(job.audio, replace(options, text=job.text)), lambda a, out: write(a, out, cfg, head)
    ):
        if result.error is not None:
            if len(jobs) == 1:
                raise result.error
            log.warning("%s", result.error)
            failures.append(str(result.error))
        if inspects:
            inspected.append(inspect_result(result))
    if inspects:
        failures += report_lines(inspected, jobs, strict=cfg.qc == "strict")
    if failures:
        raise InputError(
            failures[0] if len(jobs) == 1 else f"{len(failures)} of {len(jobs)} failed: {'; '.join(failures)}"
        )


def named_files(cfg: DictConfig) -> list[tuple[str, str]]:
    """(option, file) of what a command reads beside sounds and transcripts, which no writer could replace."""
    return [(name, cfg[name]) for name in ("template", "names", "landmarks") if isinstance(cfg[name], str)]


def options_of(cfg: DictConfig, own_head: bool) -> Options:
    """The generation options of a command line; a head of the user's own takes the place of an identity."""
    from diffspeaker3d.generation.options import Options

    return Options(
        style=_plain(cfg.style),
        template=None if own_head else cfg.template,
        seed=cfg.seed,
        steps=cfg.steps,
        fps=cfg.fps,
        strength=cfg.strength,
        temperature=_plain(cfg.temperature),
        track=cfg.track,
    )


def write(animation: Animation, output: str, cfg: DictConfig, head: CustomHead | None = None) -> None:
    """One output; pictures take the rendering options, a user's head takes over from the mannequin."""
    from diffspeaker3d.formats import save
    from diffspeaker3d.formats.character import save_on_head

    options = None
    if output.lower().endswith(".mp4"):
        from diffspeaker3d.rendering import RenderOptions

        view = tuple(cfg.view) if isinstance(cfg.view, ListConfig) else cfg.view
        options = RenderOptions((cfg.size, cfg.size), renderer=cfg.renderer, view=view, zoom=cfg.zoom, focus=cfg.focus)
    if head is None:
        save(animation, output, options=options)
    else:
        save_on_head(animation, head, output, options)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if isinstance(value, ListConfig | DictConfig) else value


if __name__ == "__main__":
    sys.exit(main())
