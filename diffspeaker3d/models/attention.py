"""Biased attention of the paper: self-attention that knows distance in periods, cross-attention of three keys.

Both hold the parameters of `torch.nn.MultiheadAttention` (tested against it with dense masks), queries apart from keys
and values: those of condition tokens and audio do not change between sampling steps and are projected once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

QUERY_BLOCK = 128  # frames of a long clip that attend at once: each also meets keys that only its neighbours reach
BLOCKS_AT_ONCE = 4  # of them projected at once: fewer frames use a matrix less well, more leave the cache
FOLD_FRAMES = 1024  # the same, where projections are folded
FULL_PERIODS = 20  # clips up to so many periods (seconds) attend in full …
REACH_PERIODS = 4  # … in longer ones a frame attends so many periods to either side

Frames = Callable[[slice], Tensor]  # which frames -> (B, n, C)
Blocks = Iterator[tuple[slice, Tensor]]  # (which frames, (B, n, C)), first frame to last


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

    def behind(self, *others: KeyValue | None) -> KeyValue:
        """With condition tokens, or earlier frames, set in front; None adds nothing."""
        parts = [*(other for other in others if other is not None), self]
        return self if len(parts) == 1 else KeyValue(*(torch.cat(pieces, 2) for pieces in zip(*parts, strict=True)))


class Folded(NamedTuple):
    """Keys and values with the query and output projections multiplied into them, for queries that come many times.

    The score of a frame x in head h is x · key + offset, and what it attends to is value, before the output's bias: a
    frame that sees three keys only then costs 6 H C multiplications in place of 2 C².

    Attributes:
        key (Tensor (B, H, n, C)): W_q' k / √(C / H), of each head.
        offset (Tensor (B, H, n, 1)): b_q · k / √(C / H).
        value (Tensor (B, H, n, C)): W_o v, of each head.
    """

    key: Tensor
    offset: Tensor
    value: Tensor

    def rows(self, rows: slice) -> Folded:
        """Those of some items."""
        return Folded(*(part[rows] for part in self))

    def frames(self, frames: slice) -> Folded:
        """Those of some frames."""
        return Folded(*(part[:, :, frames] for part in self))


class Alone(NamedTuple):
    """What cross-attention answers where a frame sees nothing but its own audio: one key has all the weight, whoever asks.

    Attributes:
        output (Tensor (B, n, C)): W_o v + b_o.
    """

    output: Tensor

    def frames(self, frames: slice) -> Alone:
        """That of some frames."""
        return Alone(self.output[:, frames])


def slopes(heads: int, device: torch.device | None = None) -> Tensor:
    """ALiBi slopes (H,), 2^(-8 h / H) for h = 1 … H: 1/4, 1/16, 1/64, 1/256 for four heads (Press et al. 2022)."""
    return 2.0 ** (-8.0 * torch.arange(1, heads + 1, device=device) / heads)


def periodic_positions(num_frames: int, width: int, period: int, device: torch.device) -> Tensor:
    """Positional encoding (T, C) float32: sines in even, cosines in odd channels of i mod p, base 10000."""
    index = torch.arange(num_frames, device=device) % period
    frequency = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    angle = index[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)


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


class SelfBias:
    """The additive mask of self-attention for T frames behind n condition tokens, in blocks of queries.

    Up to `FULL_PERIODS` every frame sees every other, as in the paper. In a longer clip it sees `REACH_PERIODS` to
    either side, and cost grows with T, not T². The bias depends on i - j only: all inner blocks share one.

    Args:
        num_frames: T.
        num_tokens: condition tokens in front, bias 0.
        heads: H.
        period: p, frames.
        biased: False = no distance bias (ablation).
        frame_mask (Tensor (B, T) bool): True = real frame, or None if all are.
        device: where to build it.
        full: attend in full whatever the length: O(T²) time, flat memory.
    """

    def __init__(
        self,
        num_frames: int,
        num_tokens: int,
        heads: int,
        period: int,
        biased: bool,
        frame_mask: Tensor | None,
        device: torch.device,
        full: bool = False,
    ) -> None:
        self.num_frames, self.num_tokens, self.heads, self.period, self.biased = (
            num_frames,
            num_tokens,
            heads,
            period,
            biased,
        )
        self.full = full or num_frames <= FULL_PERIODS * period
        self.frame_mask, self.device = frame_mask, device
        self._kept: dict[tuple[object, ...], Tensor] = {}

    def blocks(self) -> list[tuple[slice, slice]]:
        """Blocks of queries and the keys they may see, first frame to last."""
        size = self.num_frames if self.num_frames <= QUERY_BLOCK * BLOCKS_AT_ONCE else QUERY_BLOCK
        reach = self.num_frames if self.full else REACH_PERIODS * self.period
        return [
            (
                slice(start, min(start + size, self.num_frames)),
                slice(max(start - reach, 0), min(start + size + reach, self.num_frames)),
            )
            for start in range(0, self.num_frames, size)
        ]

    def of(self, queries: slice, keys: slice, dtype: torch.dtype) -> Tensor | None:
        """Bias (B or 1, H or 1, queries, n + keys), -inf where a frame is padding or out of reach; None if all zero."""
        if self.full and not self.biased and self.frame_mask is None:
            return None
        shape = (queries.stop - queries.start, keys.stop - keys.start, queries.start - keys.start)
        place = (shape, dtype, None if self.frame_mask is None else keys.start)
        if place not in self._kept:
            self._kept[place] = self._build(queries, keys).to(dtype)
        return self._kept[place]

    def _build(self, queries: slice, keys: slice) -> Tensor:
        i = torch.arange(queries.start, queries.stop, device=self.device)
        j = torch.arange(keys.start, keys.stop, device=self.device)
        bias = self_attention_bias(i, j, self.heads if self.biased else 1, self.period)[None]
        if not self.biased:
            bias = torch.zeros_like(bias)
        if not self.full:
            bias = bias.masked_fill((i[:, None] - j).abs() > REACH_PERIODS * self.period, float("-inf"))
        if self.frame_mask is not None:
            bias = bias.masked_fill(~self.frame_mask[:, None, None, keys], float("-inf"))
        return F.pad(bias, (self.num_tokens, 0))


class Attention(nn.Module):
    """Projections of multi-head attention.

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

    def memory(self, tokens: Tensor) -> KeyValue:
        """Keys and values of tokens (B, n, C)."""
        key, value = self.key_value(tokens).chunk(2, -1)
        return KeyValue(self._split(key), self._split(value))

    def _split(self, projected: Tensor) -> Tensor:
        """(B, n, C) -> (B, H, n, C / H)."""
        return projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _merge(self, attended: Tensor) -> Tensor:
        """(B, H, n, C / H) -> output projection (B, n, C)."""
        merged: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return merged

    def _attend(self, x: Tensor, memory: KeyValue, bias: Tensor | None) -> Tensor:
        """softmax(q k' / √(C / H) + bias) v."""
        return self._merge(self._attended(self._split(self.query(x)), memory, bias))

    def _attended(self, query: Tensor, memory: KeyValue, bias: Tensor | None) -> Tensor:
        """The same without the projections, (B, H, n, C / H)."""
        return F.scaled_dot_product_attention(
            query, memory.key, memory.value, bias, self.dropout if self.training else 0.0
        )


