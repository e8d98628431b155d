"""Biased attention of the paper: self-attention that knows distance in periods, cross-attention of three keys.

Parameters are those of `torch.nn.MultiheadAttention` (tested against it with dense masks), queries apart from keys and
values, so that what does not change between sampling steps can be projected once (`models.sampling`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class KeyValue(NamedTuple):
    """Projected keys and values, each (B, H, n, C / H); B may be 1 where all items share them."""

    key: Tensor
    value: Tensor

    def frames(self, start: int, stop: int) -> KeyValue:
        """Those of some frames, a view."""
        return KeyValue(self.key[:, :, start:stop], self.value[:, :, start:stop])

    def behind(self, tokens: KeyValue | None) -> KeyValue:
        """With those of the condition tokens in front; None adds nothing."""
        if tokens is None:
            return self
        batch = max(len(self.key), len(tokens.key))
        pairs = zip(tokens, self, strict=True)
        return KeyValue(*(torch.cat([part.expand(batch, -1, -1, -1) for part in pair], 2) for pair in pairs))


def slopes(heads: int, device: torch.device | None = None) -> Tensor:
    """ALiBi slopes (H,), 2^(-8 h / H) for h = 1 … H: 1/4, 1/16, 1/64, 1/256 for four heads (Press et al. 2022)."""
    return 2.0 ** (-8.0 * torch.arange(1, heads + 1, device=device) / heads)


def periodic_positions(num_frames: int, width: int, period: int, device: torch.device, first_frame: int = 0) -> Tensor:
    """Positional encoding (T, C) float32: sines in even, cosines in odd channels of i mod p, base 10000."""
    index = (torch.arange(num_frames, device=device) + first_frame) % period
    frequency = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    angle = index[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)


def self_attention_bias(queries: Tensor, keys: Tensor, heads: int, period: int, reach: int | None = None) -> Tensor:
    """b_h(i, j) = -s_h ⌊(i-j)/p⌋ for j <= i, -s_h ⌊(j-i-1)/p⌋ for j > i, -inf for |i-j| > reach.

    Zero for i - p < j <= i + p, one slope lower per period beyond: both ways, not causal.

    Args:
        queries (Tensor (n,) int64): frame indices i.
        keys (Tensor (m,) int64): frame indices j.
        heads: H.
        period: p, frames.
        reach: frames to either side that a frame sees; None = all.

    Returns:
        Tensor (H, n, m) float32.
    """
    distance = queries[:, None] - keys[None, :]
    periods = torch.where(distance >= 0, distance, -distance - 1) // period
    bias = -slopes(heads, queries.device)[:, None, None] * periods
    return bias if reach is None else bias.masked_fill(distance.abs() > reach, float("-inf"))


class Attention(nn.Module):
    """Multi-head attention: W_o softmax(q k' / √(C / H) + bias) v.

    Args:
        width: C.
        heads: H, a divisor of C.
        dropout: probability of dropping an attention weight, in training.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)
        bound = (6.0 / (4 * width)) ** 0.5  # Xavier over the stacked (3C, C) weight, as torch.nn.MultiheadAttention
        for projection in (self.query, self.key_value):
            nn.init.uniform_(projection.weight, -bound, bound)
            nn.init.zeros_(projection.bias)
        nn.init.zeros_(self.output.bias)

    def memory(self, rows: Tensor) -> KeyValue:
        """Keys and values of what is attended to (B, n, C)."""
        key, value = self.key_value(rows).chunk(2, -1)
        return KeyValue(self.split(key), self.split(value))

    def attend(self, x: Tensor, memory: KeyValue, bias: Tensor | None) -> Tensor:
        """Attention output (B, n, C) of frames x (B, n, C) under a bias (B or 1, H or 1, n, m), or None."""
        return self.merge(self.attended(self.split(self.query(x)), memory, bias))

    def attended(self, query: Tensor, memory: KeyValue, bias: Tensor | None) -> Tensor:
        """The same between the projections: (B, H, n, C / H) to (B, H, n, C / H)."""
        bias = None if bias is None else bias.to(query.dtype)
        dropout = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(query, memory.key, memory.value, bias, dropout)

    def split(self, projected: Tensor) -> Tensor:
        """(B, n, C) -> (B, H, n, C / H)."""
        return projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def merge(self, attended: Tensor) -> Tensor:
        """(B, H, n, C / H) -> W_o (B, n, C)."""
        merged: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return merged


