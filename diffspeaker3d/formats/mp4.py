"""Video with sound: hands the animation to the renderer and checks the file it gets back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError

if TYPE_CHECKING:
    from diffspeaker3d.rendering import RenderOptions


SUFFIXES = {
    ".mp4": "video with sound",
}


def write(animation: Animation, path: Path, options: RenderOptions | None = None) -> tuple[Path, ...]:
    """Render every frame at the animation's fps, sound muxed in; see `rendering.RenderOptions`."""
    from diffspeaker3d.rendering import RenderOptions, render_animation

    render_animation(animation, path, options or RenderOptions())
    return (path,)


def verify(animation: Animation, path: Path) -> None:
    """Reopen the video and count its frames; sound must be there if the animation has any."""
    import av

    try:
        with av.open(str(path)) as container:
            frames = sum(packet.pts is not None for packet in container.demux(video=0))
            sound = container.streams.audio[0] if container.streams.audio else None
            seconds = (
                float(sound.duration * sound.time_base)
                if sound is not None and sound.duration and sound.time_base
                else 0.0
            )
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{path}: the video does not reopen ({error}); write it again, and report this") from error
    if frames != len(animation):
        raise InputError(f"{path}: holds {frames} pictures of {len(animation)}; write it again, and report this")
    if animation.waveform is not None and seconds == 0:
        raise InputError(f"{path}: the sound is missing; write it again, and report this")
