"""A sound file before it is decoded: what may be opened, which of its tracks is meant, how long it says it is.

FFmpeg knows formats that open other files (playlists, concat, image sequences) or the network; here it may open one regular
file, with one of the demuxers below.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffspeaker3d.errors import InputError
from diffspeaker3d.files import regular_file
from diffspeaker3d.limits import BUDGET

DEMUXERS = (
    "wav", "w64", "aiff", "au", "caf", "voc", "nistsphere", "flac", "ogg", "mp3", "aac", "ac3", "eac3", "amr", "wv", "ape", "tta",
    "mov", "matroska", "asf", "avi", "flv", "mpegts", "mpeg",
)  # fmt: skip
ESTIMATED = ("aac", "mp3", "ac3", "eac3", "amr", "mpegts", "mpeg")  # whose duration FFmpeg guesses from the bit rate
FROM_ZERO = ("mov", "matroska", "ogg")  # whose time begins at 0; elsewhere it begins with the first packet
LONG = 1 << 26  # bytes of a wav from which on larger packets are worth their cost
STREAMED = 0x7FFFF000  # a RIFF length from here on was written before the length was known
ANSWER = "convert it to wav, flac or mp3"
_PLAYLISTS = ("#extm3u", "ffconcat", "[playlist]", "<asx", "<smil", "<?xml", "[reference]")


@dataclass(frozen=True)
class Track:
    """The sound track that is read.

    Attributes:
        number, of: its place among the sound tracks of the file, counted from 1.
        codec: its name.
        start: seconds of the file's own clock at which time begins.
        seconds: how long the file says the sound is; None where it does not say.
        unfinished: whether the file lacks its end.
    """

    number: int
    of: int
    codec: str
    start: float
    seconds: float | None
    unfinished: bool


def check_file(path: Path) -> None:
    """Refuse what is no sound file before FFmpeg sees it.

    Raises:
        InputError: no regular file that can be read, empty, or text.
    """
    regular_file(path)
    with path.open("rb") as stream:
        head = stream.read(512)
    if not head:
        raise InputError(f"{path}: the file is empty; record or copy it again")
    text = head.decode("utf-8", errors="replace").lstrip("\ufeff").strip().lower()
    if text.startswith(_PLAYLISTS):
        raise InputError(f"{path}: is a playlist, not a sound file; give the sound it names")
    if text and all(letter.isprintable() or letter.isspace() for letter in text.replace("\ufffd", "\0")):
        raise InputError(f"{path}: is text, not a sound file; give the recording itself")


@contextmanager
def open_container(path: Path) -> Iterator[Any]:
    """FFmpeg's view of a checked file.

    Raises:
        InputError: not a sound file, or of a kind that is not read.
    """
    import av

    options = {"format_whitelist": ",".join(DEMUXERS), "protocol_whitelist": "file"}
    kind, riff = None, read_riff(path)
    if riff is not None and riff.plain:  # everything is in the header: no need to look for more
        kind = "wav"
        options |= {"probesize": "32", "analyzeduration": "1"} | ({"max_size": "65536"} if riff.size > LONG else {})
    if riff is not None and _goes_on(path, riff):
        options["ignore_length"] = "1"
    try:
        container = av.open(f"file:{path}", format=kind, container_options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        with path.open("rb") as stream:
            if stream.read(8)[4:] == b"ftyp" and _lost_index(path):
                raise InputError(
                    f"{path}: is cut off before its index (moov), without which no sound can be found in it; copy it again"
                ) from error
        raise InputError(f"{path}: not a sound file that can be decoded ({reason(error)}); {ANSWER}") from error
    with container:
        yield container


def choose_track(container: Any, path: Path, wanted: int | None, say: Callable[[str], None]) -> tuple[Any, Track]:
    """The stream to decode and what is known of it: the track asked for, else the one flagged as default, else the first.

    Raises:
        InputError: there is no sound, no such track, or FFmpeg cannot decode it.
    """
    streams = list(container.streams.audio)
    if not streams:
        kind = "a video or picture without a sound track" if container.streams.video else "holds no sound track"
        raise InputError(f"{path}: {kind}; give a file with sound")
    if wanted is not None and not 1 <= wanted <= len(streams):
        raise InputError(
            f"{path}: track={wanted}: it has {len(streams)} sound track{'s' * (len(streams) > 1)}, counted from 1"
        )
    default = next((i for i, s in enumerate(streams, 1) if int(s.disposition) & 1), 1)  # AV_DISPOSITION_DEFAULT
    number = wanted or default
    stream = streams[number - 1]
    context = stream.codec_context
    if context is None:
        raise InputError(f"{path}: FFmpeg has no decoder for the coding of its sound; {ANSWER}")
    if len(streams) > 1 and wanted is None:
        say(
            f"{len(streams)} sound tracks; track {number}, the default, is used; track=1 to track={len(streams)} chooses"
        )
    BUDGET.check_sound(str(path), context.sample_rate or 0, context.channels or 0)
    names = container.format.name.split(",")
    start = 0.0 if set(names) & set(FROM_ZERO) else (container.start_time or 0) / 1e6
    declared, unfinished = _declared(container, stream, path), _ends_early(path, names[0])
    return stream, Track(number, len(streams), context.name, start, declared, unfinished)


def reason(error: Exception) -> str:
    """What FFmpeg says, without its number and its own quoting of the path."""
    return (
        str(getattr(error, "strerror", None) or error).split(":")[0].strip().rstrip(".").lower() or type(error).__name__
    )


def _declared(container: Any, stream: Any, path: Path) -> float | None:
    """Seconds of sound that the file's own header promises, None where FFmpeg only guesses."""
    name = container.format.name.split(",")[0]
    if name == "mp3":
        return mp3_seconds(path)
    if name in ESTIMATED:
        return None
    if name == "wav" and (riff := read_riff(path)) is not None:
        rate = stream.codec_context.bit_rate
        return None if riff.streamed or not rate else 8 * riff.size / rate
    if stream.duration is not None and stream.time_base:
        return float(stream.duration * stream.time_base)
    # Matroska declares the whole, pictures included.
    return container.duration / 1e6 if container.duration and not container.streams.video else None


