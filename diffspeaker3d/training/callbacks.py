"""What watches a training run: a stop at the first non-finite loss, exports on the way, a line of progress."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from diffspeaker3d.errors import InputError
from diffspeaker3d.training.state import EveryNSteps

log = logging.getLogger(__name__)

NAMED_CLIPS = 4  # an error names at most so many


class StopAtNonFiniteLoss(Callback):
    """A NaN changes no weight and reaches no checkpoint: training stops before its gradient, naming step and clips."""

    def __init__(self) -> None:
        self.batch: dict[str, Any] = {}

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_index: int) -> None:
        self.batch = batch

    def on_before_backward(self, trainer: Trainer, module: LightningModule, loss: torch.Tensor) -> None:
        finite = bool(torch.isfinite(loss).all())
        if trainer.strategy.reduce_boolean_decision(finite, all=True):
            return
        if finite:
            raise InputError(
                f"stopped at step {trainer.global_step}: the loss of another process is not finite, see its message"
            )
        where = f"the loss is {float(loss.detach())} at step {trainer.global_step}"
        broken = broken_clips(self.batch)
        if broken:
            raise InputError(
                f"{where}: motion or sound of clip {', '.join(broken)} is not finite; the last good state is kept: prepare the corpus again, or take the clip out"
            )
        clips = ", ".join(self.batch["clip"][:NAMED_CLIPS])
        raise InputError(
            f"{where} (clips {clips}); the last good state is kept: lower optimizer.lr or look at those clips"
        )


def broken_clips(batch: dict[str, Any]) -> list[str]:
    """Ids of the batch's clips that hold a number that is not finite."""
    fine = batch["motion"].isfinite().flatten(1).all(1) & batch["waveform"].isfinite().all(1)
    return [clip for clip, good in zip(batch["clip"], fine.tolist(), strict=True) if not good]


class Export(EveryNSteps):
    """Writes the averaged model as a checkpoint folder now and then, so that a run can be tried while it goes on.

    Args:
        write: writes it.
        every_n_steps: how often.
    """

    def __init__(self, write: Callable[[LightningModule], None], every_n_steps: int) -> None:
        super().__init__(every_n_steps)
        self.write = write

    def act(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.is_global_zero:
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
            losses = "  ".join(
                f"{k.removeprefix('train/')} {float(v):.4g}"
                for k, v in sorted(trainer.callback_metrics.items())
                if k.startswith("train/")
            )
            log.info("step %d/%s  %s  %.2f steps/s", step, trainer.max_steps, losses, rate)
            self.since = (step, now)


@contextmanager
def plain_worker_errors() -> Iterator[None]:
    """What a reading process died of, in one line."""
    try:
        yield
    except InputError as error:  # raised in a worker, it arrives as that worker's whole traceback
        if not str(error).startswith("Caught InputError in DataLoader worker"):
            raise
        raise InputError(str(error).strip().splitlines()[-1].partition(": ")[2]) from error
    except RuntimeError as error:
        died = re.search(r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\)[^\n]*", str(error))
        if died is None:
            raise
        raise InputError(
            f"{died[0].rstrip('. ')}; the last good state is kept: start again, with more memory or fewer data.num_workers"
        ) from error
