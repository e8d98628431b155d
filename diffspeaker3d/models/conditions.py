"""What is known of a whole clip beside its sound: one vector per layer for each condition, attended to or added.

A condition that is dropped now and then in training learns what stands in its place when nothing is said, its null:
guidance (`diffusion.guidance`) needs it, and so does a user who leaves the condition open.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from diffspeaker3d.errors import InputError


class VectorCondition(nn.Linear):
    """n numbers (a style, an emotion, a range of the head) to one vector per layer; on one-hot vectors an embedding.

    Args:
        size: n.
        width: C.
        layers: L.
        drop: probability that an item's vector is its null, in training; 0 = there is no null.
    """

    def __init__(self, size: int, width: int, layers: int, drop: float = 0.0) -> None:
        super().__init__(size, width * layers, bias=False)
        if not 0 <= drop < 1:
            raise InputError(f"conditions: drop must be 0 to 1, got {drop}")
        self.num_layers, self.drop = layers, drop
        nn.init.normal_(self.weight)  # as torch.nn.Embedding
        self.null = nn.Parameter(torch.zeros(width * layers)) if drop else None

    def forward(self, value: Tensor | None) -> Tensor:
        """(B, L, C) of values (B, n); (1, L, C), the null, of None.

        Raises:
            InputError: None, and the condition was never dropped in training.
        """
        if value is None:
            if self.null is None:
                raise InputError(
                    "conditions: this model was trained without leaving it out; give the condition a value"
                )
            vector = self.null[None]
        else:
            vector = super().forward(value.to(self.weight.dtype))
            if self.null is not None and self.training:
                dropped = torch.rand(len(vector), 1, device=vector.device) < self.drop
                vector = torch.where(dropped, self.null, vector)
        return vector.unflatten(-1, (self.num_layers, -1))


class TimestepCondition(nn.Sequential):
    """The noise level to one vector per layer: W_2 SiLU(W_1 sinusoid(t)).

    Args:
        sinusoid: numbers of the sinusoid, even.
        width: C.
        layers: L.
    """

    def __init__(self, sinusoid: int, width: int, layers: int) -> None:
        size = width * layers
        super().__init__(nn.Linear(sinusoid, size), nn.SiLU(), nn.Linear(size, size))
        self.sinusoid, self.num_layers = sinusoid, layers

    def forward(self, timestep: Tensor) -> Tensor:
        """(B, L, C) of timesteps (B,) int64."""
        dtype = next(self.parameters()).dtype
        vector: Tensor = super().forward(timestep_sinusoid(timestep, self.sinusoid).to(dtype))
        return vector.unflatten(-1, (self.num_layers, -1))


def timestep_sinusoid(timestep: Tensor, dim: int) -> Tensor:
    """[cos, sin] of t / 10000^(2k / dim), k = 0 … dim/2 - 1: (n, dim) float32 (Vaswani et al. 2017; cosines first)."""
    frequency = torch.exp(torch.arange(dim // 2, device=timestep.device) * (-math.log(10000.0) / (dim // 2)))
    angle = timestep.float()[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], -1)
