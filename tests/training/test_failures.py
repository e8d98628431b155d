"""What can go wrong in a run is one line, and the last good state stays."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from small_run import configure, equal, saved, start

from diffspeaker3d.data.clips import ClipDataset
from diffspeaker3d.errors import InputError
from diffspeaker3d.training.callbacks import Progress
from diffspeaker3d.training.run import train
from diffspeaker3d.training.state import LAST, PARTIAL, PREVIOUS


def spoil(corpus: Path, clip: str) -> None:
    """One number of the clip becomes NaN, after its statistics have been counted."""
    motion = np.load(corpus / "motion" / f"{clip}.npy")
    motion[:, 0] = np.nan
    np.save(corpus / "motion" / f"{clip}.npy", motion)


def test_a_nan_loss_names_the_clip_and_leaves_a_finite_state(corpus: Path, tmp_path: Path) -> None:
    """Through the door: every state is saved, and none of them holds a NaN."""
    out = tmp_path / "run"
    accident = f"""
import numpy as np
from diffspeaker3d.training import run
module = run.training_module
def spoil(*arguments):
    made = module(*arguments)
    motion = np.load({str(corpus / "motion" / "c4.npy")!r})
    motion[:, 0] = np.nan
    np.save({str(corpus / "motion" / "c4.npy")!r}, motion)
    return made
run.training_module = spoil
"""
    process = start(corpus, out, "data.batch_size=1", accident=accident)
    said = process.communicate()[1]
    assert process.returncode == 2, said
    assert (
        said.splitlines()[-1].startswith("diffspeaker3d: the loss is nan at step")
        and "clip c4 is not finite" in said.splitlines()[-1]
    )
    assert "Traceback" not in said
    state = out / LAST
    assert not state.exists() or all(t.isfinite().all() for t in saved(state)["state_dict"].values())
    assert not (out / PARTIAL).exists()


def test_a_broken_clip_is_found_before_the_first_step(corpus: Path, tmp_path: Path) -> None:
    spoil(corpus, "c4")
    with pytest.raises(InputError, match="motion of clip c4 is not finite"):
        train(configure(corpus, tmp_path / "run"))


def test_weights_that_are_not_finite_are_never_saved(corpus: Path, tmp_path: Path, whole: dict) -> None:
    """A rate beyond all sense: the loss of the step is finite, the weights after it are not."""
    with pytest.raises(InputError, match=r"not finite at step|the loss is"):
        train(configure(corpus, tmp_path / "wild", "optimizer.lr=1e30", "trainer.gradient_clip_val=null"))
    for state in (tmp_path / "wild").glob("*.ckpt"):
        assert all(t.isfinite().all() for t in saved(state)["state_dict"].values())


def test_a_full_disk_is_one_line_and_the_last_state_stays(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / PARTIAL).symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"last\.ckpt: the training state cannot be written \(No space left") as caught:
        train(configure(corpus, out))
    assert "\n" not in str(caught.value)
    assert {p.name for p in out.iterdir()} >= {"run.json", "logs"} and not (out / PARTIAL).is_symlink()


def test_a_disk_that_fills_up_later_leaves_the_last_state(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"

    def fill(self: Progress, trainer: object, *_: object) -> None:
        if trainer.global_step == 4:
            (out / PARTIAL).symlink_to("/dev/full")

    monkeypatch.setattr(Progress, "on_train_batch_end", fill)
    with pytest.raises(InputError, match="the last good state is kept"):
        train(configure(corpus, out))
    assert saved(out / LAST)["global_step"] == 4


def test_a_worker_that_dies_is_named(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(self: ClipDataset, key: object) -> dict:
        if torch.utils.data.get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole_item(self, key)

    whole_item = ClipDataset.__getitem__
    monkeypatch.setattr(ClipDataset, "__getitem__", die)
    with pytest.raises(InputError, match=r"DataLoader worker \(pid.*the last good state is kept"):
        train(configure(corpus, tmp_path / "run", "data.num_workers=1"))


def test_what_a_worker_complains_of_is_one_line(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def complain(self: ClipDataset, key: object) -> dict:
        if torch.utils.data.get_worker_info() is not None:
            raise InputError("c1.wav: cannot be read: gone")
        return whole_item(self, key)

    whole_item = ClipDataset.__getitem__
    monkeypatch.setattr(ClipDataset, "__getitem__", complain)
    with pytest.raises(InputError) as caught:
        train(configure(corpus, tmp_path / "run", "data.num_workers=1"))
    assert str(caught.value) == "c1.wav: cannot be read: gone"


def test_ctrl_c_ends_with_130_and_goes_on_later(corpus: Path, tmp_path: Path, whole: dict) -> None:
    out = tmp_path / "run"
    accident = """
import os, signal
from diffspeaker3d.training.callbacks import Progress
def press(self, trainer, *_):
    if trainer.global_step == 4: os.kill(os.getpid(), signal.SIGINT)
Progress.on_train_batch_end = press
"""
    process = start(corpus, out, accident=accident)
    said = process.communicate()[1]
    assert (
        process.returncode == 130
        and "Traceback" not in said
        and said.splitlines()[-1].startswith("diffspeaker3d: interrupted")
    )
    assert saved(out / LAST)["global_step"] == 4 and (out / PREVIOUS).is_file()
    train(configure(corpus, out))
    assert equal(saved(out / LAST), whole)
