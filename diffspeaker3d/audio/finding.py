"""Which sound files a folder or a pattern means, and names that tell them apart."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from diffspeaker3d.errors import InputError

AUDIO_SUFFIXES = frozenset((
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".m4a", ".aac", ".mp4", ".mov", ".mkv",
    ".webm", ".wma",
))  # fmt: skip


def find_sounds(folder: Path, *, recursive: bool = False) -> list[Path]:
    """Files with a known suffix, sorted; hidden ones (`._take.wav` of macOS, `.git`) are nobody's recordings.

    Args:
        folder: where to look.
        recursive: in its subfolders too; links to folders are not followed.
    """
    found = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(
        path
        for path in found
        if path.suffix.lower() in AUDIO_SUFFIXES and not is_hidden(path, folder) and path.is_file()
    )


def match_files(pattern: Path) -> list[Path]:
    """Files that a glob pattern matches, sorted; `**` is any folders below, links to folders excepted, hidden ones too.

    Raises:
        InputError: not a pattern.
    """
    parts = pattern.parts
    plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    folder = Path(*parts[:plain])
    try:
        found = folder.glob(str(Path(*parts[plain:])))
        return sorted(path for path in found if path.is_file() and not is_hidden(path, folder))
    except (ValueError, OSError) as error:
        raise InputError(f"{pattern}: not a pattern of file names ({error}); * is any name, ** any folders") from error


def is_hidden(path: Path, folder: Path) -> bool:
    """Whether a path below `folder`, or a folder on the way to it, begins with a dot, or is a Mac's `__MACOSX`."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(folder).parts)


def distinct_names(files: Sequence[Path]) -> list[str]:
    """A name for every file, no two alike in any case of letters: its stem, as long as that is enough.

    Of equal stems in one folder each keeps its suffix; equal names in several folders become paths below the folder that holds
    all files.
    """
    resolved = [file.resolve() for file in files]
    beside = Counter(str(path.with_suffix("")).casefold() for path in resolved)
    own = [path.name if beside[str(path.with_suffix("")).casefold()] > 1 else path.stem for path in resolved]
    count = Counter(name.casefold() for name in own)
    common = os.path.commonpath([path.parent for path in resolved])
    return [
        (path.parent.relative_to(common) / name).as_posix() if count[name.casefold()] > 1 else name
        for path, name in zip(resolved, own, strict=True)
    ]
