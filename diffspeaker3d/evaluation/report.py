"""What an evaluation leaves behind: a table for the screen, metrics.json, clips.csv, report.html."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from diffspeaker3d.evaluation.glossary import BY_NAME, METRICS, PER_CLIP, unit_of
from diffspeaker3d.evaluation.html import every_condition, page
from diffspeaker3d.evaluation.options import RECORDED
from diffspeaker3d.evaluation.worst import Picture
from diffspeaker3d.files import atomic_path

COLUMNS = (
    "model",
    "condition",
    "clip",
    "subject",
    "style",
    "seed",
    "num_frames",
    *(
        name
        for name in PER_CLIP
        if not name.startswith(("coverage", "diversity", "own_spread")) and name != "lve_by_clip"
    ),
)


@contextmanager
def clips_csv(path: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that writes one row per prediction; the file appears when the block ends well. Unknown numbers are empty."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        yield lambda row: writer.writerow(
            {key: "" if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        )


def write_report(folder: Path, numbers: Mapping[str, Any], pictures: Sequence[Picture]) -> None:
    """Write metrics.json and report.html, which holds its pictures itself."""
    with atomic_path(folder / "metrics.json") as temporary:
        temporary.write_text(json.dumps(numbers, indent=1, allow_nan=False), "utf-8")
    with atomic_path(folder / "report.html") as temporary:
        temporary.write_text(page(numbers, pictures), "utf-8")


def table(numbers: Mapping[str, Any]) -> str:
    """Metrics as rows; models, the recording and groups of voices as columns; mean ± half width of the 95 % interval."""
    columns = [(name, scores, numbers["intervals"].get(name, {})) for name, scores in numbers["models"].items()]
    columns += [(name, scores, {}) for name, scores in ((RECORDED, numbers["recorded"]), *numbers["groups"].items())]
    shown = [metric for metric in METRICS if any(metric.name in scores for _, scores, _ in columns)]
    names = [f"{metric.name} [{unit_of(metric, numbers['unit'])}]" for metric in shown]
    width = max(map(len, names), default=0) + 2
    lines = ["".ljust(width) + "".join(name.rjust(22) for name, _, _ in columns)]
    for metric, name in zip(shown, names, strict=True):
        cells = (cell(scores.get(metric.name), widths.get(metric.name)) for _, scores, widths in columns)
        lines.append(name.ljust(width) + "".join(text.rjust(22) for text in cells))
    return "\n".join(lines)


def changes(numbers: Mapping[str, Any]) -> Iterator[str]:
    """One line per changed sound: by how much the error grows."""
    for name, found in every_condition(numbers):
        for key in ("lve_change", "mve_change"):
            if key in found:
                width = found.get(f"{key}_interval")
                yield f"{name}: {BY_NAME[key.removesuffix('_change')].name} {found[key]:+.1%}" + (
                    f" ± {width:.1%}" if width is not None else ""
                )


def cell(value: float | None, width: float | None = None) -> str:
    """A number to four digits, with its interval where there is one; empty where there is no number."""
    if value is None:
        return ""
    return f"{value:.4g}" if width is None else f"{value:.4g} ± {width:.2g}"