class SelfAttention(Attention):
    """Frames attend to condition tokens and to frames, under a bias."""

    def forward(self, x: Tensor, memory: KeyValue, bias: Tensor | None) -> Tensor:
        """Attention output (B, n, C).

        Args:
            x (Tensor (B, n, C)): a block of frames, normalised.
            memory: keys and values of the tokens, then of the frames the block may see.
            bias: see `SelfBias.of`.
        """
        return self._attend(x, memory, bias)

    def blocks(self, frames: Frames, tokens: KeyValue | None, bias: SelfBias) -> Blocks:
        """Some frames after others, with their attention output (B, n, C); only what is within reach is held.

        Args:
            frames: which frames -> (B, n, C), normalised; asked for each frame once, in order.
            tokens: keys and values of the condition tokens, or None.
            bias: says which blocks, and what they may see.
        """
        seen: KeyValue | None = None
        ahead: Tensor | None = None  # frames that are keys already and not yet queries
        first = done = 0
        parts = bias.blocks()
        for start in range(0, len(parts), BLOCKS_AT_ONCE):
            group = parts[start : start + BLOCKS_AT_ONCE]
            queries, keys = (slice(group[0][side].start, group[-1][side].stop) for side in (0, 1))
            kept = None if seen is None else seen.frames(slice(keys.start - first, None))
            if keys.stop > done:
                fresh = frames(slice(done, keys.stop))
                seen = self.memory(fresh).behind(kept)
                ahead = fresh if ahead is None else torch.cat([ahead, fresh], 1)
            else:
                seen = kept
            assert seen is not None and ahead is not None  # the first block has keys
            first, done = keys.start, keys.stop
            count = queries.stop - queries.start
            query, ahead = self._split(self.query(ahead[:, :count])), ahead[:, count:]
            attended = [
                self._attended(
                    query[:, :, _shifted(q, queries.start)],
                    seen.frames(_shifted(k, first)).behind(tokens),
                    bias.of(q, k, query.dtype),
                )
                for q, k in group
            ]
            yield queries, self._merge(attended[0] if len(attended) == 1 else torch.cat(attended, 2))


