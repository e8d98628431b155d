"""The quality report of a batch of lines, as `animate` writes it beside its outputs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffspeaker3d.errors import InputError
from diffspeaker3d.generation.jobs import Job, Result
from diffspeaker3d.generation.outputs import free_stem
from diffspeaker3d.metrics.line import LineReport, inspect
from diffspeaker3d.reports.quality import Entry, write_report
from diffspeaker3d.speech.phones import segments

log = logging.getLogger(__name__)


def wants_report(qc: Any, num_jobs: int) -> bool:
    """Whether the lines are inspected: `true` means those of a batch, `strict` any."""
    if qc not in (True, False, "strict"):
        raise InputError(
            f"qc={qc}: known: false, true (a report beside the outputs of a batch), strict (and exit code 2 when a line fails)"
        )
    return qc == "strict" or (qc and num_jobs > 1)


def inspect_result(result: Result) -> Entry:
    """The quality of one line, or the reason why there is none."""
    job = result.job
    if result.animation is None:
        return Entry(LineReport(job.audio.name, 0.0), error=str(result.error))
    phones = result.animation.phones
    closures = None if phones is None else [(s.start, s.end) for s in segments(phones) if s.viseme == "PP"]
    files = tuple(output for output in job.outputs if "://" not in output)
    return Entry(inspect(result.animation, job.audio.name, bilabials=closures), files)


def report_lines(inspected: Sequence[Entry], jobs: Sequence[Job], strict: bool) -> list[str]:
    """Write report.html and report.json (another name if a line has that one) beside the outputs, say what needs a look, and return it when that counts."""
    failed = [f"{entry.line.name}: {', '.join(entry.line.failures)}" for entry in inspected if entry.line.failures]
    files = [Path(output) for job in jobs for output in job.outputs if "://" not in output]
    pages: tuple[Path, ...] = ()
    if files:
        stem = free_stem("report", (".html", ".json"), files[0].parent, (o for job in jobs for o in job.outputs))
        pages = write_report(inspected, files[0].parent, stem=stem)[:1]
    log.info(
        "%s: %d of %d lines need a look",
        *pages or ("quality",),
        sum(bool(entry.failures) for entry in inspected),
        len(inspected),
    )
    return failed if strict else []
