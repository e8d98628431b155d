"""Which files a command will write, held against those it reads and against each other, before any work."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import companions


def written_files(output: str) -> tuple[Path, ...]:
    """The files an output becomes, the named one first; none for a stream."""
    return () if "://" in output else (Path(output), *companions(output))


def check_outputs(outputs: Iterable[str], reads: Iterable[tuple[str, str | Path]]) -> None:
    """Refuse outputs that would replace a file that is read, or fall on each other; files written beside them count.

    Args:
        outputs: paths and stream addresses of one command.
        reads: (option, the file it names); one that names no file is left out.

    Raises:
        InputError: which two fall on each other, and through which file.
    """
    read = {
        key: f"{option}={path}" for option, path in reads if Path(path).is_file() for key in _identities(Path(path))
    }
    planned: dict[str | tuple[int, int], str] = {}
    for output in outputs:
        for written in written_files(output):
            beside = "" if written == Path(output) else f" (the {written.suffix} beside it)"
            keys = _identities(written)
            if victim := next((read[key] for key in keys if key in read), None):
                raise InputError(f"out={output}{beside}: would overwrite {victim}; choose another name")
            if other := next((planned[key] for key in keys if key in planned), None):
                raise InputError(f"out={output}{beside}: falls on out={other}; give each output a name of its own")
            planned |= dict.fromkeys(keys, output)


def free_stem(stem: str, suffixes: Sequence[str], folder: Path, outputs: Iterable[str]) -> str:
    """`stem`, with `quality_` in front for as long as an output would have its name in the folder."""
    taken = {_place(path) for output in outputs for path in written_files(output)}
    while any(_place(folder / f"{stem}{suffix}") in taken for suffix in suffixes):
        stem = f"quality_{stem}"
    return stem


def _identities(path: Path) -> tuple[str | tuple[int, int], ...]:
    """What two names of one file share: the place, also where upper and lower case are the same, and the file itself."""
    if not path.exists():
        return (_place(path),)
    status = os.stat(path)
    return (_place(path), (status.st_dev, status.st_ino))


def _place(path: Path) -> str:
    return str(path.resolve()).casefold()
