"""Long sequences: overlapping windows whose predictions are averaged at every step."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from diffspeaker3d.diffusion.ddim import Denoise
from diffspeaker3d.errors import InputError


def windowed(
    restrict: Callable[[int, int], Denoise], length: int, window: int = 600, hop: int | None = None
) -> Denoise:
    """A denoise callable for (B, length, D) whose cost is linear in `length` and whose working memory is one window's.

    Each window predicts its own frames; where windows overlap the predictions are averaged under a triangle window
    (MultiDiffusion, Bar-Tal et al. 2023, eq. 5). All windows see the same x_t, so they stay in step: the averaging
    happens inside the sampling loop, not after it. Equal to the full network when `length` <= `window`, and for any
    network that looks no further than the overlap allows; otherwise frames further apart than a window do not see
    each other.

    Args:
        restrict: (start, stop) -> denoise callable for those frames only.
        length: T, frames.
        window: frames per window.
        hop: frames between windows, default half a window.
    """
    hop = hop or window // 2
    if not 0 < hop <= window:
        raise InputError(f"windows: hop must be 1 to window ({window}) frames, got {hop}")
    if length <= window:
        return restrict(0, length)
    starts = window_starts(length, window, hop)
    part = cache(restrict)

    def denoise(x_t: Tensor, timestep: int) -> Tensor:
        share = _triangle(window, x_t)
        total: Tensor | None = None
        weight = x_t.new_zeros(length, 1)
        for start in starts:
            stop = start + window
            predicted = share * part(start, stop)(x_t[:, start:stop], timestep)
            if total is None:
                total = predicted.new_zeros(len(predicted), length, predicted.shape[-1])
            total[:, start:stop] += predicted
            weight[start:stop] += share
        assert total is not None  # there is a first window
        return total.div_(weight)

    return denoise


def window_frames(length: int, longest: int, overlap: int) -> int:
    """Frames per window of the fewest windows that cover `length`, none above `longest`, neighbours sharing `overlap`.

    Windows of equal length waste nothing on a last one that is moved back.
    """
    if length <= longest:
        return length
    count = -(-(length - overlap) // (longest - overlap))
    return -(-(length - overlap) // count) + overlap


def window_starts(length: int, window: int, hop: int) -> list[int]:
    """First frames of windows that cover `length` > `window` frames; the last is moved back to end with the sequence."""
    return [*range(0, length - window, hop), length - window]


def _triangle(window: int, like: Tensor) -> Tensor:
    """Weights (window, 1), highest in the middle, positive everywhere."""
    ramp = torch.arange(1, window + 1, device=like.device, dtype=like.dtype)
    return torch.minimum(ramp, ramp.flip(0))[:, None]
