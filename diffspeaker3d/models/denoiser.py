"""The denoiser of DiffSpeaker (arXiv 2402.05712, section 3): noisy motion, audio, style and timestep to clean motion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from diffspeaker3d.errors import InputError
from diffspeaker3d.models.attention import (
    Alone,
    Blocks,
    CrossAttention,
    Folded,
    Frames,
    KeyValue,
    SelfAttention,
    SelfBias,
    periodic_positions,
    whole,
)
from diffspeaker3d.models.latent import Products, Space, in_space

Memory = TypeVar("Memory", bound=KeyValue | Folded)
FOLDED_BYTES = 2**29  # most that folded cross-attention may hold; 18 minutes of VOCASET, 11 of BIWI


@dataclass(frozen=True)
class LayerCondition:
    """What one layer attends to beside the frames, projected once.

    `*_style` has one row per item; `*_timestep` one per timestep of the table; `audio` (B, H, T, …). The three of
    cross-attention are folded for sampling (`attention.Folded`), where that does not take too much memory; without
    condition tokens `audio` is then the answer itself (`attention.Alone`).
    """

    self_style: KeyValue
    self_timestep: KeyValue
    cross_style: KeyValue | Folded
    cross_timestep: KeyValue | Folded
    audio: KeyValue | Folded | Alone


@dataclass(frozen=True)
class Condition:
    """Everything that does not change between sampling steps.

    Attributes:
        layers: projected keys and values, per layer.
        tokens: style (B, L, C) and timestep (S, L, C) tokens as they are, for a model that adds them.
        rows: timestep -> its row in the tables.
        positions (Tensor (T, C)): positional encoding of the frames.
        bias: of self-attention.
        frame_mask (Tensor (B, T) bool): True = real frame, or None.
    """

    layers: tuple[LayerCondition, ...]
    tokens: tuple[Tensor, Tensor]
    rows: dict[int, int]
    positions: Tensor
    bias: SelfBias
    frame_mask: Tensor | None = None

    def row(self, timestep: int) -> slice:
        """Rows of the timestep tables for one timestep."""
        return slice(self.rows[timestep], self.rows[timestep] + 1)


class DecoderLayer(nn.Module):
    """Pre-norm transformer decoder layer; condition tokens and audio enter unnormalised, as in the official code.

    Args:
        width: C.
        feedforward: hidden width of the feed-forward part.
        heads: H.
        dropout: probability.
        cross_bias: cross-attention sees its own audio frame only; False (ablation) = all frames.
    """

    def __init__(self, width: int, feedforward: int, heads: int, dropout: float, cross_bias: bool = True) -> None:
        super().__init__()
        self.cross_bias = cross_bias
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attention = SelfAttention(width, heads, dropout)
        self.cross_attention = CrossAttention(width, heads, dropout)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward), nn.GELU(), nn.Dropout(dropout), nn.Linear(feedforward, width)
        )
        self.dropout = nn.Dropout(dropout)

    def condition(self, style: Tensor, timestep: Tensor, audio: Tensor, folded: bool, alone: bool) -> LayerCondition:
        """Project tokens style (B, 1, C), timestep (S, 1, C) and audio (B, T, C); `folded` and `alone` say how far."""
        ours, theirs = self.self_attention, self.cross_attention
        memories = [theirs.memory(tokens) for tokens in (style, timestep, audio)]
        told, when, heard = [theirs.folded(memory) for memory in memories] if folded else memories
        return LayerCondition(
            ours.memory(style), ours.memory(timestep), told, when, theirs.alone(memories[-1]) if alone else heard
        )

    def blocks(
        self, frames: Frames, condition: LayerCondition, rows: slice | None, bias: SelfBias, frame_mask: Tensor | None
    ) -> Blocks:
        """Frames (B, T, C) to frames (B, T, C), block after block where the clip is long.

        All of the layer happens to one block before the next, so that it stays in the processor's cache.

        Args:
            frames: which frames -> (B, n, C).
            condition: of this layer.
            rows: which rows of the timestep table hold; None = attend to no condition tokens.
            bias: of self-attention.
            frame_mask: True = real frame, or None.

        Yields:
            (which frames, (B, n, C)), first frame to last.
        """
        self_tokens = cross_tokens = None
        if rows is not None:
            self_tokens = _join(condition.self_style, condition.self_timestep.rows(rows))
            cross_tokens = _join(condition.cross_style, condition.cross_timestep.rows(rows))
        for queries, attended in self.self_attention.blocks(
            lambda wanted: self.norm1(frames(wanted)), self_tokens, bias
        ):
            block = frames(queries) + self.dropout(attended)
            if isinstance(condition.audio, Alone):
                attended = condition.audio.frames(queries).output
            elif self.cross_bias:
                attended = self.cross_attention(self.norm2(block), cross_tokens, condition.audio.frames(queries))
            else:
                assert isinstance(condition.audio, KeyValue) and not isinstance(
                    cross_tokens, Folded
                )  # see Denoiser.folds
                attended = self.cross_attention.dense(self.norm2(block), cross_tokens, condition.audio, frame_mask)
            block = block + self.dropout(attended)
            yield queries, block + self.dropout(self.feedforward(self.norm3(block)))


class Denoiser(nn.Module):
    """x_t, timestep, audio and style to the network's prediction (x_start, as the paper trains it).

    h = layers(W_in x_t + b_in + positions), prediction = W_out h + b_out; W_out and b_out start at zero. The steps
    between the two linear maps are `hidden`, so that sampling can stay between them (`latent.py`).

    Args:
        motion_dim: D: 3V of vertex displacements, or the number of controls.
        audio_dim: D_a, width of the audio features; also of the timestep's sinusoid. Even.
        width: C. 512 (VOCASET), 1024 (BIWI).
        feedforward: 2 C in the paper.
        heads: H.
        layers: L.
        style_dim: S; a style is a vector (B, S), one-hot for a known speaker.
        period: p of positions and bias, frames: the fps of the corpus.
        dropout: probability.
        self_bias: ablation: False = self-attention without distance bias.
        cross_bias: ablation: False = cross-attention to all audio frames.
        condition_tokens: False = style and timestep are added to each layer's frames instead of being attended to
            (docs/ablation.md); cross-attention is then a linear map of the audio, and nothing to do in a step.
    """

    def __init__(
        self,
        motion_dim: int,
        audio_dim: int,
        width: int = 512,
        feedforward: int = 1024,
        heads: int = 4,
        layers: int = 1,
        style_dim: int = 8,
        period: int = 30,
        dropout: float = 0.1,
        self_bias: bool = True,
        cross_bias: bool = True,
        condition_tokens: bool = True,
    ) -> None:
        super().__init__()
        if width % heads or width % 2 or audio_dim % 2:
            raise InputError(
                f"denoiser: width {width} must be even and a multiple of heads {heads}, audio_dim {audio_dim} even"
            )
        self.motion_dim, self.audio_dim, self.width, self.heads, self.style_dim = (
            motion_dim,
            audio_dim,
            width,
            heads,
            style_dim,
        )
        self.period, self.self_bias, self.condition_tokens = period, self_bias, condition_tokens
        self.input = nn.Linear(motion_dim, width)
        self.output = nn.Linear(width, motion_dim)
        self.audio = nn.Linear(audio_dim, width)
        self.style = nn.Linear(style_dim, width * layers, bias=False)  # on one-hot vectors this is an embedding
        self.timestep = nn.Sequential(
            nn.Linear(audio_dim, width * layers), nn.SiLU(), nn.Linear(width * layers, width * layers)
        )
        self.layers = nn.ModuleList(DecoderLayer(width, feedforward, heads, dropout, cross_bias) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self._products = Products()
        nn.init.normal_(self.style.weight)  # as torch.nn.Embedding
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(
        self, x_t: Tensor, timestep: Tensor, audio_features: Tensor, style: Tensor, frame_mask: Tensor | None = None
    ) -> Tensor:
        """Prediction (B, T, D).

        Args:
            x_t (Tensor (B, T, D)): noisy motion state.
            timestep (Tensor (B,) int64): noise level of each item.
            audio_features (Tensor (B, T, D_a)): one row per motion frame.
            style (Tensor (B, S)): style vectors.
            frame_mask (Tensor (B, T) bool): True = real frame; None = all are.
        """
        condition = self._condition(audio_features, style, frame_mask, timestep, {})
        frames = self.dropout(self.input(x_t) + condition.positions)
        return self.output(whole(self.hidden(lambda wanted: frames[:, wanted], condition, slice(None)), x_t.shape[1]))

    def condition(
        self,
        audio_features: Tensor,
        style: Tensor,
        frame_mask: Tensor | None,
        timesteps: Sequence[int],
        full_attention: bool = False,
    ) -> Condition:
        """Do the work that no sampling step changes.

        Args:
            audio_features (Tensor (B, T, D_a)): one row per motion frame.
            style (Tensor (B, S)): style vectors.
            frame_mask (Tensor (B, T) bool): True = real frame; None = all are.
            timesteps: those the sampler will ask for.
            full_attention: no limit to a frame's reach in long clips, see `attention.SelfBias`.
        """
        distinct = sorted(set(timesteps))
        table = torch.tensor(distinct, device=audio_features.device)
        rows = {t: row for row, t in enumerate(distinct)}
        folded = self.folds(audio_features.shape[0] * audio_features.shape[1])
        return self._condition(audio_features, style, frame_mask, table, rows, full_attention, folded)

    @property
    def has_latent_noise(self) -> bool:
        """Whether noise begins as C numbers per frame, because the motion has more."""
        return self.width < self.motion_dim

    @property
    def noise_dim(self) -> int:
        """Numbers of noise per frame that `Space.start` takes: min(C, D), all that W_in lets the network see."""
        return min(self.width, self.motion_dim)

    def folds(self, num_frames: int) -> bool:
        """Whether cross-attention to so many frames is folded: it sees three keys, drops none, has plain weights, and it fits."""
        layers = cast(Sequence[DecoderLayer], self.layers)
        exact = self.condition_tokens and self._narrow
        plain = all(isinstance(layer.cross_attention.query, nn.Linear) for layer in layers)  # int8 layers are not
        return exact and plain and 4 * num_frames * len(layers) * 2 * self.heads * self.width <= FOLDED_BYTES

    @property
    def _narrow(self) -> bool:
        """Whether cross-attention sees one audio frame each and drops no key."""
        return all(layer.cross_bias for layer in cast(Iterable[DecoderLayer], self.layers)) and not self.training

    def in_space(self, space: str, condition: Condition) -> Space:
        """The denoise callable for a sampler, in `latent`, `vertex` (the motion's own) or the cheaper (`auto`) space."""
        return in_space(self, space, condition, self._products)

    def hidden(self, frames: Frames, condition: Condition, rows: slice) -> Blocks:
        """From W_in x_t + b_in + positions to h, both (B, T, C), block after block.

        Args:
            frames: which frames -> (B, n, C).
            condition: see `condition`.
            rows: of the timestep table that hold for the batch's items.

        Yields:
            (which frames, (B, n, C)), first frame to last.
        """
        style, timestep = condition.tokens
        blocks: Blocks = iter(())
        for index, layer in enumerate(cast(Iterable[DecoderLayer], self.layers)):
            if index:
                frames = _of(whole(blocks, condition.bias.num_frames))
            if self.condition_tokens:
                blocks = layer.blocks(frames, condition.layers[index], rows, condition.bias, condition.frame_mask)
            else:
                added = _plus(frames, style[:, None, index] + timestep[rows, None, index])
                blocks = layer.blocks(added, condition.layers[index], None, condition.bias, condition.frame_mask)
        return blocks

    def frames(self, condition: Condition, start: int, stop: int, bias: SelfBias | None = None) -> Condition:
        """The condition of frames start … stop - 1 only: views, and a bias of that length (or the one given)."""
        mask = None if condition.frame_mask is None else condition.frame_mask[:, start:stop]
        layers = tuple(replace(layer, audio=layer.audio.frames(slice(start, stop))) for layer in condition.layers)
        if bias is None or mask is not None:
            bias = self._bias(stop - start, mask, condition.bias.device)
        return replace(condition, layers=layers, positions=condition.positions[start:stop], bias=bias, frame_mask=mask)

    def _bias(self, num_frames: int, frame_mask: Tensor | None, device: torch.device, full: bool = False) -> SelfBias:
        tokens = 2 if self.condition_tokens else 0
        return SelfBias(num_frames, tokens, self.heads, self.period, self.self_bias, frame_mask, device, full)

    def _condition(
        self,
        audio_features: Tensor,
        style: Tensor,
        frame_mask: Tensor | None,
        timesteps: Tensor,
        rows: dict[int, int],
        full: bool = False,
        folded: bool = False,
    ) -> Condition:
        dtype = self.audio.weight.dtype
        audio = self.audio(audio_features.to(dtype))
        style_tokens = self.style(style.to(dtype)).unflatten(-1, (len(self.layers), -1))
        timestep_tokens = self.timestep(timestep_sinusoid(timesteps, self.audio_dim).to(dtype)).unflatten(
            -1, (len(self.layers), -1)
        )
        layers = tuple(
            layer.condition(
                style_tokens[:, [index]],
                timestep_tokens[:, [index]],
                audio,
                folded,
                not self.condition_tokens and self._narrow,
            )
            for index, layer in enumerate(cast(Iterable[DecoderLayer], self.layers))
        )
        bias = self._bias(audio.shape[1], frame_mask, audio.device, full)
        positions = periodic_positions(audio.shape[1], self.width, self.period, audio.device).to(audio.dtype)
        return Condition(layers, (style_tokens, timestep_tokens), rows, positions, bias, frame_mask)


def timestep_sinusoid(timestep: Tensor, dim: int) -> Tensor:
    """[cos, sin] of t / 10000^(2k / dim), k = 0 … dim/2 - 1: (n, dim) float32 (Vaswani et al. 2017; cosines first)."""
    frequency = torch.exp(torch.arange(dim // 2, device=timestep.device) * (-math.log(10000.0) / (dim // 2)))
    angle = timestep.float()[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], -1)


def _of(x: Tensor) -> Frames:
    return lambda wanted: x[:, wanted]


def _plus(frames: Frames, token: Tensor) -> Frames:
    return lambda wanted: frames(wanted) + token


def _join(style: Memory, timestep: Memory) -> Memory:
    """Tokens [style, timestep] (B, H, 2, …); either side may be shared by all items."""
    batch = max(len(style.key), len(timestep.key))
    return type(style)(
        *(
            torch.cat([a.expand(batch, -1, -1, -1), b.expand(batch, -1, -1, -1)], 2)
            for a, b in zip(style, timestep, strict=True)
        )
    )
