"""The corpus under a real Lightning trainer: stopped in the middle, it continues with the next batch."""

from __future__ import annotations

import logging
from pathlib import Path

import lightning
import torch
from corpora import write_corpus

from diffspeaker3d.data.loader import ClipDataModule


class Recorder(lightning.LightningModule):
    """Learns nothing much and remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[str, float]] = []

    def training_step(self, batch: dict) -> torch.Tensor:
        self.seen += zip(batch["clip"], batch["motion"][:, 0, 0].tolist(), strict=True)
        return (self.weight - batch["motion"].mean()).square()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(root: Path, steps: int, resume: Path | None = None, save: Path | None = None) -> Recorder:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = lightning.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        limit_val_batches=0,
    )
    model = Recorder()
    trainer.fit(
        model,
        datamodule=ClipDataModule(root, batch_size=2, crop_seconds=0.4, seed=4),
        ckpt_path=resume,
        weights_only=True,
    )
    if save is not None:
        trainer.save_checkpoint(save)
    return model


def test_a_stopped_training_continues_with_the_next_batch(tmp_path: Path) -> None:
    write_corpus(tmp_path, [40, 20, 33, 51, 28, 60, 45])  # three batches of two an epoch
    whole = fit(tmp_path, 8)
    for stop in (2, 3, 4):
        part = fit(tmp_path, stop, save=tmp_path / "part.ckpt")
        rest = fit(tmp_path, 8, resume=tmp_path / "part.ckpt")
        assert part.seen + rest.seen == whole.seen
        assert torch.equal(rest.weight, whole.weight)


def test_validation_shows_whole_clips_in_order(tmp_path: Path) -> None:
    write_corpus(tmp_path, [9, 5])
    module = ClipDataModule(tmp_path, batch_size=2)
    assert [b["clip"] + b["num_frames"].tolist() for b in module.whole_clips("train")] == [["ann_00", 9], ["bob_01", 5]]
