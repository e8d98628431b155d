"""Which clips come when: a shuffled order that can be left anywhere and taken up again exactly there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Sampler

from diffspeaker3d.data.clips import ClipDataset, Draw, JoinedClips, collate


class ResumableBatchSampler(Sampler[list[Draw]]):
    """Batches of draws, shuffled by (seed, epoch), from a stored position on.

    Every rank computes the same order. Global batch k is `world_size * batch_size` consecutive clips of it, rank r takes
    the r-th part: n processes with batch B see what one process with batch n * B sees. A remainder is dropped (another
    one each epoch), unless it is all there is.

    Args:
        num_clips: clips in the dataset.
        batch_size: clips per batch and rank, B.
        seed: of the order.
        rank, world_size: this process and how many there are.

    Attributes:
        epoch, position: where iteration starts: the epoch, and how many global batches of it are done.
    """

    def __init__(self, num_clips: int, batch_size: int, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        self.num_clips, self.batch_size, self.seed = num_clips, batch_size, seed
        self.rank, self.world_size = rank, world_size
        self.epoch = self.position = 0

    def __len__(self) -> int:
        """Batches of a whole epoch, wherever the position is."""
        return max(1, self.num_clips // (self.batch_size * self.world_size))

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch = self.epoch
        order = np.random.default_rng((self.seed, epoch)).permutation(self.num_clips)
        size = self.batch_size * self.world_size
        for batch in range(self.position, len(self)):
            clips = order[batch * size : (batch + 1) * size]
            if len(clips) < size and self.world_size > 1:  # every rank needs a batch: begin again at the first clip
                clips = np.resize(clips, size)
            own = clips[self.rank * self.batch_size : (self.rank + 1) * self.batch_size]
            yield [Draw(epoch, int(index)) for index in own]


class ResumableLoader(DataLoader):
    """A DataLoader whose `state_dict` counts the batches the loop has received, not those that workers fetched ahead.

    Lightning saves and restores the state of such a loader with every checkpoint, also in the middle of an epoch; give
    its Trainer `use_distributed_sampler=False`, since the sampler divides the work itself.

    Args:
        dataset: the clips.
        sampler: their order.
        num_workers: processes that read ahead; the batches do not depend on it.
        pin_memory: for copies to a GPU.
    """

    def __init__(
        self,
        dataset: ClipDataset | JoinedClips,
        sampler: ResumableBatchSampler,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            dataset,
            batch_sampler=sampler,
            collate_fn=collate,
            num_workers=num_workers,
            pin_memory=pin_memory,
            persistent_workers=num_workers > 0,
        )
        self.order = sampler

    def __iter__(self) -> Iterator[dict]:  # type: ignore[override]
        if self.order.position >= len(self.order):
            self.order.epoch, self.order.position = self.order.epoch + 1, 0
        for batch in super().__iter__():
            self.order.position += 1  # before the batch is used: a checkpoint made after it continues with the next
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Epoch and position; the seed and sizes are the configuration's."""
        return {"epoch": self.order.epoch, "position": self.order.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.order.epoch, self.order.position = int(state["epoch"]), int(state["position"])
