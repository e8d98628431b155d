"""A clip to look at while the run goes on."""

from __future__ import annotations

import logging
from pathlib import Path

import av
import pytest
from small_run import configure

from diffspeaker3d.training import preview
from diffspeaker3d.training.run import train


def test_every_second_validation_leaves_a_video_of_both(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four epochs of three steps: videos after the second and the fourth, two panels wide, with the clip's sound."""
    monkeypatch.setattr(preview, "SIZE", (64, 64))
    out = tmp_path / "run"
    train(configure(corpus, out, "trainer.max_steps=12", "preview_every=2"))
    assert {p.name for p in (out / "previews").iterdir()} == {"step-000006.mp4", "step-000012.mp4"}
    with av.open(str(out / "previews" / "step-000006.mp4")) as video:
        frames = list(video.decode(video=0))
        assert len(frames) == 20 and (frames[0].width, frames[0].height) == (128, 64) and video.streams.audio
    assert (out / "logs" / "metrics.csv").is_file() and list((out / "logs").glob("events.out.tfevents.*"))


def test_a_machine_that_cannot_draw_trains_all_the_same(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from diffspeaker3d.errors import InputError

    def fail(*_: object, **__: object) -> int:
        raise InputError("renderer=auto: none works here")

    monkeypatch.setattr(preview, "render_animation", fail)
    with caplog.at_level(logging.WARNING):
        train(configure(corpus, tmp_path / "run", "preview_every=1"))
    assert caplog.text.count("no preview") == 1 and (tmp_path / "run" / "checkpoint").is_dir()
    assert not list((tmp_path / "run").glob("previews/*"))
