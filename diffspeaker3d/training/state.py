"""The state of a run on disk: the newest and the one before, each whole, whatever happens while it is written."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO

from diffspeaker3d.errors import InputError

log = logging.getLogger(__name__)

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
PARTIAL = f".writing-{LAST}"


class EveryNSteps(Callback):
    """Acts after every n-th optimiser step, once, also when gradients are accumulated over several batches.

    Args:
        every_n_steps: n.
    """

    def __init__(self, every_n_steps: int) -> None:
        self.every_n_steps = every_n_steps
        self.done = 0

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        step = trainer.global_step
        if step != self.done and step % self.every_n_steps == 0:
            self.done = step
            self.act(trainer, module)

    def act(self, trainer: Trainer, module: LightningModule) -> None:
        """What is done then."""
        raise NotImplementedError


class LastCheckpoint(EveryNSteps):
    """Keeps the newest and the second newest training state, each whole: written beside, then renamed.

    Args:
        folder: where they lie.
        every_n_steps: how often; the end of training writes too.
    """

    def __init__(self, folder: str | Path, every_n_steps: int) -> None:
        super().__init__(every_n_steps)
        self.folder = Path(folder)

    def act(self, trainer: Trainer, module: LightningModule) -> None:
        """Every rank takes part (a sharded strategy gathers); the first one puts the finished file in its place.

        Killed between the two renames, the run still has `previous.ckpt`.

        Raises:
            InputError: weights that are not finite, or a file that cannot be written; what was there stays.
        """
        if not all(bool(parameter.isfinite().all()) for parameter in module.parameters()):
            raise InputError(
                f"the weights are not finite at step {trainer.global_step}; the last good state is kept: lower optimizer.lr or set trainer.gradient_clip_val"
            )
        partial, last = self.folder / PARTIAL, self.folder / LAST
        try:
            trainer.save_checkpoint(partial)
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            partial.unlink(missing_ok=True)
            raise InputError(
                f"{last}: the training state cannot be written ({reason}); the last good state is kept: free some space and start again"
            ) from error
        if trainer.is_global_zero:
            if last.is_file():
                last.replace(self.folder / PREVIOUS)
            partial.replace(last)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        if not trainer.interrupted and self.done != trainer.global_step:
            self.act(trainer, module)


class DirectCheckpointIO(TorchCheckpointIO):
    """Writes straight to the path: Lightning's own way holds a second copy in memory and needs room in the system's temporary folder."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        with Path(path).open("wb") as stream:
            torch.save(checkpoint, stream)


def newest_state(folder: str | Path) -> Path | None:
    """The newest whole training state in a run's folder, or None: a damaged one is named and passed over."""
    for name in (LAST, PREVIOUS):
        path = Path(folder) / name
        if not path.is_file():
            continue
        try:
            with zipfile.ZipFile(path) as archive:  # torch's format; each entry has a checksum
                damaged = archive.testzip()
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            damaged = str(error)
        if damaged is None:
            return path
        log.warning("%s: is damaged (%s), trying the one before", path, damaged)
    return None
