"""Door: `python -m diffspeaker3d.render motion=a.npz out=a.mp4`."""

from __future__ import annotations

import dataclasses
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig

from diffspeaker3d.config import door
from diffspeaker3d.errors import InputError

if TYPE_CHECKING:
    from diffspeaker3d.animation import Animation
    from diffspeaker3d.config.schema import Render
    from diffspeaker3d.rendering import RenderOptions

log = logging.getLogger(__name__)

SUFFIXES = (".mp4", ".png")


@door("render")
def main(typed: Render) -> None:
    from diffspeaker3d.config import as_config

    cfg = as_config(typed)
    out = Path(str(cfg.out))
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"out={out}: render writes {' or '.join(SUFFIXES)}; for other formats use animate or save")
    if out.resolve() in {Path(str(p)).resolve() for p in (cfg.motion, cfg.compare, cfg.audio) if p}:
        raise InputError(f"out={out}: would overwrite an input; choose another name")
    options = render_options(cfg)

    from diffspeaker3d.formats import load_animation

    animation = with_sound(load_animation(str(cfg.motion)), cfg.audio)
    compare = load_animation(str(cfg.compare)) if cfg.compare else None
    if out.suffix.lower() == ".png":
        from diffspeaker3d.rendering import contact_sheet

        if compare is not None:
            raise InputError("compare: stills show one animation; write an .mp4, or leave compare out")
        contact_sheet(
            animation, out, cfg.stills if isinstance(cfg.stills, int) else [float(t) for t in cfg.stills], options
        )
        log.info("%s: stills", out)
    else:
        frames = write_video(animation, compare, out, options, [str(name) for name in cfg.labels])
        log.info("%s: %d frames at %g fps", out, frames, animation.fps)


def render_options(cfg: DictConfig) -> RenderOptions:
    """The drawing options of a configuration, checked."""
    from diffspeaker3d.rendering import RenderOptions

    def pair(value: Any, name: str, kind: type) -> Any:
        values = list(value) if isinstance(value, ListConfig) else [value, value]
        if len(values) != 2 or not all(isinstance(v, int | float) for v in values):
            raise InputError(f"{name}={value}: give a number or two of them, such as [640,480]")
        return tuple(kind(v) for v in values)

    return RenderOptions(
        size=pair(cfg.size, "size", int),
        background=str(cfg.background),
        wireframe=bool(cfg.wireframe),
        renderer=str(cfg.renderer),
        color=str(cfg.color),
        view=pair(cfg.view, "view", float) if isinstance(cfg.view, ListConfig) else str(cfg.view),
        zoom=float(cfg.zoom),
        error_scale=None if cfg.error_scale is None else float(cfg.error_scale),
    )


def with_sound(animation: Animation, audio: Any) -> Animation:
    """The animation with the sound of a file in place of its own, if one is named."""
    if not audio:
        return animation
    from diffspeaker3d.audio import read_audio

    waveform, rate = read_audio(str(audio))
    return dataclasses.replace(animation, waveform=waveform, sample_rate=rate)


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
