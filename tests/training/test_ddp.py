"""Two processes learn what one with twice the batch learns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
from small_run import arguments, configure, saved, write_encoder

from diffspeaker3d.training.run import train
from diffspeaker3d.training.state import LAST

ROOT = Path(__file__).resolve().parents[2]


def test_two_processes_equal_one_with_twice_the_batch(corpus: Path, tmp_path: Path) -> None:
    """Five steps through the door and Lightning's own launcher, clips of one length, no dropout: weights and average to 1e-5."""
    encoder = write_encoder(tmp_path / "encoder")
    same = [
        "audio_encoder=wav2vec2", f"audio_encoder.name_or_path={encoder}", "audio_encoder.trainable=none", "data.cache_features=false",
        "denoiser.dropout=0", "trainer.max_steps=5", "trainer.limit_val_batches=0",
    ]  # fmt: skip
    ddp = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    command = [sys.executable, "-m", "diffspeaker3d.train", *arguments(corpus, tmp_path / "two", *same, *ddp)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr
    train(configure(corpus, tmp_path / "one", *same, "data.batch_size=4"))
    one, two_ended = saved(tmp_path / "one" / LAST), saved(tmp_path / "two" / LAST)
    assert one["global_step"] == two_ended["global_step"] == 5
    torch.testing.assert_close(two_ended["state_dict"], one["state_dict"], atol=1e-5, rtol=0)
