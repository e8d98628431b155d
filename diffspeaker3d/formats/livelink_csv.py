"""ARKit curves as Epic's Live Link Face app records them (.csv), for Unreal's importer and MetaHumans."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.arkit import ARKIT_NAMES
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.formats.common.arkit_curves import CSV_NAMES, ROTATION_NAMES, arkit_curves, pascal_case

SUFFIXES = {
    ".csv": "ARKit curves as Live Link Face records them",
}


HEADER = ("Timecode", "BlendshapeCount", *(pascal_case(n) for n in CSV_NAMES), *ROTATION_NAMES)
COLUMNS = [ARKIT_NAMES.index(n) for n in CSV_NAMES]
TICKS = 60_000  # per second: the timecode counts sixtieths, whatever the frame rate, and writes three decimals of them


def write(animation: Animation, path: Path, options: None = None) -> tuple[Path, ...]:
    """One row per frame; head and eye rotations are zero."""
    curves = arkit_curves(animation)[:, COLUMNS]
    tail = ",0.0000000000" * len(ROTATION_NAMES)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="ascii", newline="\n") as stream:
        stream.write(",".join(HEADER) + "\n")
        for t, row in enumerate(curves.tolist()):
            values = ",".join(f"{value:.10f}" for value in row)
            stream.write(f"{timecode(t / animation.fps)},{len(HEADER) - 2},{values}{tail}\n")
    return (path,)


def timecode(seconds: float) -> str:
    """HH:MM:SS:FF.fff with FF in sixtieths of a second: Unreal reads h*3600 + m*60 + s + FF/60 at any frame rate."""
    ticks = round(seconds * TICKS)
    whole, rest = divmod(ticks, TICKS)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{rest / 1000:06.3f}"


def verify(animation: Animation, path: Path) -> None:
    """Reopen the table: header, row count and the curves of first and last row."""
    lines = path.read_text(encoding="ascii").splitlines()
    rows = [lines[1].split(","), lines[-1].split(",")] if len(lines) > 1 else []
    curves = arkit_curves(animation)[[0, -1]][:, COLUMNS]
    same = len(lines) == len(animation) + 1 and lines[0].split(",") == list(HEADER)
    if not same or not all(
        np.allclose(np.array(r[2:54], float), c, atol=1e-6) for r, c in zip(rows, curves, strict=True)
    ):
        raise InputError(f"{path}: the table reads back differently; write it again, and report this")
