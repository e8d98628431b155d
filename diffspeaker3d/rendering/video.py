"""Pictures and sound into one mp4, piped frame by frame: H.264 and AAC through PyAV."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from diffspeaker3d.audio import resample
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path

# Rates AAC-LC knows; any other becomes OTHER_RATE.
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
OTHER_RATE = 48_000  # Hz
AAC_FRAME = 1024  # samples
BITS_PER_SAMPLE = 4  # of the sound: transparent for speech at any rate


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float,
    waveform: np.ndarray | None = None,
    sample_rate: int | None = None,
) -> int:
    """Encode pictures, and a sound that starts with the first of them, into an mp4.

    The video lasts exactly as long as its pictures: a longer sound is cut there, a shorter one goes on in silence.
    Odd widths and heights, which H.264 cannot hold, are padded by one pixel.

    Args:
        path: the mp4 to write; appears only when complete.
        frames (Iterable[array (h, w, 3) uint8]): all of one size; drawn from as the encoder needs them.
        fps: pictures per second.
        waveform (array (N,) float32 in [-1, 1]) and sample_rate (Hz): the sound, both or neither.

    Returns:
        int: pictures written.

    Raises:
        InputError: PyAV is missing, there is no picture, or the file cannot be written.
    """
    av = _import_av()
    if not fps > 0:
        raise InputError(f"fps={fps}: must be positive")
    if (waveform is None) != (sample_rate is None):
        raise InputError("write_video: waveform and sample_rate go together; give both or neither")
    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        raise InputError(f"{path}: a video needs at least one picture, got none")
    sound = None if waveform is None or sample_rate is None else _encodable(waveform, sample_rate)
    with atomic_path(path) as temporary:
        try:
            return _encode(av, temporary, _chain(first, pictures), Fraction(fps).limit_denominator(1001), sound)
        except av.FFmpegError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):  # atomic_path says it in one line
                raise OSError(error.errno, error.strerror) from error
            raise InputError(f"{path}: the video cannot be encoded ({error}); try another size or fps") from error


def _import_av() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise InputError("mp4: writing video needs PyAV; pip install av") from error
    return av


def _chain(first: np.ndarray, rest: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from rest


def _encodable(waveform: np.ndarray, sample_rate: int) -> tuple[np.ndarray, int]:
    """The sound at a rate that AAC knows."""
    rate = sample_rate if sample_rate in AAC_RATES else OTHER_RATE
    return resample(np.asarray(waveform, np.float32), sample_rate, rate), rate


def _encode(
    av: ModuleType, path: Path, frames: Iterator[np.ndarray], fps: Fraction, sound: tuple[np.ndarray, int] | None
) -> int:
    """Interleave both streams, so that neither waits long for the other in the file."""
    # The index in front lets a browser start before the file is loaded.
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        picture = container.add_stream("libx264", rate=fps, options={"crf": "18", "preset": "veryfast"})
        picture.pix_fmt = "yuv420p"
        picture.codec_context.time_base = 1 / fps
        voice = None if sound is None else _Voice(av, container, *sound)
        count = 0
        for image in frames:
            image = _even(image)
            if count == 0:
                picture.height, picture.width = image.shape[:2]
                _tag_colors(picture.codec_context)
            elif image.shape[:2] != (picture.height, picture.width):
                raise InputError(
                    f"{path.name}: picture {count} is {image.shape[1]}x{image.shape[0]}, the first was {picture.width}x{picture.height}"
                )
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
                format="yuv420p", src_colorspace="ITU709", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            frame.pts, frame.time_base = count, 1 / fps
            container.mux(picture.encode(frame))
            count += 1
            if voice is not None:
                voice.advance(count / fps)
        container.mux(picture.encode(None))
        if voice is not None:
            voice.finish(count / fps)
    return count


def _tag_colors(context: Any) -> None:
    """Say which of the two YUV conversions was used: untagged, players guess by size and skin turns green or pink."""
    context.color_range = 1  # MPEG, 16..235
    context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709


class _Voice:
    """The AAC stream: fed in step with the pictures, silence where the sound has ended."""

    def __init__(self, av: ModuleType, container: Any, waveform: np.ndarray, rate: int) -> None:
        self._av = av
        self._container = container
        self._waveform = waveform
        self._rate = rate
        self._stream = container.add_stream("aac", rate=rate, layout="mono")
        self._stream.codec_context.bit_rate = min(rate * BITS_PER_SAMPLE, 160_000)
        self._done = 0

    def advance(self, seconds: Fraction) -> None:
        """Encode whole AAC frames up to a time."""
        while self._done + AAC_FRAME <= int(seconds * self._rate):
            self._push(AAC_FRAME)

    def finish(self, seconds: Fraction) -> None:
        """Encode up to the end of the last picture and close the stream."""
        self.advance(seconds)
        if rest := round(seconds * self._rate) - self._done:
            self._push(rest)
        self._container.mux(self._stream.encode(None))

    def _push(self, count: int) -> None:
        samples = np.zeros((1, count), np.float32)
        part = self._waveform[self._done : self._done + count]
        samples[0, : len(part)] = part
        frame = self._av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._done, Fraction(1, self._rate)
        self._container.mux(self._stream.encode(frame))
        self._done += count


def _even(image: np.ndarray) -> np.ndarray:
    """Pad the last row and column of an image (h, w, 3) by repetition where a side is odd."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return image
