"""A sound file as blocks of samples, each at its place in time, with a word about what could not be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffspeaker3d.audio.container import ANSWER, Track, check_file, choose_track, open_container, reason
from diffspeaker3d.errors import InputError
from diffspeaker3d.limits import BUDGET

BLOCK_SAMPLES = 1 << 17  # per channel
LARGEST_JITTER = 0.05  # s that a time stamp may lie off before silence is put in its place
LARGEST_LEAD = 60.0  # s; a later start is the clock of a broadcast, not silence
SHORTER = 0.1  # s that may be missing of the declared length without a word


@dataclass(frozen=True)
class Form:
    """What stays the same within a run of blocks.

    Attributes:
        rate: Hz.
        channels: their short names, such as ("FL", "FR").
    """

    rate: int
    channels: tuple[str, ...]


Block = tuple[Form, np.ndarray]  # samples (n, channels) float32
Say = Callable[[str], None]


def decode(path: Path, track: int | None, say: Say) -> Iterator[Block]:
    """The samples of a sound track, from the beginning of the file's time.

    Sound that starts late has silence before it, a gap has silence in it. A damaged packet is left out; of a file that is cut off
    comes what there is.

    Args:
        path: any file.
        track: which sound track, counted from 1; None is the default one.
        say: is told, in words, what a listener would want to know.

    Raises:
        InputError: nothing that can be decoded, or more than the budget allows.
    """
    check_file(path)
    with open_container(path) as container:
        stream, chosen = choose_track(container, path, track, say)
        yield from _joined(_placed(_Packets(container, stream, path), chosen, path, say))


class _Packets:
    """The frames of a stream; counts the packets that gave none."""

    def __init__(self, container: Any, stream: Any, path: Path) -> None:
        self.container, self.stream, self.path = container, stream, path
        self.good = self.damaged = 0
        self.broke = ""  # why reading ended before the file did
        self.trailing = 0  # damaged packets at the end: there the file is cut off
        if stream.codec_context.name == "flac":  # whose check sums FFmpeg otherwise reads past
            stream.codec_context.options = {"err_detect": "crccheck+explode"}

    def __iter__(self) -> Iterator[Any]:
        import av

        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, ValueError) as error:
                self.broke = reason(error)
                return
            if packet is None:
                return
            if self.stream.codec_context.name.startswith("mp3") and _is_label(bytes(packet)):
                continue
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError):
                self.damaged, self.trailing = self.damaged + 1, self.trailing + 1
                continue
            if frames:
                self.good, self.trailing = self.good + 1, 0
            yield from frames


def _is_label(packet: bytes) -> bool:
    """Whether a packet of an mp3 is no sound: the table of contents or the tags of a file that was joined to another."""
    return packet[:3] in (b"ID3", b"TAG") or b"Xing" in packet[:48] or b"Info" in packet[:48]


def _placed(packets: _Packets, track: Track, path: Path, say: Say) -> Iterator[Block]:
    """Frames as blocks, silence where the time stamps leave room; says at the end what was wrong with the file."""
    position, start, silent, damaged = 0.0, track.start, 0.0, 0
    for frame in packets:
        form = Form(int(frame.sample_rate), tuple(channel.name for channel in frame.layout.channels))
        BUDGET.check_sound(str(path), form.rate, len(form.channels))
        if frame.pts is not None and frame.time_base is not None:
            gap = float(frame.pts * frame.time_base) - start - position
            if gap < -LARGEST_JITTER or gap > max(LARGEST_LEAD, (track.seconds or 0.0) - position):
                start += gap  # the clock was set anew: joined files, broadcasts
            elif gap > (LARGEST_JITTER if position > 0.0 and packets.damaged == damaged else 0.0):
                if position > 0.0:
                    silent += gap
                elif gap > LARGEST_JITTER:
                    say(f"its sound starts at {gap:.2f} s; silence is put before it")
                yield from _silence(form, round(gap * form.rate))
                position += gap
        damaged = packets.damaged
        samples = _as_float(frame)
        position += len(samples) / form.rate
        BUDGET.check_seconds(str(path), position)
        yield form, samples
    if packets.damaged > packets.good:
        raise InputError(
            f"{path}: not a sound file that can be decoded (no {track.codec} sound in most of it); {ANSWER}"
        )
    within = packets.damaged - packets.trailing
    missing = (track.seconds or 0.0) - position
    if silent >= 0.005:
        say(f"is damaged; {silent:.2f} s of sound within it are lost, silence is put there")
    elif within:
        say("is damaged; what cannot be decoded is left out")
    if track.unfinished or packets.broke or packets.trailing or (missing > SHORTER and not within):
        whole = f" of the {track.seconds:.2f} s it declares" if track.seconds and missing > SHORTER else ""
        say(f"is cut off; {position:.2f} s{whole} are there, and used")
    elif missing > SHORTER:
        say(f"{missing:.2f} s of the {track.seconds:.2f} s it declares are missing")


def _silence(form: Form, count: int) -> Iterator[Block]:
    for start in range(0, count, BLOCK_SAMPLES):
        yield form, np.zeros((min(BLOCK_SAMPLES, count - start), len(form.channels)), np.float32)


def _joined(blocks: Iterator[Block]) -> Iterator[Block]:
    """The same samples in blocks of about BLOCK_SAMPLES: a packet holds a fiftieth of a second."""
    held: list[np.ndarray] = []
    form, count = None, 0
    for new_form, samples in blocks:
        if form is not None and held and (new_form != form or count >= BLOCK_SAMPLES):
            yield form, np.concatenate(held)
            held, count = [], 0
        form = new_form
        held.append(samples)
        count += len(samples)
    if form is not None and held:
        yield form, np.concatenate(held)


def _as_float(frame: Any) -> np.ndarray:
    """Samples (n, channels) float32 of a decoded frame; full scale is 1."""
    array, kind = frame.to_ndarray(), frame.format
    samples = array.T if kind.is_planar else array.reshape(-1, frame.layout.nb_channels)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128.0) / 128.0
    if np.issubdtype(samples.dtype, np.integer):
        return samples.astype(np.float32) / np.float32(-float(np.iinfo(samples.dtype).min))
    with np.errstate(over="ignore"):  # what does not fit is refused as not finite
        return samples.astype(np.float32)
