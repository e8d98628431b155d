"""The order of clips: complete, seeded, divided among ranks, resumable anywhere."""

from __future__ import annotations

from pathlib import Path

import torch
from corpora import write_corpus

from diffspeaker3d.data.clips import ClipDataset
from diffspeaker3d.data.sampler import ResumableBatchSampler, ResumableLoader


def batches(sampler: ResumableBatchSampler) -> list[list[int]]:
    return [[draw.clip for draw in batch] for batch in sampler]


def test_an_epoch_sees_every_clip_once_and_epochs_differ() -> None:
    sampler = ResumableBatchSampler(12, 3, seed=5)
    first = batches(sampler)
    assert len(first) == len(sampler) == 4 and sorted(clip for batch in first for clip in batch) == list(range(12))
    sampler.epoch = 1
    assert batches(sampler) != first
    assert batches(ResumableBatchSampler(12, 3, seed=5)) == first != batches(ResumableBatchSampler(12, 3, seed=6))


def test_two_ranks_see_what_one_with_twice_the_batch_sees() -> None:
    ranks = [batches(ResumableBatchSampler(13, 3, rank=r, world_size=2)) for r in (0, 1)]
    assert [a + b for a, b in zip(*ranks, strict=True)] == batches(ResumableBatchSampler(13, 6))


def test_fewer_clips_than_a_batch_still_make_one_for_every_rank() -> None:
    assert sorted(batches(ResumableBatchSampler(2, 4))[0]) == [0, 1]
    assert [len(batches(ResumableBatchSampler(2, 4, rank=r, world_size=2))[0]) for r in (0, 1)] == [4, 4]


def loader(root: Path, workers: int = 0) -> ResumableLoader:
    from diffspeaker3d.data.corpus import Corpus

    clips = ClipDataset(Corpus.load(root), ("train",), crop_seconds=0.4, seed=2)
    return ResumableLoader(clips, ResumableBatchSampler(len(clips), 2, seed=2), workers)


def run(source: ResumableLoader, count: int) -> list[tuple[list[str], torch.Tensor]]:
    """`count` batches over as many epochs as it takes, as a training loop draws them."""
    seen: list[tuple[list[str], torch.Tensor]] = []
    while len(seen) < count:
        for batch in source:
            seen.append((batch["clip"], batch["motion"]))
            if len(seen) == count:
                break
    return seen


def same(a: list[tuple[list[str], torch.Tensor]], b: list[tuple[list[str], torch.Tensor]]) -> bool:
    return len(a) == len(b) and all(x[0] == y[0] and torch.equal(x[1], y[1]) for x, y in zip(a, b, strict=True))


def test_resuming_anywhere_continues_bitwise(tmp_path: Path) -> None:
    write_corpus(tmp_path, [40, 20, 33, 51, 28, 60, 45])
    whole = run(loader(tmp_path), 9)  # three batches an epoch
    for stop in (1, 3, 4, 8):
        before = loader(tmp_path)
        run(before, stop)
        after = loader(tmp_path)
        after.load_state_dict(before.state_dict())
        assert same(run(after, 9 - stop), whole[stop:]), f"stopped after batch {stop}"


def test_workers_change_neither_batches_nor_state(tmp_path: Path) -> None:
    write_corpus(tmp_path, [40, 20, 33, 51, 28, 60, 45])
    alone, helped = loader(tmp_path), loader(tmp_path, workers=2)
    assert same(run(alone, 5), run(helped, 5))
    assert alone.state_dict() == helped.state_dict() == {"epoch": 1, "position": 2}
