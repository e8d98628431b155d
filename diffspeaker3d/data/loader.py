"""The corpus as Lightning wants it. Imported by training only: inference never needs Lightning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch.distributed
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from diffspeaker3d.data.clips import Augment, ClipDataset, collate
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.data.sampler import ResumableBatchSampler, ResumableLoader
from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.phones import viseme_frames


class ClipDataModule(LightningDataModule):
    """Training batches of random crops in a resumable order; validation clips whole, in manifest order.

    Args:
        root: folder of a prepared corpus.
        batch_size: clips per batch and process.
        crop_seconds: longest training piece, s; None trains on whole clips.
        num_workers: reading processes per loader.
        seed: of order, crops and augmentation.
        augment: changes training waveforms, see `data.clips.Augment`.
        pin_memory: for training on a GPU.
        features: where the audio features of a clip lie, see `data.clips.ClipDataset`.

    Raises:
        InputError: no corpus there, or nothing to train on.
    """

    def __init__(
        self,
        root: str | Path,
        batch_size: int = 8,
        crop_seconds: float | None = None,
        num_workers: int = 0,
        seed: int = 0,
        augment: Augment | None = None,
        pin_memory: bool = False,
        features: Callable[[ClipRecord], Path] | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise InputError(f"batch_size: must be at least 1, got {batch_size}")
        self.corpus = Corpus.load(root)
        self.batch_size, self.num_workers, self.seed, self.pin_memory = batch_size, num_workers, seed, pin_memory
        self.features = features
        self.train_clips = ClipDataset(
            self.corpus,
            ("train",),
            crop_seconds=crop_seconds,
            seed=seed,
            augment=augment,
            label=viseme_frames,
            features=features,
        )

    def train_dataloader(self) -> ResumableLoader:
        rank, world_size = 0, 1
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            rank, world_size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        sampler = ResumableBatchSampler(len(self.train_clips), self.batch_size, self.seed, rank, world_size)
        return ResumableLoader(self.train_clips, sampler, self.num_workers, self.pin_memory)

    def val_dataloader(self) -> DataLoader:
        return self.whole_clips("val")

    def test_dataloader(self) -> DataLoader:
        return self.whole_clips("test")

    def whole_clips(self, split: str) -> DataLoader:
        """Uncropped, unaugmented clips of one split, in manifest order, one per batch: no metric sees padding."""
        clips = ClipDataset(self.corpus, (split,), label=viseme_frames, features=self.features)
        return DataLoader(
            clips, batch_size=1, collate_fn=collate, num_workers=self.num_workers, pin_memory=self.pin_memory
        )
