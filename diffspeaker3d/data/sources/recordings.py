"""Transcribed recordings as the world keeps them: a folder, and which text belongs to which sound of which speaker.

LJSpeech    metadata.csv (id|text|normalised text) with wavs/<id>.wav      one speaker per metadata.csv
LibriTTS    <speaker>/<chapter>/<speaker>_<chapter>_...wav + <stem>.normalized.txt
plain       <anything>.wav + <stem>.txt beside it                          the folder is the speaker
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diffspeaker3d.audio import find_sounds, is_hidden
from diffspeaker3d.data.sources.clip_names import clip_names, place_of
from diffspeaker3d.errors import InputError

_LIBRI = re.compile(r"(\d+)_\d+_\d+_\d+")
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Recording:
    """One sound file, what is said in it and by whom. `id` is unique in its folder and good as a file name.

    `track` is which of its sound tracks holds the voice, counted from 1; None is the default one.
    """

    id: str
    audio: Path
    text: str
    speaker: str
    track: int | None = None


def find_recordings(raw: Path, track: int | None = None) -> tuple[list[Recording], dict[str, str]]:
    """All recordings below a folder, sorted by id; layouts may be mixed.

    Returns:
        the recordings, and for each sound without a transcript, and each table with lines of no use, its path below
        `raw` -> why that is left out.

    Raises:
        InputError: not one transcribed recording there.
    """
    if not raw.is_dir():
        raise InputError(f"{raw}: no such folder; give raw=DIR, a folder of recordings with their transcripts")
    found: dict[Path, tuple[str, str]] = {}  # sound -> (text, speaker)
    lacking: dict[str, str] = {}
    for table in sorted(p for p in raw.rglob("metadata.csv") if p.is_file() and not is_hidden(p, raw)):
        lines, fault = _read_table(table, raw)
        found |= lines
        lacking |= {str(table.relative_to(raw)): fault} if fault else {}
    for sound in (p for p in find_sounds(raw, recursive=True) if p not in found):
        transcript = next((t for t in (sound.with_suffix(s) for s in (".normalized.txt", ".txt")) if t.is_file()), None)
        if transcript is None:
            lacking[str(sound.relative_to(raw))] = "no transcript (.txt beside it, or a line in metadata.csv)"
        else:
            found[sound] = (transcript.read_text("utf-8-sig", errors="replace").strip(), _speaker(sound, raw))
    if not found:
        raise InputError(
            f"{raw}: not one transcribed recording; known: wav + txt of the same name, LJSpeech metadata.csv, LibriTTS .normalized.txt"
        )
    places = [tuple(_UNSAFE.sub("_", part) for part in place_of(sound, raw)) for sound in found]
    if len(set(places)) < len(places):  # one name with two suffixes
        places = [(*place[:-1], _UNSAFE.sub("_", sound.name)) for place, sound in zip(places, found, strict=True)]
    recordings = [
        Recording(name, sound, text, speaker, track)
        for name, (sound, (text, speaker)) in zip(clip_names(places), found.items(), strict=True)
    ]
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


def _read_table(table: Path, raw: Path) -> tuple[dict[Path, tuple[str, str]], str]:
    """Lines `id|text|normalised text` whose sound exists, in wavs/ or beside the table, and what is wrong with others."""
    speaker, found, lost = _folder_name(table.parent, raw), {}, []
    for line in table.read_text("utf-8-sig", errors="replace").splitlines():
        name, *texts = line.split("|")
        text = next((t.strip() for t in reversed(texts) if t.strip()), "")
        sound = _named_sound(table.parent, name) if text else None
        if sound is not None:
            found[sound] = (text, speaker)
        elif text:
            lost.append(name)
    if not lost:
        return found, ""
    some = f"the first is {lost[0][:80]!r}"
    return found, f"{len(lost)} line{'s' * (len(lost) > 1)} without a sound in wavs/ or beside it, {some}"


def _named_sound(folder: Path, name: str) -> Path | None:
    """The sound that a table calls by its name; a path that leads elsewhere is nobody's."""
    if not name or len(name) > 200 or Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        return None
    candidates = [f / f"{name}{suffix}" for f in (folder / "wavs", folder) for suffix in ("", ".wav", ".flac")]
    return next((path for path in candidates if path.is_file()), None)


def _speaker(sound: Path, raw: Path) -> str:
    match = _LIBRI.fullmatch(sound.stem)
    return match[1] if match else _folder_name(sound.parent, raw)


def _folder_name(folder: Path, raw: Path) -> str:
    """Who speaks in a folder: its path below `raw`, so that equal names in several folders are several people."""
    return _UNSAFE.sub("_", "-".join(folder.relative_to(raw).parts) or raw.resolve().name)
