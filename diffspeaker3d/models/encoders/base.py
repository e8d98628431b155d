"""What every audio encoder promises, and the arithmetic of frames they share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class AudioEncoder(nn.Module):
    """Waveforms to one row of features per motion frame: what is `hear`d, then what a trained part makes of it.

    Padding and batching change no real frame: what lies beyond `num_samples` is never heard. Row t describes the sound
    at t / fps seconds; where the clip asks for more frames than the sound lasts, the last feature is held.

    Attributes:
        width: D_a.
        fps: motion frames per second.
        frozen: whether `hear` always says the same of the same sound, so that training may keep it on disk.
    """

    width: int
    fps: float
    frozen: bool = False

    def forward(self, waveform: Tensor, num_samples: Tensor, num_frames: Tensor) -> Tensor:
        """Features (B, T_max, D_a), T_max = num_frames.max(); zero beyond each item's frames.

        Args:
            waveform (Tensor (B, N) float32): 16 kHz, padded at the end.
            num_samples (Tensor (B,) int64): real samples of each item.
            num_frames (Tensor (B,) int64): motion frames of each item.
        """
        return self.refine(self.hear(waveform, num_samples, num_frames), num_frames)

    def hear(self, waveform: Tensor, num_samples: Tensor, num_frames: Tensor) -> Tensor:
        """The part that runs on sound, (B, T_max, any width); arguments as in `forward`."""
        raise NotImplementedError

    def refine(self, heard: Tensor, num_frames: Tensor) -> Tensor:
        """Features (B, T, D_a) from what `hear` gave for `num_frames` (B,); here the same."""
        return heard

    def ears(self) -> tuple[str, nn.Module]:
        """Settings and module that decide what a frozen encoder hears: the identity of what training keeps on disk."""
        raise NotImplementedError

    def calibrate(self, heard: Iterable[Tensor]) -> None:
        """Take fixed scales from what is heard (T, any width) in some clips, before training; here there are none."""

    def architecture(self) -> dict[str, Any]:
        """Constructor arguments that rebuild this encoder without its original weights; for checkpoints."""
        return {}


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """(B, size) bool, True below each length."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def to_motion_frames(
    features: Tensor, num_features: Tensor, rate: float, start: float, num_frames: Tensor, fps: float
) -> Tensor:
    """Resample features in time, linearly: row t is the feature at t / fps seconds.

    Args:
        features (Tensor (B, n, D)): feature k stands at (start + k) / rate seconds.
        num_features (Tensor (B,)): real rows of each item; the last real one is held.
        rate: features per second, Hz.
        start: time of feature 0, in features.
        num_frames (Tensor (B,)): motion frames of each item.
        fps: motion frames per second.

    Returns:
        Tensor (B, T_max, D): zero beyond each item's frames.
    """
    frames = torch.arange(int(num_frames.max()), device=features.device)
    position = (frames / fps * rate - start).clamp(min=0.0)[None].minimum(num_features[:, None] - 1.0)
    lower = position.floor().long()
    upper = (lower + 1).minimum(num_features[:, None] - 1)
    share = (position - lower)[..., None].to(features.dtype)
    items = torch.arange(len(features), device=features.device)[:, None]
    rows = features[items, lower] * (1 - share) + features[items, upper] * share
    return rows * length_mask(num_frames, len(frames))[..., None]
