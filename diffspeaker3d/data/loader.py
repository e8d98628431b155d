"""The corpus as Lightning wants it. Imported by training only: inference never needs Lightning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch.distributed
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from diffspeaker3d.data.clips import Augment, ClipDataset, FeatureViews, JoinedClips, collate
from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.data.sampler import ResumableBatchSampler, ResumableLoader
from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.phones import viseme_frames


class ClipDataModule(LightningDataModule):
    """Training batches of random crops in a resumable order; validation clips whole, in manifest order.

    Args:
        corpus: prepared, or its folder.
        batch_size: clips per batch and process.
        crop_seconds: longest training piece, s; None trains on whole clips.
        num_workers: reading processes per loader.
        seed: of order, crops and augmentation.
        augment: changes training waveforms, see `data.clips.Augment`.
        pin_memory: for training on a GPU.
        features: audio features on disk for training, see `data.clips.ClipDataset`.
        clean_features: the same for whole clips as they are; None = hear them anew.
        also: further corpora to train on, each with its share (None = as it is) and its features.

    Raises:
        InputError: no corpus there, or nothing to train on.
    """

    def __init__(
        self,
        corpus: Corpus | str | Path,
        batch_size: int = 8,
        crop_seconds: float | None = None,
        num_workers: int = 0,
        seed: int = 0,
        augment: Augment | None = None,
        pin_memory: bool = False,
        features: FeatureViews | None = None,
        clean_features: FeatureViews | None = None,
        also: Sequence[tuple[Corpus, float | None, FeatureViews | None]] = (),
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise InputError(f"batch_size: must be at least 1, got {batch_size}")
        self.corpus = corpus if isinstance(corpus, Corpus) else Corpus.load(corpus)
        self.batch_size, self.num_workers, self.seed, self.pin_memory = batch_size, num_workers, seed, pin_memory
        self.clean_features = clean_features
        parts = [
            ClipDataset(
                corpus,
                ("train",),
                crop_seconds=crop_seconds,
                seed=seed,
                augment=augment,
                label=viseme_frames,
                features=found,
            )
            for corpus, _, found in ((self.corpus, None, features), *also)
        ]
        self.train_clips: ClipDataset | JoinedClips = (
            JoinedClips(parts, [share for _, share, _ in also]) if also else parts[0]
        )

    def train_dataloader(self) -> ResumableLoader:
        rank, world_size = 0, 1
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            rank, world_size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        sampler = ResumableBatchSampler(len(self.train_clips), self.batch_size, self.seed, rank, world_size)
        return ResumableLoader(self.train_clips, sampler, self.num_workers, self.pin_memory)

    def val_dataloader(self) -> DataLoader:
        return self.whole_clips("val")

    def whole_clips(self, split: str) -> DataLoader:
        """Uncropped, unaugmented clips of one split, in manifest order, one per batch: no metric sees padding."""
        clips = ClipDataset(self.corpus, (split,), label=viseme_frames, features=self.clean_features)
        return DataLoader(
            clips, batch_size=1, collate_fn=collate, num_workers=self.num_workers, pin_memory=self.pin_memory
        )
