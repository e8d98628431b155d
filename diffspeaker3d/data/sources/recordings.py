"""Transcribed recordings as the world keeps them: a folder, and which text belongs to which sound of which speaker.

LJSpeech    metadata.csv (id|text|normalised text) with wavs/<id>.wav      one speaker per metadata.csv
LibriTTS    <speaker>/<chapter>/<speaker>_<chapter>_...wav + <stem>.normalized.txt
plain       <anything>.wav + <stem>.txt beside it                          the folder is the speaker
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from diffspeaker3d.audio import AUDIO_SUFFIXES
from diffspeaker3d.errors import InputError

_LIBRI = re.compile(r"(\d+)_\d+_\d+_\d+")
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Recording:
    """One sound file, what is said in it and by whom. `id` is unique in its folder and good as a file name."""

    id: str
    audio: Path
    text: str
    speaker: str


def find_recordings(raw: Path) -> tuple[list[Recording], dict[str, str]]:
    """All recordings below a folder, sorted by id; layouts may be mixed.

    Returns:
        the recordings, and for each sound without a transcript its path below `raw` -> why it is left out.

    Raises:
        InputError: not one transcribed recording there.
    """
    if not raw.is_dir():
        raise InputError(f"{raw}: no such folder; give raw=DIR, a folder of recordings with their transcripts")
    found: dict[Path, tuple[str, str]] = {}  # sound -> (text, speaker)
    for table in sorted(raw.rglob("metadata.csv")):
        found |= dict(_read_table(table, raw))
    lacking: dict[str, str] = {}
    for sound in sorted(p for p in raw.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p not in found):
        transcript = next((t for t in (sound.with_suffix(s) for s in (".normalized.txt", ".txt")) if t.is_file()), None)
        if transcript is None:
            lacking[str(sound.relative_to(raw))] = "no transcript (.txt beside it, or a line in metadata.csv)"
        else:
            found[sound] = (transcript.read_text("utf-8-sig", errors="replace").strip(), _speaker(sound, raw))
    if not found:
        raise InputError(
            f"{raw}: not one transcribed recording; known: wav + txt of the same name, LJSpeech metadata.csv, LibriTTS .normalized.txt"
        )
    recordings = [Recording(_id(sound, raw), sound, text, speaker) for sound, (text, speaker) in found.items()]
    ids = [r.id for r in recordings]
    if len(set(ids)) < len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise InputError(f"{raw}: two recordings would be named {twice}; rename one of them")
    return sorted(recordings, key=lambda r: r.id), lacking


def split_recordings(recordings: Sequence[Recording], held_out: float) -> dict[str, str]:
    """Recording id -> "train", "val" or "test": by speaker where there are at least ten, else by sentence.

    Who is held out depends on names and texts alone, so that a folder that grows keeps most of its splits; `held_out` is
    the share of speakers or sentences in val, and again in test, at least one each where there are three.
    """
    by_speaker = len({r.speaker for r in recordings}) >= 10
    keys = {r.id: r.speaker if by_speaker else " ".join(r.text.lower().split()) for r in recordings}
    ranked = sorted(set(keys.values()), key=lambda key: hashlib.sha256(key.encode()).digest())
    count = max(round(held_out * len(ranked)), 1) if held_out > 0 and len(ranked) >= 3 else 0
    place = (
        dict.fromkeys(ranked, "train")
        | dict.fromkeys(ranked[:count], "test")
        | dict.fromkeys(ranked[count : 2 * count], "val")
    )
    return {recording_id: place[key] for recording_id, key in keys.items()}


def _read_table(table: Path, raw: Path) -> Iterator[tuple[Path, tuple[str, str]]]:
    """Lines `id|text|normalised text` whose sound exists, in wavs/ or beside the table."""
    speaker = table.parent.name if table.parent != raw else _UNSAFE.sub("_", raw.resolve().name)
    for line in table.read_text("utf-8-sig", errors="replace").splitlines():
        name, *texts = line.split("|")
        text = next((t.strip() for t in reversed(texts) if t.strip()), "")
        for folder in (table.parent / "wavs", table.parent):
            candidates = (folder / name, *(folder / f"{name}{suffix}" for suffix in (".wav", ".flac")))
            if text and (sound := next((c for c in candidates if c.is_file()), None)):
                yield sound, (text, speaker)
                break


def _speaker(sound: Path, raw: Path) -> str:
    match = _LIBRI.fullmatch(sound.stem)
    if match:
        return match[1]
    return sound.parent.name if sound.parent != raw else _UNSAFE.sub("_", raw.resolve().name)


def _id(sound: Path, raw: Path) -> str:
    return _UNSAFE.sub("_", "-".join(sound.relative_to(raw).with_suffix("").parts))
