"""What watches a training run: checkpoints that survive anything, a stop at the first non-finite loss, a clip to look at."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from diffspeaker3d.errors import InputError

log = logging.getLogger(__name__)

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


class LastCheckpoint(Callback):
    """Keeps the newest and the second newest training state, each whole: written beside, then renamed.

    Args:
        folder: where they lie.
        every_n_steps: how often; the end of training writes too.
    """

    def __init__(self, folder: str | Path, every_n_steps: int) -> None:
        self.folder = Path(folder)
        self.every_n_steps = every_n_steps

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        if trainer.global_step and trainer.global_step % self.every_n_steps == 0:
            self.write(trainer)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        if not trainer.interrupted:
            self.write(trainer)

    def write(self, trainer: Trainer) -> None:
        """Every rank takes part (a sharded strategy gathers); the first one puts the finished file in its place.

        Killed between the two renames, the run still has `previous.ckpt`.
        """
        partial = self.folder / f".writing-{LAST}"
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            last = self.folder / LAST
            if last.is_file():
                last.replace(self.folder / PREVIOUS)
            partial.replace(last)


def newest_state(folder: str | Path) -> Path | None:
    """The newest readable training state in a run's folder, or None: a damaged one is named and passed over."""
    for name in (LAST, PREVIOUS):
        path = Path(folder) / name
        if path.is_file():
            try:
                torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            except (RuntimeError, OSError, ValueError, EOFError) as error:
                log.warning("%s: cannot be read (%s), trying the one before", path, error)
                continue
            return path
    return None


class StopAtNonFiniteLoss(Callback):
    """A NaN never reaches a checkpoint: training stops with the step and the clips that made it."""

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, *_: Any) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if loss is not None and not torch.isfinite(loss).all():
            clips = ", ".join(batch["clip"][:4])
            raise InputError(f"the loss is {float(loss)} at step {trainer.global_step} (clips {clips}); the last good checkpoint is kept: lower the rate or check those clips")


class Export(Callback):
    """Writes the averaged model as a checkpoint folder now and then, so that a run can be tried while it goes on."""

    def __init__(self, write: Callable[[LightningModule], None], every_n_steps: int) -> None:
        self.write = write
        self.every_n_steps = every_n_steps

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        if trainer.is_global_zero and trainer.global_step and trainer.global_step % self.every_n_steps == 0:
            self.write(module)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.is_global_zero and not trainer.interrupted:
            self.write(module)


class Progress(Callback):
    """One line every so many steps: step, losses, steps per second."""

    def __init__(self, every_n_steps: int) -> None:
        self.every_n_steps = every_n_steps
        self.since = (0, time.monotonic())

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.since = (trainer.global_step, time.monotonic())

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        step = trainer.global_step
        if trainer.is_global_zero and step % self.every_n_steps == 0 and step > self.since[0]:
            now = time.monotonic()
            rate = (step - self.since[0]) / (now - self.since[1])
            losses = "  ".join(f"{k.removeprefix('train/')} {float(v):.4g}" for k, v in sorted(trainer.callback_metrics.items()) if k.startswith("train/"))
            log.info("step %d/%s  %s  %.2f steps/s", step, trainer.max_steps, losses, rate)
            self.since = (step, now)
