"""A run that is stopped, killed or damaged ends with the weights of one that never was."""

from __future__ import annotations

import logging
import shutil
import signal
from pathlib import Path

import pytest
from small_run import configure, equal, saved, start

from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.errors import InputError
from diffspeaker3d.topology import load_topology
from diffspeaker3d.training.callbacks import Progress
from diffspeaker3d.training.run import train
from diffspeaker3d.training.state import LAST, PARTIAL, PREVIOUS, newest_state


class Stopped(Exception):
    """The accident."""


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """The run dies after this step, once the callbacks before Progress have had their turn."""

    def die(self: Progress, trainer: object, *_: object) -> None:
        if trainer.global_step == step:
            raise Stopped

    monkeypatch.setattr(Progress, "on_train_batch_end", die)


def test_resuming_is_bitwise(corpus: Path, tmp_path: Path, whole: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the middle of an epoch, at its end, and between two saved states."""
    for stop, every in ((2, 1), (3, 1), (5, 2)):
        out = tmp_path / f"stopped{stop}"
        with monkeypatch.context() as accident, pytest.raises(Stopped):
            stop_at(accident, stop)
            train(configure(corpus, out, f"save_every={every}"))
        assert saved(out / LAST)["global_step"] == stop - stop % every
        train(configure(corpus, out, f"save_every={every}"))
        assert equal(saved(out / LAST), whole), f"stopped after step {stop}"


@pytest.mark.parametrize(
    "settings",
    [
        ["trainer.accumulate_grad_batches=2"],
        ["trainer.precision=bf16-mixed", "data.num_workers=1", "data.augment=true", "draws=2"],
    ],
)
def test_resuming_is_bitwise_in_other_ways_to_train(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str]
) -> None:
    """With accumulated gradients; as the default recipe trains: 16 bits, a reading process, changed voices."""
    train(configure(corpus, tmp_path / "whole", *settings))
    with monkeypatch.context() as accident, pytest.raises(Stopped):
        stop_at(accident, 3)
        train(configure(corpus, tmp_path / "stopped", *settings))
    train(configure(corpus, tmp_path / "stopped", *settings))
    assert equal(saved(tmp_path / "stopped" / LAST), saved(tmp_path / "whole" / LAST))


@pytest.mark.parametrize("damage", ["cut", "flipped", "not a zip", "empty"])
def test_a_damaged_state_gives_way_to_the_one_before(
    corpus: Path, tmp_path: Path, whole: dict, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "whole"
    content = bytearray((out / LAST).read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged = {"cut": content[: len(content) // 2], "flipped": content, "not a zip": b"x" * 100, "empty": b""}[damage]
    (out / LAST).write_bytes(damaged)
    with caplog.at_level(logging.WARNING):
        assert newest_state(out) == out / PREVIOUS
    assert "last.ckpt: is damaged" in caplog.text
    if damage == "flipped":
        train(configure(corpus, out))
        assert equal(saved(out / LAST), whole)


def test_another_runs_folder_is_refused(corpus: Path, tmp_path: Path, whole: dict) -> None:
    with pytest.raises(InputError, match="holds a run with other settings"):
        train(configure(corpus, tmp_path / "whole", "optimizer.lr=1"))
    assert equal(saved(tmp_path / "whole" / LAST), whole)


def test_killed_at_any_moment_it_ends_with_the_same_weights(corpus: Path, tmp_path: Path, whole: dict) -> None:
    """Kill -9 in the middle of writing a state and between its two renames; then it goes on."""
    out = tmp_path / "killed"
    in_write = """
import os, signal, torch
save = torch.save
def half(content, stream):
    save(content, stream)
    if content["global_step"] == 2:
        stream.truncate(stream.tell() // 2)
        os.kill(os.getpid(), signal.SIGKILL)
torch.save = half
"""
    between = """
import os, pathlib, signal
replace, count = pathlib.Path.replace, []
def dying(self, target):
    count.append(replace(self, target))
    if str(target).endswith("previous.ckpt") and len(count) > 4:
        os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path.replace = dying
"""
    for accident, left in ((in_write, {PARTIAL, LAST}), (between, {PARTIAL, PREVIOUS})):
        process = start(corpus, out, accident=accident)
        assert process.wait() == -signal.SIGKILL, process.stderr.read()
        assert left <= {p.name for p in out.iterdir()}
    train(configure(corpus, out))
    assert equal(saved(out / LAST), whole)
    assert PARTIAL not in {p.name for p in out.iterdir()}


def test_killed_before_the_export_it_is_made_up_for(corpus: Path, tmp_path: Path, whole: dict) -> None:
    checkpoint = tmp_path / "whole" / "checkpoint"
    weights = (checkpoint / "model.safetensors").read_bytes()
    shutil.rmtree(checkpoint)
    train(configure(corpus, tmp_path / "whole"))
    assert (checkpoint / "model.safetensors").read_bytes() == weights
    assert load_topology(checkpoint / "topology.npz").hash == Corpus.load(corpus).topology_hash
    assert equal(saved(tmp_path / "whole" / LAST), whole)
