"""The vertex metrics for training loops: torchmetrics that add up padded batches, on any device, over any number of ranks.

Same formulas as metrics.vertex (tested against them), in torch. Imports torchmetrics: reached through
`diffspeaker3d.metrics.accumulators` only, so that `import diffspeaker3d.metrics` stays light.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from diffspeaker3d.errors import InputError
from diffspeaker3d.metrics.pooling import POOLINGS


class ClipMean(Metric):
    """A mean over frames, or over clips, of values that are summed where they arise.

    Args:
        pooling: `frames` (a clip weighs by its length) or `clips` (all weigh alike), see `metrics.pool`.
    """

    full_state_update = False
    higher_is_better = False
    total: Tensor
    weight: Tensor

    def __init__(self, pooling: str = "frames") -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise InputError(f"pooling: unknown {pooling!r}; known: {', '.join(POOLINGS)}")
        self.pooling = pooling
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("weight", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def add(self, clip_means: Tensor, num_frames: Tensor) -> None:
        """Means (B,) of clips of `num_frames` (B,) real frames."""
        weights = num_frames.double() if self.pooling == "frames" else torch.ones_like(clip_means, dtype=torch.float64)
        self.total += (clip_means.double() * weights).sum()
        self.weight += weights.sum()

    def compute(self) -> Tensor:
        """The pooled mean; nan before any update."""
        return self.total / self.weight


class LipVertexError(ClipMean):
    """LVE of padded batches, see `metrics.lip_vertex_error`.

    Args:
        lips (Tensor (n,)): vertex indices.
        pooling: see `ClipMean`.
    """

    lips: Tensor

    def __init__(self, lips: Tensor, pooling: str = "frames") -> None:
        super().__init__(pooling)
        self.register_buffer("lips", torch.as_tensor(lips).long(), persistent=False)

    def update(self, pred: Tensor, target: Tensor, frame_mask: Tensor) -> None:
        """Add clips: vertices or displacements (B, T, V, 3), real frames (B, T) True."""
        worst = (pred[:, :, self.lips] - target[:, :, self.lips]).square().sum(-1).amax(-1)
        self.add(*_masked_mean(worst, frame_mask))


class MeanVertexError(ClipMean):
    """MVE of padded batches, see `metrics.mean_vertex_error`."""

    def update(self, pred: Tensor, target: Tensor, frame_mask: Tensor) -> None:
        """Add clips: vertices or displacements (B, T, V, 3), real frames (B, T) True."""
        self.add(*_masked_mean((pred - target).norm(dim=-1).mean(-1), frame_mask))


class UpperFaceDynamicsDeviation(ClipMean):
    """FDD of padded batches, see `metrics.upper_face_dynamics_deviation`; clips weigh alike unless told otherwise.

    Args:
        upper (Tensor (n,)): vertex indices.
        absolute: magnitudes of the clips' deviations, so that they do not cancel.
        pooling: see `ClipMean`.
    """

    upper: Tensor

    def __init__(self, upper: Tensor, absolute: bool = False, pooling: str = "clips") -> None:
        super().__init__(pooling)
        self.register_buffer("upper", torch.as_tensor(upper).long(), persistent=False)
        self.absolute = absolute

    def update(self, pred: Tensor, target: Tensor, frame_mask: Tensor) -> None:
        """Add clips: *displacements from the template* (B, T, V, 3), real frames (B, T) True."""
        spread = [_masked_std(x[:, :, self.upper].square().sum(-1), frame_mask) for x in (pred, target)]
        deviation = (spread[1] - spread[0]).mean(-1)
        self.add(deviation.abs() if self.absolute else deviation, frame_mask.sum(1))


def _masked_mean(values: Tensor, frame_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B,) of values (B, T) over real frames, and how many there are (B,)."""
    counts = frame_mask.sum(1)
    return values.masked_fill(~frame_mask, 0).sum(1) / counts, counts


def _masked_std(values: Tensor, frame_mask: Tensor) -> Tensor:
    """Population standard deviation (B, n) of values (B, T, n) over real frames."""
    mask, counts = frame_mask[:, :, None], frame_mask.sum(1)[:, None]
    mean = values.masked_fill(~mask, 0).sum(1) / counts
    return ((values - mean[:, None]).masked_fill(~mask, 0).square().sum(1) / counts).sqrt()