class SelfAttention(Attention):
    """Frames attend to condition tokens and to frames, under a bias."""

    def forward(self, x: Tensor, tokens: Tensor | None, bias: Tensor | None) -> Tensor:
        """Attention output (B, T, C).

        Args:
            x (Tensor (B, T, C)): frames, normalised.
            tokens (Tensor (B, n, C)): condition tokens, or None.
            bias (Tensor (B or 1, H or 1, T, n + T)): for [tokens …, frames].
        """
        return self.attend(x, self.memory(x).behind(None if tokens is None else self.memory(tokens)), bias)


class CrossAttention(Attention):
    """Each frame attends to the condition tokens and to the audio of its own instant: n + 1 keys, O(T)."""

    norm_of = nn.LayerNorm  # of the frames that ask

    def forward(self, x: Tensor, tokens: Tensor, audio: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """Attention output (B, T, C); softmax over [tokens …, own audio frame].

        Args:
            x (Tensor (B, T, C)): frames, normalised.
            tokens (Tensor (B, n, C)): condition tokens.
            audio (Tensor (B, T, C)): frame t sees row t only.
            frame_mask: not needed: a frame sees no other.
        """
        return self.answer(x, self.memory(tokens), self.memory(audio))

    def answer(
        self, x: Tensor, tokens: KeyValue | None, audio: KeyValue, frame_mask: Tensor | None = None, start: int = 0
    ) -> Tensor:
        """`forward` of frames start … start + n - 1, x (B, n, C), with keys and values computed before, of all frames."""
        assert tokens is not None  # without tokens there is nothing to choose: see OwnAudio
        audio = audio.frames(start, start + x.shape[1])
        query = self.split(self.query(x)) * (x.shape[-1] // self.heads) ** -0.5
        own = (query * audio.key).sum(-1, keepdim=True)  # (B, H, n, 1)
        scores = torch.cat([query @ tokens.key.transpose(-1, -2), own], -1)
        weights = F.dropout(scores.softmax(-1), self.dropout, self.training).to(query.dtype)
        return self.merge(weights[..., :-1] @ tokens.value + weights[..., -1:] * audio.value)


class OwnAudio(nn.Module):
    """Cross-attention without condition tokens: one key has all the weight whoever asks, and W_o (W_v a + b_v) + b_o is left.

    There is no query and no key, which would never get a gradient, and no norm of the frames that ask.

    Args:
        width: C.
        heads: not used: heads of one key are one.
        dropout: probability of dropping a number of the value, in training.
    """

    norm_of = nn.Identity

    def __init__(self, width: int, heads: int = 1, dropout: float = 0.1) -> None:
        super().__init__()
        self.value, self.output = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.output.bias)

    def forward(
        self, x: Tensor | None, tokens: Tensor | None, audio: Tensor, frame_mask: Tensor | None = None
    ) -> Tensor:
        """W_o (W_v a + b_v) + b_o (B, T, C) of the audio (B, T, C), whatever the frames x are."""
        return self.memory(audio)

    def memory(self, audio: Tensor) -> Tensor:
        """The answer itself."""
        answer: Tensor = self.output(self.dropout(self.value(audio)))
        return answer

    def answer(
        self, x: Tensor, tokens: object, audio: Tensor, frame_mask: Tensor | None = None, start: int = 0
    ) -> Tensor:
        """That of frames start … start + n - 1."""
        return audio[:, start : start + x.shape[1]]


class FullCrossAttention(Attention):
    """The ablation without the mask: each frame attends to the condition tokens, if any, and to all audio frames, O(T²)."""

    norm_of = nn.LayerNorm

    def forward(self, x: Tensor, tokens: Tensor | None, audio: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """Attention output (B, T, C); arguments as in `CrossAttention`, padding is not attended to."""
        return self.answer(x, None if tokens is None else self.memory(tokens), self.memory(audio), frame_mask)

    def answer(
        self, x: Tensor, tokens: KeyValue | None, audio: KeyValue, frame_mask: Tensor | None = None, start: int = 0
    ) -> Tensor:
        """The same with keys and values computed before."""
        memory = audio.behind(tokens)
        bias = None
        if frame_mask is not None:
            padding = x.new_zeros(frame_mask.shape).masked_fill(~frame_mask, float("-inf"))
            bias = F.pad(padding, (memory.key.shape[2] - frame_mask.shape[1], 0))[:, None, None]
        return self.attend(x, memory, bias)
