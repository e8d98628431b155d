"""Door: `python -m diffspeaker3d.render motion=a.npz out=a.mp4`."""

from __future__ import annotations

import dataclasses
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from diffspeaker3d.config import door
from diffspeaker3d.errors import InputError

if TYPE_CHECKING:
    from diffspeaker3d.animation import Animation
    from diffspeaker3d.config.schema import Render
    from diffspeaker3d.rendering import RenderOptions

log = logging.getLogger(__name__)

SUFFIXES = (".mp4", ".png")


@door("render")
def main(cfg: Render) -> None:
    out = Path(cfg.out)
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"out={out}: render writes {' or '.join(SUFFIXES)}; for other formats use animate or save")
    if out.resolve() in {Path(p).resolve() for p in (cfg.motion, cfg.compare, cfg.audio) if p}:
        raise InputError(f"out={out}: would overwrite an input; choose another name")
    options = render_options(cfg)

    from diffspeaker3d.formats import load_animation

    animation = with_sound(load_animation(cfg.motion), cfg.audio)
    compare = load_animation(cfg.compare) if cfg.compare else None
    if out.suffix.lower() == ".png":
        from diffspeaker3d.rendering import contact_sheet

        if compare is not None:
            raise InputError("compare: stills show one animation; write an .mp4, or leave compare out")
        contact_sheet(animation, out, cfg.stills, options)
        log.info("%s: stills", out)
    else:
        frames = write_video(animation, compare, out, options, cfg.labels)
        log.info("%s: %d frames at %g fps", out, frames, animation.fps)


def render_options(cfg: Render) -> RenderOptions:
    """The drawing options of a command line."""
    from diffspeaker3d.rendering import RenderOptions

    width, height = cfg.size if isinstance(cfg.size, list) else (cfg.size, cfg.size)
    return RenderOptions(
        size=(width, height),
        background=cfg.background,
        wireframe=cfg.wireframe,
        renderer=cfg.renderer,
        color=cfg.color,
        view=cfg.view if isinstance(cfg.view, str) else (cfg.view[0], cfg.view[1]),
        zoom=cfg.zoom,
        error_scale=cfg.error_scale,
    )


def with_sound(animation: Animation, audio: str | None) -> Animation:
    """The animation with the sound of a file in place of its own, if one is named."""
    if not audio:
        return animation
    from diffspeaker3d.audio import read_audio

    samples, rate = read_audio(audio)
    return dataclasses.replace(animation, waveform=samples.mean(1), sample_rate=rate)


def write_video(
    animation: Animation, compare: Animation | None, out: Path, options: RenderOptions, labels: list[str]
) -> int:
    """Render, reopen, and return the number of frames; beside a shorter take, the video ends with it."""
    from diffspeaker3d.formats import mp4
    from diffspeaker3d.rendering import render_animation

    if compare is not None and len(compare) < len(animation):
        animation = dataclasses.replace(
            animation, vertices=animation.vertices[: len(compare)], weights=None, weight_names=()
        )
    frames = render_animation(animation, out, options, compare, labels)
    mp4.verify(animation, out)
    return frames


if __name__ == "__main__":
    sys.exit(main())
