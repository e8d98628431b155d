"""Quality control: a good line passes, every fault is named by its own check, the report is whole and safe to open."""

from __future__ import annotations

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.errors import InputError
from diffspeaker3d.generation.jobs import Job, Result
from diffspeaker3d.metrics.line import LineReport, Thresholds, inspect
from diffspeaker3d.reports.lines import inspect_result, report_lines, wants_report
from diffspeaker3d.reports.quality import Entry, write_report
from diffspeaker3d.topology import Topology, load_topology

FPS, RATE, SECONDS = 30, 16_000, 8
FRAMES = FPS * SECONDS
JAW, CLOSE, SMILE = (CONTROL_NAMES.index(name) for name in ("jawOpen", "mouthClose", "mouthSmileLeft"))
PAUSE = slice(4 * FPS, 5 * FPS + 15)


def syllables(times: np.ndarray) -> np.ndarray:
    """Loudness in [0, 1] of speech without a beat, with a pause from 4 to 5.5 s."""
    rng = np.random.default_rng(0)
    starts = np.cumsum(rng.uniform(0.15, 0.45, 40))
    starts = starts[((starts < 3.7) | (starts > 5.7)) & (starts < SECONDS - 0.2)]
    heights = rng.uniform(0.4, 1.0, len(starts))
    return np.asarray((heights * np.exp(-np.square((times[:, None] - starts) / 0.06))).max(1))


def line(weights: np.ndarray) -> Animation:
    topology = load_topology()
    times = np.arange(SECONDS * RATE) / RATE
    voice = sum(np.sin(2 * np.pi * f * times) for f in (200, 400, 600, 800)) / 8
    waveform = (voice * np.square(syllables(times))).astype(np.float32)
    return Animation.from_weights(weights, FPS, topology, topology.template(), waveform=waveform, sample_rate=RATE)


@pytest.fixture(scope="module")
def good() -> np.ndarray:
    weights = np.zeros((FRAMES, len(CONTROL_NAMES)), np.float32)
    weights[:, JAW] = 0.5 * syllables(np.arange(FRAMES) / FPS)
    return weights


def test_a_good_line_passes_and_its_numbers_are_true(good: np.ndarray) -> None:
    found = inspect(line(good), "good.wav")
    assert found.failures == () and found.severity < 1
    assert found.duration_s == SECONDS and abs(found.lag_s) < 0.02 and found.sync > 0.9
    assert found.silence_drift_mm < 0.1 and found.silence_speed_mm < 0.1 and found.clipping == 0
    assert found.closures is None and found.closures_missed is None
    assert len(found.opening_mm) == len(found.loudness) == FRAMES


@pytest.mark.parametrize("frames", [-8, -5, 5, 8])
def test_a_shifted_mouth_is_off_by_just_that_much(good: np.ndarray, frames: int) -> None:
    found = inspect(line(np.roll(good, frames, 0)))
    assert found.lag_s == pytest.approx(frames / FPS, abs=0.01)
    assert any(("late" if frames > 0 else "early") in failure for failure in found.failures)


