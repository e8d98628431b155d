"""The report of a batch: report.json for machines, report.html for people, worst lines first."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from diffspeaker3d.files import atomic_path
from diffspeaker3d.metrics.line import LineReport, Thresholds

FORMAT_VERSION = 1
WIDTH, HEIGHT = 260, 44  # of a curve, pixels
LOUDNESS_FULL = 0.55  # square root of an RMS of 0.3, about as loud as speech gets: height of the picture
OPENING_FULL_MM = 20.0
COLUMNS = (  # attribute, heading, unit, form, factor to that unit
    ("duration_s", "length", "s", "{:.1f}", 1),
    ("closures_missed", "p b m open", "of", "{:.0f}", 1),
    ("lag_s", "lag", "ms", "{:+.0f}", 1000),
    ("sync", "sync", "corr.", "{:.2f}", 1),
    ("jitter", "jerk", "m/s³", "{:.0f}", 1),
    ("peak_speed", "peak", "m/s", "{:.2f}", 1),
    ("clipping", "clipped", "%", "{:.0f}", 100),
    ("silence_drift_mm", "off rest", "mm", "{:.1f}", 1),
    ("silence_speed_mm", "in pauses", "mm/s", "{:.1f}", 1),
    ("speech_speed_mm", "in speech", "mm/s", "{:.0f}", 1),
)
STYLE = """
body { margin: 2rem auto; max-width: 1320px; padding: 0 1rem; color: #23262b; background: #fff; font: 14px/1.45 system-ui, sans-serif; }
h1 { font-size: 20px; } p { color: #5d636b; max-width: 80ch; } .wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 500; color: #5d636b; padding: 6px 8px; border-bottom: 1px solid #c9ced6; white-space: nowrap; }
td { text-align: right; padding: 8px; border-bottom: 1px solid #e6e9ed; vertical-align: top; white-space: nowrap; }
th small { display: block; color: #8a9099; } th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 280px; overflow-wrap: anywhere; }
ul { margin: 2px 0 0; padding: 0; list-style: none; color: #a8402a; } a { color: #35597f; margin-right: .6em; }
.bad { color: #a8402a; font-weight: 600; } .good { color: #35703f; } .links { font-size: 12px; } svg { display: block; } .key i { display: inline-block; width: 18px; height: 8px; margin: 0 4px 0 12px; }
"""


@dataclass(frozen=True)
class Entry:
    """A line with the files made of it, or the reason why there are none."""

    line: LineReport
    outputs: tuple[str, ...] = ()
    error: str = ""

    @property
    def failures(self) -> tuple[str, ...]:
        return (self.error,) if self.error else self.line.failures


def write_report(
    entries: Sequence[Entry], folder: str | Path, thresholds: Thresholds | None = None
) -> tuple[Path, Path]:
    """Write report.html and report.json into a folder.

    Args:
        entries: every line of the batch.
        folder: where; links to outputs are relative to it.
        thresholds: those the lines were judged by; stated in the report.

    Returns:
        tuple[Path, Path]: the page and the json.
    """
    folder, limits = Path(folder), thresholds or Thresholds()
    ordered = sorted(entries, key=lambda entry: (not entry.error, -entry.line.severity, entry.line.name))
    paths = folder / "report.html", folder / "report.json"
    for path, text in zip(paths, (_page(ordered, folder, limits), _json(ordered, folder, limits)), strict=True):
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return paths


def _json(entries: Sequence[Entry], folder: Path, limits: Thresholds) -> str:
    lines = [
        entry.line.numbers() | {"failures": entry.failures, "outputs": [_relative(o, folder) for o in entry.outputs]}
        for entry in entries
    ]
    failed = sum(bool(entry.failures) for entry in entries)
    content = {
        "format_version": FORMAT_VERSION,
        "lines": len(entries),
        "failed": failed,
        "thresholds": asdict(limits),
        "reports": lines,
    }
    return json.dumps(content, indent=1, allow_nan=False)


def _page(entries: Sequence[Entry], folder: Path, limits: Thresholds) -> str:
    failed = sum(bool(entry.failures) for entry in entries)
    seconds = sum(entry.line.duration_s for entry in entries)
    verdict = (
        f'<span class="bad">{failed} of {len(entries)} lines need a look</span>'
        if failed
        else f'<span class="good">all {len(entries)} lines pass</span>'
    )
    head = "".join(f"<th>{title}<small>{unit}</small></th>" for _, title, unit, _, _ in COLUMNS)
    known = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in asdict(limits).items())
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<title>Quality of {len(entries)} lines</title><style>{STYLE}</style></head><body>\n"
        f"<h1>{verdict} <small>({seconds / 60:.1f} minutes of speech)</small></h1>\n"
        f'<p class="key">Worst first. Each picture shows<i style="background:#d3d8df"></i>loudness of the sound<i style="background:#b4553f"></i>opening of the mouth. '
        f"A dash: nothing to measure it on (p, b, m need <code>text=</code>).</p>\n"
        f'<div class="wide"><table><thead><tr><th>line</th><th></th>{head}</tr></thead><tbody>\n{"".join(_row(entry, folder) for entry in entries)}</tbody></table></div>\n'
        f"<p>Thresholds: {html.escape(known)}.</p></body></html>\n"
    )


def _row(entry: Entry, folder: Path) -> str:
    links = "".join(
        f'<a href="{quote(target)}">{html.escape(Path(target).suffix)}</a>'
        for target in (_relative(o, folder) for o in entry.outputs)
    )
    faults = "".join(f"<li>{html.escape(fault)}</li>" for fault in entry.failures)
    cells = "".join(f"<td>{_cell(entry.line, key, form, factor)}</td>" for key, _, _, form, factor in COLUMNS)
    return f'<tr><td><b>{html.escape(entry.line.name)}</b><ul>{faults}</ul><span class="links">{links}</span></td><td>{curves(entry.line)}</td>{cells}</tr>\n'


def _cell(line: LineReport, key: str, form: str, factor: float) -> str:
    value = getattr(line, key)
    if value is None or (key == "duration_s" and value == 0):
        return "–"
    return form.format(value * factor) + (f" of {line.closures}" if key == "closures_missed" else "")


def curves(line: LineReport) -> str:
    """Opening of the mouth over the loudness of the sound, as inline SVG; "" where nothing is known."""
    if not len(line.opening_mm):
        return ""
    opening = np.clip(_at_pixels(np.asarray(line.opening_mm)) / OPENING_FULL_MM, 0, 1)
    level = np.clip(_at_pixels(np.asarray(line.loudness)) / LOUDNESS_FULL, 0, 1) if len(line.loudness) else np.zeros(0)
    area = f'<polygon fill="#d3d8df" points="0,{HEIGHT} {_points(level)} {WIDTH},{HEIGHT}"/>' if len(level) else ""
    return f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="mouth and sound">{area}<polyline fill="none" stroke="#b4553f" stroke-width="1.5" points="{_points(opening)}"/></svg>'


def _at_pixels(curve: np.ndarray) -> np.ndarray:
    """The curve at no more points than there are pixels: the largest value of each piece, so that nothing vanishes."""
    count = min(len(curve), WIDTH)
    edges = np.linspace(0, len(curve), count + 1).astype(int)[:-1]
    return np.asarray(np.maximum.reduceat(curve, edges))


def _points(heights: np.ndarray) -> str:
    across = np.linspace(0, WIDTH, len(heights))
    return " ".join(f"{x:.0f},{(HEIGHT - 1) * (1 - y) + 0.5:.1f}" for x, y in zip(across, heights, strict=True))


def _relative(output: str, folder: Path) -> str:
    path = Path(output)
    return (
        path.resolve().relative_to(folder.resolve()).as_posix()
        if path.resolve().is_relative_to(folder.resolve())
        else output
    )
