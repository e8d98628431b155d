"""Seeded noise with random access: who shares the batch, how long the clip is and where it is cut change nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from diffspeaker3d.errors import InputError

BLOCK_FRAMES = 64  # frames drawn from one generator; a frame's noise depends on (seed, draw, block) only


def initial_noise(
    shapes: Sequence[tuple[int, int]], seeds: Sequence[int], first_frame: int = 0, draw: int = 0
) -> Tensor:
    """N(0, 1) noise (B, T_max, D) float32 on the CPU, zero beyond each item's frames.

    Row t of an item is the same number for number whatever the batch, the clip's length and the device.

    Args:
        shapes: (frames, D) of each item; one D.
        seeds: one per item.
        first_frame: index of the first row wanted: pieces of a long clip join to the whole.
        draw: 0 for x_T, 1, 2, … for the fresh noise of later steps (eta > 0).
    """
    if len(shapes) != len(seeds):
        raise InputError(f"noise: {len(shapes)} items need as many seeds, got {len(seeds)}")
    dims = {dim for _, dim in shapes}
    if len(dims) != 1:
        raise InputError(f"noise: items of one batch need one dimension, got {sorted(dims)}")
    noise = torch.zeros(len(shapes), max(length for length, _ in shapes), dims.pop())
    for item, ((length, dim), seed) in enumerate(zip(shapes, seeds, strict=True)):
        stop = first_frame + length
        for block in range(first_frame // BLOCK_FRAMES, -(-stop // BLOCK_FRAMES)):
            rows = torch.randn(BLOCK_FRAMES, dim, generator=_generator(seed, draw, block))
            begin, end = max(block * BLOCK_FRAMES, first_frame), min((block + 1) * BLOCK_FRAMES, stop)
            noise[item, begin - first_frame : end - first_frame] = rows[
                begin - block * BLOCK_FRAMES : end - block * BLOCK_FRAMES
            ]
    return noise


def _generator(seed: int, draw: int, block: int) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{draw}/{block}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
