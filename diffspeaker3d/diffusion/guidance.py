"""Guidance: what a condition changes, more or less of it (Ho & Salimans 2022, arXiv 2207.12598)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from diffspeaker3d.diffusion.ddim import Denoise


def guided(denoise: Denoise, without: Sequence[tuple[Denoise, float]]) -> Denoise:
    """d(x) + Σ_k (s_k - 1) (d(x) - d_k(x)): each condition k counts s_k times; with s_k = 1 it costs nothing.

    With one condition this is d_k + s (d - d_k), the usual form. Linear in the outputs, so it may run in any linear
    image of the data's space.

    Args:
        denoise: d, with all conditions.
        without: for each guided condition the network without it, d_k, and its scale s_k (1 = off).
    """
    active = [(other, scale) for other, scale in without if scale != 1.0]
    if not active:
        return denoise

    def combined(x_t: Tensor, timestep: int) -> Tensor:
        full = denoise(x_t, timestep)
        result = full
        for other, scale in active:
            result = result + (full - other(x_t, timestep)) * (scale - 1.0)
        return result

    return combined
