"""The report of a batch: report.json for machines, report.html for people, worst lines first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from diffspeaker3d.files import atomic_path
from diffspeaker3d.metrics.line import LineReport, Thresholds
from diffspeaker3d.reports.page import render

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
    entries: Sequence[Entry], folder: str | Path, thresholds: Thresholds | None = None, stem: str = "report"
) -> tuple[Path, Path]:
    """Write the page (report.html) and the numbers (report.json) into a folder.

    Args:
        entries: every line of the batch.
        folder: where; links to outputs are relative to it.
        thresholds: those the lines were judged by; stated in the report.
        stem: of both names.

    Returns:
        tuple[Path, Path]: the page and the json.
    """
    folder, limits = Path(folder), thresholds or Thresholds()
    ordered = sorted(entries, key=lambda entry: (not entry.error, -entry.line.severity, entry.line.name))
    paths = folder / f"{stem}.html", folder / f"{stem}.json"
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
    return render(
        "quality.html.j2",
        width="1320px",
        failed=sum(bool(entry.failures) for entry in entries),
        minutes=f"{sum(entry.line.duration_s for entry in entries) / 60:.1f}",
        columns=[{"title": title, "unit": unit} for _, title, unit, _, _ in COLUMNS],
        lines=[_row(entry, folder) for entry in entries],
        thresholds=", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in asdict(limits).items()),
    )


def _row(entry: Entry, folder: Path) -> dict[str, Any]:
    targets = [_relative(output, folder) for output in entry.outputs]
    return {
        "name": entry.line.name,
        "failures": entry.failures,
        "links": [{"address": quote(target), "suffix": Path(target).suffix} for target in targets],
        "curves": curves(entry.line),
        "cells": [_cell(entry.line, key, form, factor) for key, _, _, form, factor in COLUMNS],
    }


def _cell(line: LineReport, key: str, form: str, factor: float) -> str:
    value = getattr(line, key)
    if value is None or (key == "duration_s" and value == 0):
        return "–"
    return form.format(value * factor) + (f" of {line.closures}" if key == "closures_missed" else "")


def curves(line: LineReport) -> dict[str, Any] | None:
    """Points of the mouth's opening over the loudness of the sound, for an SVG; None where nothing is known."""
    if not len(line.opening_mm):
        return None
    opening = np.clip(_at_pixels(np.asarray(line.opening_mm)) / OPENING_FULL_MM, 0, 1)
    loudness = ""
    if len(line.loudness):
        level = np.clip(_at_pixels(np.asarray(line.loudness)) / LOUDNESS_FULL, 0, 1)
        loudness = f"0,{HEIGHT} {_points(level)} {WIDTH},{HEIGHT}"
    return {"width": WIDTH, "height": HEIGHT, "loudness": loudness, "opening": _points(opening)}


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