@dataclass(frozen=True)
class Riff:
    """The sound chunk of a RIFF wav.

    Attributes:
        start: of its samples in the file, bytes.
        size: bytes that its header promises.
        plain: whether the samples are bare numbers, which may be read in packets of any size.
    """

    start: int
    size: int
    plain: bool

    @property
    def streamed(self) -> bool:
        """Whether the header was written to a pipe, before the length was known."""
        return self.size >= STREAMED


def read_riff(path: Path) -> Riff | None:
    """The sound chunk of a RIFF wav, None for any other file."""
    plain = False
    with path.open("rb") as stream:
        head = stream.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        for _ in range(1000):  # chunks
            chunk = stream.read(8)
            if len(chunk) < 8:
                return None
            size = struct.unpack("<I", chunk[4:])[0]
            if chunk[:4] == b"data":
                return Riff(stream.tell(), size, plain)
            begin = stream.tell()
            if chunk[:4] == b"fmt ":
                plain = stream.read(2) in (b"\x01\0", b"\x03\0", b"\xfe\xff")
            stream.seek(begin + size + (size & 1))
    return None


def _goes_on(path: Path, riff: Riff) -> bool:
    """Whether the sound of a wav goes on where its header ends it: length 0, or counted beyond 4 GiB."""
    end, length = riff.start + riff.size, path.stat().st_size
    if riff.streamed or length - end <= max(4096, riff.size // 10):
        return False
    with path.open("rb") as stream:
        stream.seek(end)
        following = stream.read(9)
    for offset in (0, riff.size & 1):  # another chunk, then, perhaps behind a byte of padding?
        name, size = following[offset : offset + 4], struct.unpack("<I", following[offset + 4 : offset + 8])[0]
        if all(32 <= byte < 127 for byte in name) and end + offset + 8 + size <= length:
            return False
    return True


def _ends_early(path: Path, kind: str) -> bool:
    """Whether an ogg lacks its last page, which alone says that nothing follows."""
    if kind != "ogg":
        return False
    with path.open("rb") as stream:
        stream.seek(max(path.stat().st_size - (1 << 16) - 512, 0))  # longer than any page
        tail = stream.read()
    page = tail[max(tail.rfind(b"OggS"), 0) :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    return not page[5] & 4 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])


def _lost_index(path: Path) -> bool:
    """Whether an mp4 or m4a lacks the index (moov) without which nothing in it can be found."""
    with path.open("rb") as stream:
        for _ in range(1000):  # boxes
            head = stream.read(16)
            if len(head) < 8:
                return True
            size, name = struct.unpack(">I", head[:4])[0], head[4:8]
            if name == b"moov":
                return False
            size = struct.unpack(">Q", head[8:])[0] if size == 1 and len(head) == 16 else size
            if size < 8:
                return True
            stream.seek(size - len(head), 1)
    return False


def mp3_seconds(path: Path) -> float | None:
    """Seconds that the Xing or Info header of an mp3 promises, None without one or where files were joined.

    The header sits in the first frame and counts the frames and bytes after it.
    """
    with path.open("rb") as stream:
        head = stream.read(10)
        tag = 0
        if head[:3] == b"ID3" and len(head) == 10:
            tag = 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        stream.seek(tag)
        frame = stream.read(4096)
    sync = next((i for i in range(len(frame) - 4) if frame[i] == 0xFF and frame[i + 1] & 0xE6 == 0xE2), None)
    if sync is None:
        return None
    version, rate_index = frame[sync + 1] >> 3 & 3, frame[sync + 2] >> 2 & 3
    if version == 1 or rate_index == 3:
        return None
    rate = (44_100, 48_000, 32_000)[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    found = max(frame.find(name, sync, sync + 64) for name in (b"Xing", b"Info"))
    fields = frame[found + 4 : found + 16]
    if found < 0 or len(fields) < 12 or fields[3] & 3 != 3:
        return None
    frames, size = struct.unpack(">II", fields[4:])
    if path.stat().st_size - tag - sync > size * 17 // 16:
        return None
    return frames * (1152 if version == 3 else 576) / rate
