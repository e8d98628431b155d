"""The report as one page: no script, no file beside it, fit for a mail."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from diffspeaker3d.evaluation.glossary import BY_NAME, METRICS, Metric, unit_of
from diffspeaker3d.evaluation.options import BASELINES, MODEL, RECORDED
from diffspeaker3d.evaluation.worst import Picture
from diffspeaker3d.topology import METRES_PER_UNIT

GOOD = {
    "": "",
    "low": "lower is better",
    "high": "higher is better",
    "zero": "best at 0",
    "recorded": "best near the recording",
}
STYLE = """
:root{--ink:#22262d;--soft:#6b7280;--line:#e3e5e9;--tint:#f6f7f9;--mark:#b4432f}
*{box-sizing:border-box}
body{margin:0 auto;max-width:68rem;padding:2.5rem 1.5rem 4rem;font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;color:var(--ink);background:#fff}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 .3rem}
h2{font-size:1.2rem;margin:2.6rem 0 .5rem}
h3{font-size:1rem;margin:1.6rem 0 .4rem}
p{margin:.4rem 0 .8rem;max-width:46rem}
.soft,small{color:var(--soft)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.42rem 0 .42rem 1.4rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap;vertical-align:top}
th:first-child,td:first-child{text-align:left;padding-left:0}
thead th{font-weight:600;white-space:normal;border-bottom:2px solid var(--ink);vertical-align:bottom}
tbody tr:hover{background:var(--tint)}
td small{display:block}
td.best{font-weight:650}
td.best .soft,td.best small{font-weight:400}
td.text{white-space:normal;text-align:left}
.words th{text-align:left}
.facts{display:flex;flex-wrap:wrap;gap:.4rem 2.2rem;margin:1rem 0;padding:.9rem 1.1rem;background:var(--tint);border-radius:.5rem;font-size:.9rem}
.facts b{display:block;font-weight:600}
figure{margin:0}
img,video{max-width:100%;height:auto;border:1px solid var(--line);border-radius:.4rem;display:block}
.bars{columns:2;column-gap:3rem;font-size:.85rem;font-variant-numeric:tabular-nums}
.bars div{display:flex;align-items:center;gap:.6rem;padding:.12rem 0;break-inside:avoid}
.bars span{flex:0 0 10.5rem}
.bars b{flex:0 0 2.6rem;text-align:right;font-weight:400}
.bars i{height:.55rem;background:#6d87a8;border-radius:2px}
.bars i.less{background:var(--mark)}
@media(max-width:48rem){.bars{columns:1}}
@media print{body{max-width:none;padding:0}h2{break-after:avoid}figure{break-inside:avoid}video{display:none}}
"""


def page(numbers: Mapping[str, Any], pictures: Sequence[Picture]) -> str:
    """The whole page."""
    title = f"{numbers['corpus']}, split {numbers['split']}: how well the face follows the voice"
    parts = [
        f"<h1>{escape(title)}</h1>", _facts(numbers), "<h2>In short</h2>", "".join(f"<p>{line}</p>" for line in in_short(numbers)),
        "<h2>All numbers</h2>", _intervals_note(numbers), _metrics_table({**numbers["models"], RECORDED: numbers["recorded"]}, numbers),
        _section("By kind of voice or speaker", "Model only.", numbers["groups"], numbers),
        _section("By style", "Every clip of an unseen speaker is predicted in each training style.", numbers["styles"], numbers),
        _conditions(numbers), _controls(numbers), _worst(pictures, numbers), _glossary(numbers), _provenance(numbers),
    ]  # fmt: skip
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def in_short(numbers: Mapping[str, Any]) -> list[str]:
    """The few sentences that most readers want, as HTML."""
    model, unit = numbers["models"][MODEL], numbers["unit"]
    lines = []
    if "lve" in model:
        others = [
            f"{_length(scores['lve'] ** 0.5, unit)} for {'the baseline ' * (name in BASELINES)}{escape(name)}"
            for name, scores in numbers["models"].items()
            if name != MODEL and "lve" in scores
        ]
        lines.append(
            f"In a typical frame the worst lip vertex is off by <b>{_length(model['lve'] ** 0.5, unit)}</b> (root of LVE){'; it is ' + ', '.join(others) if others else ''}."
        )
    if "closure_recall" in model:
        lines.append(
            f"<b>{model['closure_recall']:.0%}</b> of the spoken p, b and m show closed lips; {model.get('false_closures', 0):.0%} of open vowel frames show them too."
        )
    if "seed_share_upper_face" in model and "seed_share_lips" in model:
        lines.append(
            f"Between seeds the lips change by {model['seed_share_lips']:.0%} of how much unrelated frames differ, the upper face by {model['seed_share_upper_face']:.0%}."
        )
    if "blinks_per_minute" in model:
        lines.append(
            f"{model['blinks_per_minute']:.1f} blinks per minute; the recording has {numbers['recorded'].get('blinks_per_minute', 0):.1f}."
        )
    return lines


def _facts(numbers: Mapping[str, Any]) -> str:
    seconds = numbers["frames"] / numbers["fps"]
    facts = {
        "clips": f"{numbers['clips']} ({seconds / 60:.1f} min)" if seconds >= 60 else f"{numbers['clips']} ({seconds:.1f} s)",
        "frames per second": f"{numbers['fps']:g}", "seeds": ", ".join(map(str, numbers["seeds"])), "steps": numbers["steps"] or "the checkpoint's own",
        "topology": f"{numbers['topology']} ({numbers['topology_hash'][:8]})", "unit of length": numbers["unit"],
    }  # fmt: skip
    return (
        '<div class="facts">'
        + "".join(f"<div><small>{escape(key)}</small><b>{escape(str(value))}</b></div>" for key, value in facts.items())
        + "</div>"
    )


def _intervals_note(numbers: Mapping[str, Any]) -> str:
    count = len(numbers["seeds"])
    if count > 1:
        return f"<p class=soft>Mean ± 1.96 s/√n over the model's n = {count} seeds, each a whole evaluation: how much chance is in a number, not how much clips differ. Bold: best of its row.</p>"
    return "<p class=soft>One seed, so no confidence intervals, diversity or coverage error; give seeds=[0,10,20]. Bold: best of its row.</p>"


def _metrics_table(columns: Mapping[str, Mapping[str, float]], numbers: Mapping[str, Any], contest: bool = True) -> str:
    """Metrics as rows, `columns` as columns."""
    rows = []
    for metric in METRICS:
        if any(metric.name in column for column in columns.values()):
            best = _best(metric, numbers) if contest else set()
            cells = [
                _cell(
                    metric,
                    column.get(metric.name),
                    numbers["intervals"].get(key, {}).get(metric.name),
                    key in best,
                    numbers["unit"],
                )
                for key, column in columns.items()
            ]
            unit = " · ".join(filter(None, (escape(_scale(metric, numbers["unit"])[1]), GOOD[metric.good])))
            rows.append([f"<td>{escape(metric.title)}<small>{unit}</small></td>", *cells])
    return _table(["", *map(escape, columns)], rows)


def _best(metric: Metric, numbers: Mapping[str, Any]) -> set[str]:
    """Which models win a row; none where there is no contest."""
    values = {name: scores[metric.name] for name, scores in numbers["models"].items() if metric.name in scores}
    aim = numbers["recorded"].get(metric.name) if metric.good == "recorded" else 0.0
    if len(set(values.values())) < 2 or aim is None or not metric.good:
        return set()
    distances = {name: -value if metric.good == "high" else abs(value - aim) for name, value in values.items()}
    return {name for name, distance in distances.items() if distance == min(distances.values())}


def _cell(metric: Metric, value: float | None, width: float | None, best: bool, unit: str) -> str:
    if value is None:
        return "<td></td>"
    factor, shown_unit = _scale(metric, unit)
    text = _number(value * factor, shown_unit) + (
        "" if width is None else f" <span class=soft>± {_number(width * factor, shown_unit, 2)}</span>"
    )
    root = (
        f"<small>√ {_length(math.sqrt(value), unit)}</small>" if metric.region == "lips" and metric.unit == "u²" else ""
    )
    return f"<td{' class=best' if best else ''}>{text}{root}</td>"


def _scale(metric: Metric, unit: str) -> tuple[float, str]:
    """Factor and unit to show a metric in: millimetres for lengths where the topology's unit is known, percent for shares."""
    own = unit_of(metric, unit)
    if own == "share":
        return 100.0, "%"
    length, square = own.removesuffix("²"), own.endswith("²")
    if length in METRES_PER_UNIT:
        return (METRES_PER_UNIT[length] * 1000) ** (2 if square else 1), "mm²" if square else "mm"
    return 1.0, own


def _number(value: float, unit: str, digits: int = 3) -> str:
    """So many digits; a power of ten where there would be too many zeros."""
    if unit == "%":
        return f"{value:.1f}"
    text = f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:.0f}"
    mantissa, _, exponent = text.partition("e")
    return f"{mantissa}·10<sup>{int(exponent)}</sup>" if exponent else text


def _section(title: str, note: str, columns: Mapping[str, Mapping[str, float]], numbers: Mapping[str, Any]) -> str:
    return (
        f"<h2>{title}</h2><p class=soft>{note}</p>{_metrics_table(columns, numbers, contest=False)}" if columns else ""
    )


def _conditions(numbers: Mapping[str, Any]) -> str:
    if not numbers["conditions"]:
        return ""
    clean = numbers["models"][MODEL]
    shown = [name for name in ("lve", "mve", "mouth_opening_distance", "mtm_ms", "closure_recall") if name in clean]
    rows = [
        [
            f"<td>{escape(who)}</td>",
            "<td></td>",
            *(_cell(BY_NAME[name], numbers["models"][key].get(name), None, False, numbers["unit"]) for name in shown),
        ]
        for key, who in _cleans(numbers)
    ]
    for condition, found in every_condition(numbers):
        key = "lve_change" if "lve_change" in found else "mve_change"
        width = found.get(f"{key}_interval")
        change = (
            f"{found[key]:+.1%}" + (f" <span class=soft>± {width:.1%}</span>" if width is not None else "")
            if key in found
            else ""
        )
        rows.append(
            [
                f"<td>{escape(condition)}</td>",
                f"<td><b>{change}</b></td>",
                *(_cell(BY_NAME[name], found.get(name), None, False, numbers["unit"]) for name in shown),
            ]
        )
    units = [
        f"{escape(BY_NAME[name].title)}<br><small>{escape(_scale(BY_NAME[name], numbers['unit'])[1])}</small>"
        for name in shown
    ]
    note = "The same clips, the sound changed: babble is a crowd of six other voices so many decibels below the speech; telephone keeps 300 to 3400 Hz; mp3 goes through an encoder and back; gain is in decibels and clips at full scale."
    return f"<h2>Worse sound</h2><p class=soft>{note}</p>" + _table(
        ["condition", "change of the lip error" if "lve" in clean else "change of the error", *units], rows
    )


def every_condition(numbers: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Changed sounds with their numbers: the model's, then those of every model beside it under its name."""
    yield from numbers["conditions"].items()
    for name, other in numbers["against"].items():
        yield from ((f"{name}, {condition}", found) for condition, found in other["conditions"].items())


def _cleans(numbers: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Models with what their unchanged sound is called beside `every_condition`."""
    yield MODEL, "clean"
    yield from ((name, f"{name}, clean") for name in numbers["against"])


def _controls(numbers: Mapping[str, Any]) -> str:
    if not numbers["controls"]:
        return ""
    bars = []
    for name, value in sorted(numbers["controls"].items(), key=lambda item: -item[1]):
        bars.append(
            f'<div><span>{escape(name)}</span><b>{value:.2f}</b><i{" class=less" if value < 0 else ""} style="width:{abs(value) * 11:.2f}rem"></i></div>'
        )
    note = "Correlation of predicted and recorded weights over all frames, for controls that move in the recording. Red is negative."
    return f"<h2>Control by control</h2><p class=soft>{note}</p><div class=bars>{''.join(bars)}</div>"


def _worst(pictures: Sequence[Picture], numbers: Mapping[str, Any]) -> str:
    if not pictures:
        return ""
    shown = []
    for number, picture in enumerate(pictures, 1):
        case = picture.worst
        size = (
            f"√LVE {_length(math.sqrt(case.error), numbers['unit'])}"
            if "lve" in numbers["models"][MODEL]
            else f"MVE {_length(case.error, numbers['unit'])}"
        )
        times = ", ".join(f"{t:.2f} s" for t in picture.seconds)
        part = f" The video begins at {picture.start:.2f} s." if picture.start else ""
        caption = f"<h3>{number}. {escape(case.clip)}</h3><p class=soft>{size}, seed {case.seed}, style {escape(case.style_name)}. “{escape(picture.sentence)}”{part}</p>"
        shown.append(
            f'<figure>{caption}<video controls playsinline preload=metadata src="{_data(picture.video, "video/mp4")}"></video>'
            f"<p class=soft>The worst moment of each part of the clip: {times}.</p>"
            f'<img alt="recording, prediction and distance of {escape(case.clip)}" src="{_data(picture.still, "image/png")}"></figure>'
        )
    note = "Recording, prediction, and the distance between them in colour, every vertex with its own; the scale, in millimetres where the unit is known, ends at the clip's largest lip error."
    return f"<h2>The worst clips</h2><p class=soft>{note}</p>" + "".join(shown)


def _data(path: Path, kind: str) -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _glossary(numbers: Mapping[str, Any]) -> str:
    seen = {name for scores in (*numbers["models"].values(), numbers["recorded"]) for name in scores}
    rows = []
    for metric in METRICS:
        if metric.name in seen:
            region = numbers["regions"].get(metric.region, "")
            where = f"<small>on {escape(region)}</small>" if region else ""
            rows.append(
                [
                    f"<td>{escape(metric.title)}<small>{escape(metric.name)}</small></td>",
                    f'<td class="text">{escape(metric.meaning)}{where}</td>',
                    f'<td class="text">{escape(unit_of(metric, numbers["unit"]))}</td>',
                ]
            )
    return f"<h2>What the numbers mean</h2><p class=soft>Names and units are those of metrics.json; the tables above show lengths in millimetres where the unit is known.</p><div class=words>{_table(['number', 'meaning', 'unit'], rows)}</div>"


def _provenance(numbers: Mapping[str, Any]) -> str:
    regions = "".join(f"<p class=soft>{escape(name)}: {escape(text)}</p>" for name, text in numbers["regions"].items())
    made = {"Checkpoint": numbers.get("checkpoint", {})} | {
        f"Checkpoint of {name}": other.get("checkpoint", {}) for name, other in numbers["against"].items()
    }
    lines = "".join(
        f"<p class=soft style='overflow-wrap:anywhere'>{escape(what)}: {escape(_said(facts)) or 'not named'}</p>"
        for what, facts in made.items()
    )
    return f"<h2>Where this comes from</h2>{regions}{lines}"


def _said(facts: Mapping[str, Any]) -> str:
    return "; ".join(f"{key}: {value}" for key, value in facts.items() if isinstance(value, str | int | float))


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _length(value: float, unit: str) -> str:
    """A length to read: millimetres where the unit is known."""
    return (
        f"{value * METRES_PER_UNIT[unit] * 1000:.2f} mm" if unit in METRES_PER_UNIT else f"{value:.3g} {escape(unit)}"
    )
