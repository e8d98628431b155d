"""What an evaluation leaves behind: a table for the screen, metrics.json, clips.csv, report.html."""

from __future__ import annotations

import base64
import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffspeaker3d.evaluation.options import BASELINES, MODEL, RECORDED
from diffspeaker3d.evaluation.result import EvaluationResult, Scores
from diffspeaker3d.evaluation.worst import Picture
from diffspeaker3d.files import atomic_path
from diffspeaker3d.metrics.metric import Metric
from diffspeaker3d.metrics.registry import BY_NAME, METRICS, PER_CLIP
from diffspeaker3d.reports.page import render
from diffspeaker3d.topology import METRES_PER_UNIT

ROW_FIELDS = ("model", "degradation", "clip", "subject", "style", "seed", "num_frames")
COLUMNS = (*ROW_FIELDS, *(name for name in PER_CLIP if name != "lve_by_clip"))
GOALS = {
    "": "",
    "low": "lower is better",
    "high": "higher is better",
    "zero": "best at 0",
    "recorded": "best near the recording",
}
ROBUSTNESS = ("lve", "mve", "mouth_opening_distance", "mtm_ms", "closure_recall")  # shown beside each degradation
BAR_REM = 11.0  # width of a full correlation bar
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@contextmanager
def clips_csv(path: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that writes one row per prediction; the file appears when the block ends well. Unknown numbers are empty."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        yield lambda row: writer.writerow(
            {key: "" if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        )


def write_report(folder: Path, result: EvaluationResult, pictures: Sequence[Picture]) -> None:
    """Write metrics.json and report.html, which holds its pictures itself."""
    with atomic_path(folder / "metrics.json") as temporary:
        temporary.write_text(json.dumps(result.to_json(), indent=1, allow_nan=False), "utf-8")
    with atomic_path(folder / "report.html") as temporary:
        temporary.write_text(page(result, pictures), "utf-8")


def screen_table(result: EvaluationResult) -> str:
    """Metrics as rows; models, the recording and groups of voices as columns; mean ± half width of the 95 % interval."""
    columns = [(name, scores.means, scores.intervals) for name, scores in result.models.items()]
    columns += [(name, scores, {}) for name, scores in ((RECORDED, result.recorded), *result.groups.items())]
    shown = [metric for metric in METRICS if any(metric.name in scores for _, scores, _ in columns)]
    names = [f"{metric.name} [{metric.unit_in(result.about.unit)}]" for metric in shown]
    width = max(map(len, names), default=0) + 2
    lines = ["".ljust(width) + "".join(name.rjust(22) for name, _, _ in columns)]
    for metric, name in zip(shown, names, strict=True):
        cells = (_screen_cell(scores.get(metric.name), widths.get(metric.name)) for _, scores, widths in columns)
        lines.append(name.ljust(width) + "".join(text.rjust(22) for text in cells))
    return "\n".join(lines)


def _screen_cell(value: float | None, width: float | None = None) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if width is None else f"{value:.4g} ± {width:.2g}"


def degradation_lines(result: EvaluationResult) -> Iterator[str]:
    """One line per degraded sound: by how much the error grows."""
    for name, degradation, found in result.degraded():
        change = _change(found, result.models[name].error)
        if change:
            label = degradation if name == MODEL else f"{name}, {degradation}"
            yield f"{label}: {result.models[name].error} {change}"


def _change(found: Mapping[str, float], error: str) -> str:
    key = f"{error}_change"
    if key not in found:
        return ""
    width = found.get(f"{key}_interval")
    return f"{found[key]:+.1%}" + ("" if width is None else f" ± {width:.1%}")


@dataclass(frozen=True)
class Cell:
    """A number as it is shown; "" where there is none."""

    text: str = ""
    interval: str = ""
    root: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """A line of a table."""

    title: str
    note: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Headings (without that of the first column) and rows."""

    head: tuple[str, ...]
    rows: tuple[Row, ...]


def page(result: EvaluationResult, pictures: Sequence[Picture]) -> str:
    """The report as one page: no script, no file beside it."""
    about = result.about
    columns = {name: scores.means for name, scores in result.models.items()} | {RECORDED: result.recorded}
    return render(
        "evaluation.html.j2",
        width="68rem",
        title=f"{about.corpus}, split {about.split}: how well the face follows the voice",
        facts=_facts(result),
        summary=list(summary_lines(result)),
        interval_note=_interval_note(len(about.seeds)),
        all_numbers=_metrics_table(columns, result, compare=True),
        groups=_metrics_table(result.groups, result),
        styles=_metrics_table(result.styles, result),
        robustness=_robustness(result),
        controls=[_bar(name, value) for name, value in sorted(result.model.controls.items(), key=lambda kv: -kv[1])],
        pictures=[_picture(picture, result) for picture in pictures],
        glossary=_glossary(result),
        provenance=_provenance(result),
    )


def summary_lines(result: EvaluationResult) -> Iterator[str]:
    """The few sentences that most readers want."""
    model, unit = result.model.means, result.about.unit
    if "lve" in model:
        others = [
            f"{_length(math.sqrt(scores.means['lve']), unit)} for {'the baseline ' * (name in BASELINES)}{name}"
            for name, scores in result.models.items()
            if name != MODEL and "lve" in scores.means
        ]
        beside = f"; it is {', '.join(others)}" if others else ""
        error = _length(math.sqrt(model["lve"]), unit)
        yield f"In a typical frame the worst lip vertex is off by {error} (root of LVE){beside}."
    if "closure_recall" in model:
        false = model.get("false_closures", 0)
        yield (
            f"{model['closure_recall']:.0%} of the spoken p, b and m show closed lips; "
            f"{false:.0%} of open vowel frames show them too."
        )
    if "seed_share_upper_face" in model and "seed_share_lips" in model:
        yield (
            f"Between seeds the lips change by {model['seed_share_lips']:.0%} of how much unrelated frames differ, "
            f"the upper face by {model['seed_share_upper_face']:.0%}."
        )
    if "blinks_per_minute" in model:
        recorded = result.recorded.get("blinks_per_minute", 0)
        yield f"{model['blinks_per_minute']:.1f} blinks per minute; the recording has {recorded:.1f}."


def _facts(result: EvaluationResult) -> list[tuple[str, str]]:
    about = result.about
    seconds = about.frames / about.fps
    length = f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"
    return [
        ("clips", f"{about.clips} ({length})"),
        ("frames per second", f"{about.fps:g}"),
        ("seeds", ", ".join(map(str, about.seeds))),
        ("steps", str(about.steps or "the checkpoint's own")),
        ("topology", f"{about.topology} ({about.topology_hash[:8]})"),
        ("unit of length", about.unit),
    ]


def _interval_note(num_seeds: int) -> str:
    if num_seeds == 1:
        return (
            "One seed, so no confidence intervals, diversity or coverage error; give seeds=[0,10,20]. "
            "Bold: best of its row."
        )
    return (
        f"Mean ± 1.96 s/√n over the model's n = {num_seeds} seeds, each a whole evaluation: how much sampling changes a "
        "number, not how much clips differ. Bold: best of its row."
    )


def _metrics_table(columns: Mapping[str, Scores], result: EvaluationResult, compare: bool = False) -> Table:
    """Metrics as rows; the best of each row is marked where models are compared."""
    unit, rows = result.about.unit, []
    for metric in METRICS:
        if not any(metric.name in column for column in columns.values()):
            continue
        best = _best(metric, result) if compare else set()
        intervals = {name: scores.intervals.get(metric.name) for name, scores in result.models.items()}
        cells = tuple(
            _cell(metric, column.get(metric.name), unit, intervals.get(key) if compare else None, key in best)
            for key, column in columns.items()
        )
        note = " · ".join(filter(None, (_scale(metric, unit)[1], GOALS[metric.goal])))
        rows.append(Row(metric.title, note, cells))
    return Table(tuple(columns), tuple(rows))


def _best(metric: Metric, result: EvaluationResult) -> set[str]:
    """Which models win a row; none where there is no contest."""
    values = {name: scores.means[metric.name] for name, scores in result.models.items() if metric.name in scores.means}
    aim = result.recorded.get(metric.name) if metric.goal == "recorded" else 0.0
    if len(set(values.values())) < 2 or aim is None or not metric.goal:
        return set()
    distances = {name: -value if metric.goal == "high" else abs(value - aim) for name, value in values.items()}
    return {name for name, distance in distances.items() if distance == min(distances.values())}


def _cell(metric: Metric, value: float | None, unit: str, interval: float | None = None, best: bool = False) -> Cell:
    if value is None:
        return Cell()
    factor, shown_unit = _scale(metric, unit)
    return Cell(
        text=_number(value * factor, shown_unit),
        interval="" if interval is None else _number(interval * factor, shown_unit, 2),
        root=_length(math.sqrt(value), unit) if metric.region == "lips" and metric.unit == "u²" else "",
        best=best,
    )


def _scale(metric: Metric, unit: str) -> tuple[float, str]:
    """Factor and unit to show a metric in: millimetres for lengths where the topology's unit is known, percent for shares."""
    own = metric.unit_in(unit)
    if own == "share":
        return 100.0, "%"
    length, square = own.removesuffix("²"), own.endswith("²")
    if length in METRES_PER_UNIT:
        return (METRES_PER_UNIT[length] * 1000) ** (2 if square else 1), "mm²" if square else "mm"
    return 1.0, own


def _number(value: float, unit: str, digits: int = 3) -> str:
    """At most `digits` digits; a power of ten where there would be too many zeros."""
    if unit == "%":
        return f"{value:.1f}"
    text = f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:.0f}"
    mantissa, _, exponent = text.partition("e")
    return f"{mantissa}·10{str(int(exponent)).translate(SUPERSCRIPTS)}" if exponent else text