def spoil(weights: np.ndarray, fault: str) -> np.ndarray:
    bad = weights.copy()
    if fault == "hardly moves":
        bad[:, JAW] *= 0.02
    elif fault == "pop":
        bad[40:42, SMILE], bad[41, SMILE] = 0, 1
        bad[40:42, JAW] = [0, 1]
    elif fault == "stands at its stop":
        bad[: FRAMES // 2, SMILE] = 1
    elif fault == "off its rest":
        bad[PAUSE, JAW] = np.maximum(bad[PAUSE, JAW], 0.3)
    elif fault == "moves in pauses":
        bad[PAUSE, JAW] += 0.06 + 0.06 * np.sin(np.arange(45) * 1.2)
    elif fault == "tremble":
        bad[:, SMILE] = 0.5 + 0.4 * np.where(np.arange(FRAMES) % 2, 1, -1)
    elif fault == "does not follow":
        bad[:, JAW] = 0.25 + 0.2 * np.sin(np.arange(FRAMES) * 0.02)
    return bad


@pytest.mark.parametrize(
    "fault",
    ["hardly moves", "pop", "stands at its stop", "off its rest", "moves in pauses", "tremble", "does not follow"],
)
def test_every_fault_is_named(good: np.ndarray, fault: str) -> None:
    found = inspect(line(spoil(good, fault)))
    assert any(fault in failure for failure in found.failures), found
    assert found.severity > 1


def test_closures_are_counted_where_phones_tell(good: np.ndarray) -> None:
    bilabials = [(1.0, 1.1), (2.0, 2.1), (3.0, 3.1), (6.0, 6.1)]
    weights = good.copy()
    weights[:, JAW] = 0.4
    for start, end in bilabials[:3]:
        closed = slice(int(start * FPS), int(end * FPS) + 1)
        weights[closed, CLOSE] = weights[closed, JAW]
    found = inspect(
        line(weights), bilabials=bilabials, thresholds=dataclasses.replace(Thresholds(), closures_missed=0.2)
    )
    assert (found.closures, found.closures_missed) == (4, 1)
    assert any("1 of 4 p, b, m" in failure for failure in found.failures)


def test_what_cannot_be_measured_is_left_out(tiny_topology: Topology, good: np.ndarray) -> None:
    silent = dataclasses.replace(line(good), waveform=np.zeros(SECONDS * RATE, np.float32))
    found = inspect(silent)
    assert found.lag_s is None and found.speech_speed_mm is None and found.silence_speed_mm > 0
    mute = inspect(dataclasses.replace(line(good), waveform=None, sample_rate=None))
    assert mute.lag_s is None and mute.silence_drift_mm is None and mute.jitter > 0
    bare = Animation(np.repeat(tiny_topology.template()[None], 2, 0), 30.0, tiny_topology, tiny_topology.template())
    lipless = inspect(dataclasses.replace(bare, topology=dataclasses.replace(tiny_topology, regions={})))
    assert lipless.jitter is None and lipless.clipping is None and lipless.failures == ()
    one_frame = Animation.from_weights(
        good[:1], 30.0, load_topology(), load_topology().template(), waveform=np.ones(600, np.float32), sample_rate=RATE
    )
    assert inspect(one_frame).failures == ()


class Reader(HTMLParser):
    """Collects what a browser would fetch or follow, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.words = ""
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for key, value in attributes if key in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_report_is_sorted_self_contained_and_safe(good: np.ndarray, tmp_path: Path) -> None:
    names = {"fine": good, "<script>alert(1)</script>": spoil(good, "hardly moves"), "late": np.roll(good, 5, 0)}
    entries = [
        Entry(inspect(line(w), name), (str(tmp_path / f"{i} #?.glb"),)) for i, (name, w) in enumerate(names.items())
    ]
    entries.append(Entry(LineReport("broken.wav", 0.0), error="broken.wav: not sound"))
    page, data = write_report(entries, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.json"]
    content = json.loads(data.read_text("utf-8"))
    assert (content["lines"], content["failed"]) == (4, 3)
    assert [r["name"] for r in content["reports"]] == ["broken.wav", "<script>alert(1)</script>", "late", "fine"]
    assert content["reports"][3]["failures"] == [] and content["reports"][3]["outputs"] == ["0 #?.glb"]
    assert content["thresholds"] == dataclasses.asdict(Thresholds())
    reader = Reader()
    reader.feed(page.read_text("utf-8"))
    assert set(reader.references) == {"data:,", "0%20%23%3F.glb", "1%20%23%3F.glb", "2%20%23%3F.glb"}
    assert "script" not in reader.tags and reader.tags.count("svg") == 3
    assert "3 of 4 lines need a look" in reader.words and "mouth is 167 ms late" in reader.words


def test_strict_makes_a_failing_line_count(good: np.ndarray, tmp_path: Path) -> None:
    jobs = [Job(tmp_path / f"{n}.wav", (str(tmp_path / "out" / f"{n}.glb"), "vmc://127.0.0.1:1")) for n in "ab"]
    inspected = [
        inspect_result(Result(jobs[0], line(good))),
        inspect_result(Result(jobs[1], line(spoil(good, "hardly moves")))),
    ]
    assert inspected[0].outputs == (str(tmp_path / "out" / "a.glb"),)
    assert report_lines(inspected, jobs, strict=False) == []
    (failure,) = report_lines(inspected, jobs, strict=True)
    assert failure.startswith("b.wav: mouth hardly moves")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"report.html", "report.json"}
    assert inspect_result(Result(jobs[0], error=InputError("no sound"))).failures == ("no sound",)


@pytest.mark.parametrize(
    ("qc", "jobs", "wanted"), [(True, 1, False), (True, 2, True), (False, 2, False), ("strict", 1, True)]
)
def test_batches_are_inspected_unless_told_otherwise(qc: object, jobs: int, wanted: bool) -> None:
    assert wants_report(qc, jobs) is wanted
    with pytest.raises(InputError, match="known: false, true"):
        wants_report("sometimes", jobs)