class CrossAttention(Attention):
    """Each frame attends to the condition tokens and to the audio of its own frame: three keys, O(T)."""

    def forward(self, x: Tensor, tokens: KeyValue | Folded | None, audio: KeyValue | Folded) -> Tensor:
        """Attention output (B, n, C); softmax over [tokens …, own audio frame].

        Args:
            x (Tensor (B, n, C)): frames, normalised.
            tokens: what every frame sees, (B, H, 2, …), or None.
            audio: (B, H, n, …); frame t sees row t only. Both as keys and values, or both folded.
        """
        if isinstance(audio, Folded):
            assert isinstance(tokens, Folded)
            return self._attend_folded(x, tokens, audio)
        query = self._split(self.query(x)) * (x.shape[-1] // self.heads) ** -0.5
        scores = (query * audio.key).sum(-1, keepdim=True)  # (B, H, n, 1)
        if tokens is not None:
            scores = torch.cat([query @ tokens.key.transpose(-1, -2), scores], -1)  # (B, H, n, 3)
        weights = F.dropout(scores.softmax(-1), self.dropout, self.training).to(query.dtype)
        attended = weights[..., -1:] * audio.value
        if isinstance(tokens, KeyValue):
            attended = attended + weights[..., :-1] @ tokens.value
        return self._merge(attended)

    def folded(self, memory: KeyValue) -> Folded:
        """Keys and values with both projections multiplied in; worth it where they serve several sampling steps."""
        scale = (self.query.in_features // self.heads) ** -0.5
        w_query = [weight * scale for weight in self.query.weight.chunk(self.heads, 0)]
        w_output = [weight.T for weight in self.output.weight.chunk(self.heads, 1)]
        b_query = self.query.bias.unflatten(0, (self.heads, -1))[..., None] * scale
        return Folded(_by_head(memory.key, w_query), memory.key @ b_query, _by_head(memory.value, w_output))

    def alone(self, memory: KeyValue) -> Alone:
        """The answer to frames that see no tokens."""
        return Alone(self._merge(memory.value))

    def _attend_folded(self, x: Tensor, tokens: Folded, audio: Folded) -> Tensor:
        # Head by head: products of (B, H, n, C) would leave the cache twice.
        own = torch.stack([(audio.key[:, head] * x).sum(-1) for head in range(self.heads)], 1)[..., None] + audio.offset
        shared = (x @ tokens.key.flatten(1, 2).transpose(1, 2)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        weights = torch.cat([shared + tokens.offset.transpose(-1, -2), own], -1).softmax(-1)  # (B, H, n, 3)
        attended = weights[..., :-1].transpose(1, 2).flatten(2) @ tokens.value.flatten(1, 2) + self.output.bias
        for head in range(self.heads):
            attended.addcmul_(weights[:, head, :, -1:], audio.value[:, head])
        return attended

    def dense(self, x: Tensor, tokens: KeyValue | None, audio: KeyValue, frame_mask: Tensor | None) -> Tensor:
        """The ablation without the mask: each frame sees all audio frames (B, H, T, C / H), O(T²)."""
        memory = audio.behind(tokens)
        if frame_mask is not None:
            frame_mask = F.pad(frame_mask, (memory.key.shape[2] - frame_mask.shape[1], 0), value=True)[:, None, None]
        return self._attend(x, memory, frame_mask)


def _shifted(frames: slice, by: int) -> slice:
    return slice(frames.start - by, frames.stop - by)


def _by_head(memory: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """(B, H, n, C / H) times one (C / H, C) per head: (B, H, n, C), a few frames at a time into the memory it stays in."""
    folded = memory.new_empty(*memory.shape[:3], weights[0].shape[1])
    for start in range(0, memory.shape[2], FOLD_FRAMES):
        frames = slice(start, start + FOLD_FRAMES)
        for head, weight in enumerate(weights):
            folded[:, head, frames] = memory[:, head, frames] @ weight
    return folded


def whole(blocks: Blocks, num_frames: int) -> Tensor:
    """Blocks of all `num_frames` frames as one tensor; one block that is all of them is returned as it is."""
    joined: Tensor | None = None
    for frames, block in blocks:
        if frames.stop - frames.start == num_frames:
            return block
        if joined is None:
            joined = block.new_empty(len(block), num_frames, block.shape[-1])
        joined[:, frames] = block
    if joined is None:
        raise AssertionError("no blocks: a clip has at least one frame")
    return joined