def _length(value: float, unit: str) -> str:
    """A length to read: millimetres where the unit is known."""
    return f"{value * METRES_PER_UNIT[unit] * 1000:.2f} mm" if unit in METRES_PER_UNIT else f"{value:.3g} {unit}"


def _robustness(result: EvaluationResult) -> Table:
    """Every degraded sound beside the clean one, for every model that was tried in it."""
    degraded = list(result.degraded())
    if not degraded:
        return Table((), ())
    unit, shown = result.about.unit, [BY_NAME[name] for name in ROBUSTNESS if name in result.model.means]
    rows = []
    for name, scores in result.models.items():
        if scores.degradations:
            cells = (Cell(), *(_cell(metric, scores.means.get(metric.name), unit) for metric in shown))
            rows.append(Row("clean" if name == MODEL else f"{name}, clean", "", cells))
    for name, degradation, found in degraded:
        change = Cell(_change(found, result.models[name].error), best=True)
        cells = (change, *(_cell(metric, found.get(metric.name), unit) for metric in shown))
        rows.append(Row(degradation if name == MODEL else f"{name}, {degradation}", "", cells))
    heads = [f"{metric.title}, {_scale(metric, unit)[1]}" for metric in shown]
    return Table((f"change of the {'lip ' * (result.model.error == 'lve')}error", *heads), tuple(rows))


