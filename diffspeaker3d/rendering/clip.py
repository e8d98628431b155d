"""Whole animations: frames one after another, alone or beside another take, to a video or a sheet of stills."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
from tqdm import tqdm

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.rendering.heatmap import ErrorScale
from diffspeaker3d.rendering.lettering import label
from diffspeaker3d.rendering.options import RenderOptions
from diffspeaker3d.rendering.png import write_png
from diffspeaker3d.rendering.renderer import open_renderer
from diffspeaker3d.rendering.video import write_video

LABELS = ("prediction", "ground truth")


def render_animation(
    animation: Animation,
    path: str | Path,
    options: RenderOptions | None = None,
    compare: Animation | None = None,
    labels: Sequence[str] = LABELS,
) -> int:
    """Write an animation as mp4 with its sound, streaming: memory does not grow with its length.

    Args:
        animation: what to draw.
        path: the mp4; appears only when complete.
        options: how to draw; `size` is that of one panel.
        compare: a second animation, drawn to the right of the first; the video ends with the shorter.
        labels: what to write over the two panels.

    Returns:
        int: pictures written.

    Raises:
        InputError: the renderer does not work here, the two do not fit, or the file cannot be written.
    """
    options = options or RenderOptions()
    count = len(animation) if compare is None else min(len(animation), len(compare))
    frames = (
        render_frames(animation, options) if compare is None else compare_frames(animation, compare, options, labels)
    )
    with closing(frames):  # gives the graphics context back also when the encoder fails
        # Writes to stderr, and only to a terminal, and only if it takes long.
        shown = tqdm(frames, total=count, desc=Path(path).name, unit="frame", delay=2, disable=None, leave=False)
        return write_video(path, shown, animation.fps, animation.waveform, animation.sample_rate)


def render_frames(animation: Animation, options: RenderOptions | None = None) -> Generator[np.ndarray]:
    """Pictures (h, w, 3) uint8 of every frame, first to last."""
    with open_renderer(animation.topology, animation.template, options) as renderer:
        for chunk in animation.chunks():
            yield from map(renderer, chunk)


def compare_frames(
    animation: Animation, other: Animation, options: RenderOptions | None = None, labels: Sequence[str] = LABELS
) -> Generator[np.ndarray]:
    """Pictures (h, 2 w, 3) of two animations side by side; (h, 3 w, 3) with the distance between them if `error_scale` is set."""
    options = options or RenderOptions()
    same = animation.topology.hash == other.topology.hash
    if not math.isclose(animation.fps, other.fps, rel_tol=1e-3):
        raise InputError(
            f"compare: {animation.fps:g} and {other.fps:g} frames per second do not go side by side; resample one"
        )
    if options.error_scale is not None and not same:
        raise InputError(
            "error_scale: the two animations have different topologies, so their distance has no meaning; leave error_scale out"
        )
    scale = None if options.error_scale is None else ErrorScale.for_unit(animation.topology.unit, options.error_scale)
    with ExitStack() as stack:
        left = stack.enter_context(open_renderer(animation.topology, animation.template, options))
        shared = same and np.allclose(animation.template, other.template, atol=1e-3 * float(np.ptp(animation.template)))
        right = left if shared else stack.enter_context(open_renderer(other.topology, other.template, options))
        for one, two in zip(_walk(animation), _walk(other), strict=False):
            panels = [label(left(one), labels[0]), label(right(two), labels[1])]
            if scale is not None:
                panels.append(scale.legend(left(one, scale.albedo(one, two))))
            yield np.concatenate(panels, 1)


def contact_sheet(
    animation: Animation,
    path: str | Path,
    times: Sequence[float] | int = 8,
    options: RenderOptions | None = None,
    columns: int = 4,
) -> None:
    """Write stills with their times as one PNG: a clip at a glance.

    Args:
        animation: what to draw.
        path: the png.
        times: seconds, or how many stills to spread evenly over the clip.
        options: how to draw; `size` is that of one still.
        columns: stills per row.
    """
    count = len(animation)
    if isinstance(times, int):
        index = np.unique(np.linspace(0, count - 1, max(times, 1)).round().astype(int))
    else:
        index = np.array([int(t * animation.fps + 1e-6) for t in times], int)
        if not len(index) or index.min() < 0 or index.max() >= count:
            raise InputError(f"times={list(times)}: must lie between 0 and {animation.duration:.3f} s, at least one")
    with open_renderer(animation.topology, animation.template, options) as renderer:
        stills = [label(renderer(np.asarray(animation.vertices[int(t)])), f"{t / animation.fps:.2f} s") for t in index]
    columns = min(columns, len(stills))
    stills += [np.full_like(stills[0], 255)] * (-len(stills) % columns)
    rows = [np.concatenate(stills[start : start + columns], 1) for start in range(0, len(stills), columns)]
    write_png(path, np.concatenate(rows, 0))


def _walk(animation: Animation) -> Iterator[np.ndarray]:
    for chunk in animation.chunks():
        yield from chunk
