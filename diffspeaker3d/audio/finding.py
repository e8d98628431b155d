"""The sound files of a folder."""

from __future__ import annotations

from pathlib import Path

AUDIO_SUFFIXES = frozenset(
    ".wav .flac .ogg .oga .opus .mp3 .aif .aiff .au .caf .m4a .aac .mp4 .mov .mkv .webm .wma".split()
)


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


def is_hidden(path: Path, folder: Path) -> bool:
    """Whether a path below `folder`, or a folder on the way to it, begins with a dot, or is a Mac's `__MACOSX`."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(folder).parts)