def _bar(name: str, value: float) -> dict[str, Any]:
    return {"name": name, "text": f"{value:.2f}", "width": f"{abs(value) * BAR_REM:.2f}", "negative": value < 0}


def _picture(picture: Picture, result: EvaluationResult) -> dict[str, str]:
    worst, unit = picture.worst, result.about.unit
    error = math.sqrt(worst.error) if result.model.error == "lve" else worst.error
    return {
        "clip": worst.clip,
        "size": f"{'√LVE' if result.model.error == 'lve' else 'MVE'} {_length(error, unit)}",
        "seed": str(worst.seed),
        "style": worst.style_name,
        "sentence": picture.sentence,
        "start": f"{picture.start:.2f}" if picture.start else "",
        "times": ", ".join(f"{seconds:.2f} s" for seconds in picture.seconds),
        "video": _data_url(picture.video, "video/mp4"),
        "still": _data_url(picture.still, "image/png"),
    }


def _data_url(path: Path, kind: str) -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _glossary(result: EvaluationResult) -> list[dict[str, str]]:
    seen = {name for scores in result.models.values() for name in scores.means} | set(result.recorded)
    return [
        {
            "title": metric.title,
            "name": metric.name,
            "meaning": metric.meaning,
            "region": result.about.regions.get(metric.region, ""),
            "unit": metric.unit_in(result.about.unit),
        }
        for metric in METRICS
        if metric.name in seen
    ]


def _provenance(result: EvaluationResult) -> list[str]:
    lines = [f"{name}: {text}" for name, text in result.about.regions.items()]
    for name, scores in result.models.items():
        if name not in BASELINES:
            facts = [
                f"{key}: {value}" for key, value in scores.checkpoint.items() if isinstance(value, str | int | float)
            ]
            of_which = "" if name == MODEL else f" of {name}"
            lines.append(f"Checkpoint{of_which}: {'; '.join(facts) or 'not named'}")
    return lines
