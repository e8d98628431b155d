"""A denoiser small enough for any test, and inputs for it."""

from typing import Any

import torch
from torch import Tensor

from diffspeaker3d.models import Denoiser

VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"self_bias": False},
    {"cross_bias": False},
    {"tokens": ()},
    {"tokens": ("style",)},
)


def tiny(layers: int = 2, **options: Any) -> Denoiser:
    """Random weights everywhere, also where training begins with zero."""
    torch.manual_seed(0)
    sizes = {"width": 16, "feedforward": 24, "layers": layers, "conditions": {"style": 3}, "period": 5}
    denoiser = Denoiser(18, 12, **(sizes | options)).eval()
    torch.nn.init.normal_(denoiser.output.weight, std=0.3)
    torch.nn.init.normal_(denoiser.output.bias, std=0.3)
    return denoiser


def inputs(batch: int = 2, length: int = 23) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
    """x_t (B, T, 18), timesteps (B,), audio features (B, T, 12) and conditions."""
    generator = torch.Generator().manual_seed(1)
    x_t, audio = (torch.randn(batch, length, size, generator=generator) for size in (18, 12))
    return x_t, torch.tensor([900, 30][:batch]), audio, {"style": torch.eye(3)[:batch]}
