"""Biased attention of the paper: self-attention that knows distance in periods, cross-attention of three keys.

Both have the parameters of `torch.nn.MultiheadAttention` (tested against it with dense masks). Keys and values of
condition tokens and audio do not change between sampling steps: they come in as `KeyValue`, projected once.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

QUERY_BLOCK = 1024  # queries per attention map: memory stays flat however long the sequence


class KeyValue(NamedTuple):
    """Projected keys and values, each (B, H, n, C / H); B may be 1 where all items share them."""

    key: Tensor
    value: Tensor

    def rows(self, rows: slice) -> KeyValue:
        """Those of some items."""
        return KeyValue(self.key[rows], self.value[rows])

    def frames(self, frames: slice) -> KeyValue:
        """Those of some frames."""
        return KeyValue(self.key[:, :, frames], self.value[:, :, frames])


def slopes(heads: int, device: torch.device | None = None) -> Tensor:
    """ALiBi slopes (H,), 2^(-8 h / H) for h = 1 … H: 1/4, 1/16, 1/64, 1/256 for four heads (Press et al. 2022)."""
    return 2.0 ** (-8.0 * torch.arange(1, heads + 1, device=device) / heads)


def self_attention_bias(queries: Tensor, keys: Tensor, heads: int, period: int) -> Tensor:
    """b_h(i, j) = -s_h ⌊(i-j)/p⌋ for j <= i, -s_h ⌊(j-i-1)/p⌋ for j > i.

    Zero for i - p < j <= i + p, one slope lower per period beyond: both ways, not causal.

    Args:
        queries (Tensor (n,) int64): frame indices i.
        keys (Tensor (m,) int64): frame indices j.
        heads: H.
        period: p, frames.

    Returns:
        Tensor (H, n, m) float32.
    """
    distance = queries[:, None] - keys[None, :]
    periods = torch.where(distance >= 0, distance, -distance - 1) // period
    return -slopes(heads, queries.device)[:, None, None] * periods


class Attention(nn.Module):
    """Projections of multi-head attention: queries, keys, values in one weight, and the output.

    Args:
        width: C.
        heads: H, a divisor of C.
        dropout: probability of dropping an attention weight, in training.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj.weight)  # as torch.nn.MultiheadAttention
        nn.init.zeros_(self.in_proj.bias)
        nn.init.zeros_(self.out_proj.bias)

    def key_value(self, tokens: Tensor) -> KeyValue:
        """Keys and values of tokens (B, n, C)."""
        width = tokens.shape[-1]
        projected = F.linear(tokens, self.in_proj.weight[width:], self.in_proj.bias[width:])
        key, value = self._split(projected, 2)
        return KeyValue(key, value)

    def _split(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        """(B, n, parts * C) -> parts times (B, H, n, C / H)."""
        batch, n, _ = projected.shape
        return tuple(projected.view(batch, n, parts, self.heads, -1).permute(2, 0, 3, 1, 4))

    def _merge(self, attended: Tensor) -> Tensor:
        """(B, H, n, C / H) -> output projection (B, n, C)."""
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def _drop(self) -> float:
        return self.dropout if self.training else 0.0


class SelfAttention(Attention):
    """Frames attend to condition tokens and to all frames, under a bias."""

    def forward(self, x: Tensor, tokens: KeyValue | None, bias: SelfBias) -> Tensor:
        """Attention output (B, T, C) for frames x (B, T, C).

        Args:
            x: frames, normalised.
            tokens: condition tokens' keys and values, set in front of the frames'; they are never queries.
            bias: for T frames and as many tokens.
        """
        query, key, value = self._split(self.in_proj(x), 3)
        if tokens is not None:
            key = torch.cat([tokens.key, key], 2)
            value = torch.cat([tokens.value, value], 2)
        blocks = [
            F.scaled_dot_product_attention(query[:, :, rows], key, value, bias.rows(rows, query), self._drop())
            for rows in bias.blocks()
        ]
        return self._merge(blocks[0] if len(blocks) == 1 else torch.cat(blocks, 2))


class SelfBias:
    """The additive mask of self-attention for T frames behind n condition tokens, made once per clip.

    Up to `QUERY_BLOCK` frames the map is kept; above, each block of queries gets its rows when it needs them.

    Args:
        num_frames: T.
        num_tokens: condition tokens in front, bias 0.
        heads: H.
        period: p, frames; None = no bias (ablation).
        frame_mask (Tensor (B, T) bool): True = real frame, or None if all are.
        device: where to build it.
    """

    def __init__(
        self, num_frames: int, num_tokens: int, heads: int, period: int | None, frame_mask: Tensor | None, device: torch.device
    ) -> None:
        self.num_frames, self.num_tokens, self.heads, self.period = num_frames, num_tokens, heads, period
        self.frames = torch.arange(num_frames, device=device)
        self.padding = None if frame_mask is None else F.pad(~frame_mask, (num_tokens, 0))[:, None, None]
        self._kept: dict[torch.dtype, Tensor] = {}

    def blocks(self) -> list[slice]:
        """Rows to handle at once."""
        return [slice(start, min(start + QUERY_BLOCK, self.num_frames)) for start in range(0, self.num_frames, QUERY_BLOCK)]

    def rows(self, rows: slice, like: Tensor) -> Tensor | None:
        """Bias of some queries: (B or 1, H, rows, n + T) in the dtype of `like`, -inf on padded frames; None if all zero."""
        if self.period is None and self.padding is None:
            return None
        if like.dtype in self._kept:
            return self._kept[like.dtype]
        bias = self._build(self.frames[rows]).to(like.dtype)
        if self.num_frames <= QUERY_BLOCK:
            self._kept[like.dtype] = bias
        return bias

    def _build(self, queries: Tensor) -> Tensor:
        if self.period is None:
            bias = torch.zeros(1, 1, len(queries), self.num_frames, device=queries.device)
        else:
            bias = self_attention_bias(queries, self.frames, self.heads, self.period)[None]
        bias = F.pad(bias, (self.num_tokens, 0))
        return bias if self.padding is None else bias.masked_fill(self.padding, float("-inf"))


class CrossAttention(Attention):
    """Each frame attends to the condition tokens and to the audio of its own frame: three keys, O(T)."""

    def forward(self, x: Tensor, tokens: KeyValue | None, audio: KeyValue) -> Tensor:
        """Attention output (B, T, C) for frames x (B, T, C); softmax over [tokens …, own audio frame].

        Args:
            x: frames, normalised.
            tokens: keys and values (B, H, n, C / H) that every frame sees.
            audio: keys and values (B, H, T, C / H); frame t sees row t only.
        """
        query = self._query(x)
        scores = (query * audio.key).sum(-1, keepdim=True)  # (B, H, T, 1)
        if tokens is not None:
            scores = torch.cat([query @ tokens.key.transpose(-1, -2), scores], -1)  # (B, H, T, n + 1)
        weights = F.dropout(scores.softmax(-1), self.dropout, self.training).to(query.dtype)
        attended = weights[..., -1:] * audio.value
        if tokens is not None:
            attended = attended + weights[..., :-1] @ tokens.value
        return self._merge(attended)

    def dense(self, x: Tensor, tokens: KeyValue | None, audio: KeyValue, frame_mask: Tensor | None) -> Tensor:
        """The ablation without the mask: each frame sees all audio frames, O(T²)."""
        key, value = audio if tokens is None else (torch.cat(pair, 2) for pair in zip(tokens, audio, strict=True))
        mask = None
        if frame_mask is not None:
            mask = F.pad(frame_mask, (key.shape[2] - frame_mask.shape[1], 0), value=True)[:, None, None]
        scale = 1.0  # the query is already divided by √(C / H)
        attended = F.scaled_dot_product_attention(self._query(x), key, value, mask, self._drop(), scale=scale)
        return self._merge(attended)

    def _query(self, x: Tensor) -> Tensor:
        """Queries (B, H, T, C / H), divided by √(C / H)."""
        width = x.shape[-1]
        projected = F.linear(x, self.in_proj.weight[:width], self.in_proj.bias[:width])
        return self._split(projected, 1)[0] * (width // self.heads) ** -0.5
