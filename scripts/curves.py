"""What a training run looked like: python scripts/curves.py RUN OUT (extra `docs`).

RUN is the folder of a run (its logs/metrics.csv is read). OUT.csv gets the log, one row for so many steps with the mean
of what was logged in between, OUT.png the curves.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

ROWS = 40  # of the kept log
COLUMNS = 3  # of the picture
Curve = Mapping[int, float]
"""Step -> value."""


def read_log(path: Path) -> dict[str, Curve]:
    """Name of a logged number -> its curve."""
    curves: dict[str, dict[int, float]] = defaultdict(dict)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            step = int(row.pop("step")) + 1
            for name, value in row.items():
                if value and name != "epoch":
                    curves[name][step] = float(value)
    return dict(curves)


def thin(curves: Mapping[str, Curve], rows: int = ROWS) -> tuple[list[int], dict[str, list[float | None]]]:
    """Ends of equal pieces of the run, and each curve's mean over each piece (None where it has no value)."""
    last = max(max(curve) for curve in curves.values())
    ends = [round(last * (k + 1) / rows) for k in range(rows)]
    table: dict[str, list[float | None]] = {}
    for name, curve in curves.items():
        pieces = [
            [value for step, value in curve.items() if start < step <= end]
            for start, end in zip([0, *ends[:-1]], ends, strict=True)
        ]
        table[name] = [sum(piece) / len(piece) if piece else None for piece in pieces]
    return ends, table


def write_csv(path: Path, ends: Sequence[int], table: Mapping[str, Sequence[float | None]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["step", *table])
        for index, end in enumerate(ends):
            writer.writerow(
                [end, *("" if column[index] is None else f"{column[index]:.4g}" for column in table.values())]
            )


def draw(path: Path, ends: Sequence[int], table: Mapping[str, Sequence[float | None]]) -> None:
    """One picture per term, training and validation together."""
    from matplotlib.figure import Figure

    terms = list(dict.fromkeys(name.partition("/")[2] for name in table))
    rows = -(-len(terms) // COLUMNS)
    figure = Figure(figsize=(4.0 * COLUMNS, 2.8 * rows), layout="constrained")
    for axes, term in zip(figure.subplots(rows, COLUMNS, squeeze=False).flat, terms, strict=False):
        for part, style in (("train", "-"), ("val", "o-")):
            points = [
                (end, value)
                for end, value in zip(ends, table.get(f"{part}/{term}", ()), strict=False)
                if value is not None
            ]
            if points:
                axes.plot(*zip(*points, strict=True), style, markersize=3, label=part)
        axes.set(title=term, xlabel="step", yscale="log")
        axes.yaxis.set_major_formatter("{x:.3g}")
        axes.yaxis.set_minor_formatter("{x:.3g}")
        axes.grid(alpha=0.3, which="both")
        axes.legend()
    figure.savefig(path, dpi=90)


def main(run: Path, out: Path) -> None:
    ends, table = thin(read_log(run / "logs" / "metrics.csv"))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_csv(out.with_suffix(".csv"), ends, table)
    draw(out.with_suffix(".png"), ends, table)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
