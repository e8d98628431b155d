"""The denoiser of DiffSpeaker (arXiv 2402.05712, section 3): noisy motion, audio, style and timestep to clean motion.

These are the plain equations, which training, export and readers use. `models.sampling` gives the same numbers faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffspeaker3d.errors import InputError
from diffspeaker3d.models.attention import (
    CrossAttention,
    FullCrossAttention,
    OwnAudio,
    SelfAttention,
    periodic_positions,
    self_attention_bias,
)
from diffspeaker3d.models.conditions import TimestepCondition, VectorCondition
from diffspeaker3d.models.motion_model import Conditions, Diffusion, MotionModel, Sampler

TIMESTEP = "timestep"


class DecoderLayer(nn.Module):
    """Pre-norm transformer decoder layer; condition tokens and audio enter unnormalised, as in the official code.

    Args:
        width: C.
        feedforward: hidden width of the feed-forward part.
        heads: H.
        dropout: probability.
        cross_attention: the kind: `CrossAttention`, `OwnAudio` or `FullCrossAttention`.
    """

    def __init__(
        self,
        width: int,
        feedforward: int,
        heads: int,
        dropout: float,
        cross_attention: type[CrossAttention | OwnAudio | FullCrossAttention] = CrossAttention,
    ) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), cross_attention.norm_of(width), nn.LayerNorm(width)
        self.self_attention = SelfAttention(width, heads, dropout)
        self.cross_attention = cross_attention(width, heads, dropout)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward), nn.GELU(), nn.Dropout(dropout), nn.Linear(feedforward, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        tokens: Tensor | None,
        audio: Tensor,
        bias: Tensor | None,
        frame_mask: Tensor | None = None,
    ) -> Tensor:
        """Frames (B, T, C) to frames (B, T, C).

        Args:
            x (Tensor (B, T, C)): frames.
            tokens (Tensor (B, n, C)): condition tokens, or None.
            audio (Tensor (B, T, C)): one row per frame.
            bias (Tensor (B or 1, H or 1, T, n + T)): of self-attention, or None.
            frame_mask (Tensor (B, T) bool): True = real frame, or None.
        """
        x = x + self.dropout(self.self_attention(self.norm1(x), tokens, bias))
        x = x + self.dropout(self.cross_attention(self.norm2(x), tokens, audio, frame_mask))
        x = x + self.dropout(self.feedforward(self.norm3(x)))
        return x


class Denoiser(MotionModel):
    """x_t, timestep, audio and conditions to the network's prediction (x_start, as the paper trains it).

    Args:
        motion_dim: D: 3V of vertex displacements, or the number of controls.
        audio_dim: D_a, width of the audio features; also of the timestep's sinusoid. Even.
        width: C. 512 (VOCASET), 1024 (BIWI).
        feedforward: 2 C in the paper.
        heads: H.
        layers: L.
        conditions: name -> numbers, of what is known of a clip; a style is one-hot for a known speaker.
        tokens: the conditions that are attended to as tokens, as in the paper; the others are added to each layer's
            frames. `timestep` is one of them. With none, cross-attention is a linear map of the audio.
        condition_drop: name -> probability that training leaves the condition out; see `conditions`.
        period: p of positions and bias, frames: the fps of the corpus.
        reach: periods (seconds) to either side that self-attention sees; None = the whole clip, at a cost that grows
            with the square of its length.
        dropout: probability.
        self_bias: ablation: False = self-attention without distance bias.
        cross_bias: ablation: False = cross-attention to all audio frames.

    Raises:
        InputError: sizes that do not divide, or a token that is no condition.
    """

    draws_noise = True

    def __init__(
        self,
        motion_dim: int,
        audio_dim: int,
        width: int = 512,
        feedforward: int = 1024,
        heads: int = 4,
        layers: int = 1,
        conditions: Mapping[str, int] = {"style": 8},
        tokens: Sequence[str] = ("style", TIMESTEP),
        condition_drop: Mapping[str, float] = {},
        period: int = 30,
        reach: float | None = 4.0,
        dropout: float = 0.1,
        self_bias: bool = True,
        cross_bias: bool = True,
    ) -> None:
        super().__init__()
        if width % heads or width % 2 or audio_dim % 2:
            raise InputError(
                f"denoiser: width {width} must be even and a multiple of heads {heads}, audio_dim {audio_dim} even"
            )
        if reach is not None and not reach > 0:
            raise InputError(f"denoiser: reach={reach} must be a positive number of seconds, or null for all")
        names = (*conditions, TIMESTEP)
        for what, asked in (("tokens", tokens), ("condition_drop", condition_drop)):
            if unknown := sorted(set(asked) - set(names)):
                raise InputError(f"denoiser: unknown {what} {', '.join(unknown)}; known: {', '.join(names)}")
        self.motion_dim, self.audio_dim, self.width, self.heads = motion_dim, audio_dim, width, heads
        self.condition_sizes, self.tokens, self.period = dict(conditions), tuple(tokens), period
        self.self_bias, self.cross_bias = self_bias, cross_bias
        self.reach = None if reach is None else max(round(reach * period), 1)
        cross_attention = (CrossAttention if tokens else OwnAudio) if cross_bias else FullCrossAttention
        self.input = nn.Linear(motion_dim, width)
        self.output = nn.Linear(width, motion_dim)
        self.audio = nn.Linear(audio_dim, width)
        self.timestep = TimestepCondition(audio_dim, width, layers)
        self.conditions = nn.ModuleDict(
            {n: VectorCondition(size, width, layers, condition_drop.get(n, 0.0)) for n, size in conditions.items()}
        )
        self.layers = nn.ModuleList(
            DecoderLayer(width, feedforward, heads, dropout, cross_attention) for _ in range(layers)
        )
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(
        self,
        x_t: Tensor,
        timestep: Tensor,
        audio_features: Tensor,
        conditions: Conditions,
        frame_mask: Tensor | None = None,
    ) -> Tensor:
        """Prediction (B, T, D).

            x_0 = W_in x_t + b_in + positions
            x_l = layer_l(x_{l-1} + added_l | tokens_l, W_a audio + b_a)          l = 1 … L
            prediction = W_out x_L + b_out                                        both zero before training

        Args:
            x_t (Tensor (B, T, D)): noisy motion state.
            timestep (Tensor (B,) int64): noise level of each item.
            audio_features (Tensor (B, T, D_a)): one row per motion frame.
            conditions: name -> value (B, n).
            frame_mask (Tensor (B, T) bool): True = real frame; None = all are.
        """
        vectors = self.condition_vectors(conditions) | {TIMESTEP: self.timestep(timestep)}
        tokens, added = self.as_tokens(vectors), self.as_addition(vectors)
        audio = self.audio(audio_features)
        bias = self.attention_bias(x_t.shape[1], frame_mask, x_t.device)
        x = self.dropout(self.input(x_t) + self.positions(x_t.shape[1]))
        for index, layer in enumerate(self.decoder_layers()):
            if added is not None:
                x = x + added[:, index, None]
            x = layer(x, None if tokens is None else tokens[:, index], audio, bias, frame_mask)
        prediction: Tensor = self.output(x)
        return prediction

    def condition_vectors(self, conditions: Conditions) -> dict[str, Tensor]:
        """Name -> one vector per layer (B or 1, L, C)."""
        self.check_conditions(conditions)
        return {name: module(conditions.get(name)) for name, module in self.conditions.items()}

    def as_tokens(self, vectors: Mapping[str, Tensor]) -> Tensor | None:
        """Those of `vectors` that are attended to: (B, L, n, C), None without any."""
        chosen = [vectors[name] for name in self.tokens if name in vectors]
        batch = max((len(vector) for vector in chosen), default=0)
        return torch.stack([vector.expand(batch, -1, -1) for vector in chosen], 2) if chosen else None

    def as_addition(self, vectors: Mapping[str, Tensor]) -> Tensor | None:
        """The sum of those that are not (B, L, C), added to the frames of each layer; None without any."""
        total: Tensor | None = None
        for name, vector in vectors.items():
            if name not in self.tokens:
                total = vector if total is None else total + vector
        return total

    def positions(self, num_frames: int, first_frame: int = 0) -> Tensor:
        """Positional encoding (T, C) of frames `first_frame` and on."""
        weight = self.input.weight
        return periodic_positions(num_frames, self.width, self.period, weight.device, first_frame).to(weight.dtype)

    def attention_bias(self, num_frames: int, frame_mask: Tensor | None, device: torch.device) -> Tensor:
        """Of self-attention (B or 1, H or 1, T, n + T): distance, reach and padding; zero for the n condition tokens."""
        frames = torch.arange(num_frames, device=device)
        bias = self.frame_bias(frames, frames)[None]
        if frame_mask is not None:
            bias = bias.masked_fill(~frame_mask[:, None, None], float("-inf"))
        return F.pad(bias, (len(self.tokens), 0))

    def frame_bias(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Bias (H or 1, n, m) between frames of given indices (n,) and (m,)."""
        if self.self_bias:
            return self_attention_bias(queries, keys, self.heads, self.period, self.reach)
        distance = (queries[:, None] - keys).abs()
        unseen = torch.zeros_like(distance) if self.reach is None else distance > self.reach
        return torch.zeros(distance.shape, device=queries.device).masked_fill(unseen.bool(), float("-inf"))[None]

    def decoder_layers(self) -> Iterable[DecoderLayer]:
        """The layers, typed."""
        return cast(Iterable[DecoderLayer], self.layers)

    @property
    def receptive_frames(self) -> int | None:
        """Frames to either side that the prediction of a frame depends on; None = the whole clip."""
        return len(self.layers) * self.reach if self.cross_bias and self.reach is not None else None

    def learn(
        self,
        x_start: Tensor,
        features: Tensor,
        conditions: Conditions,
        frame_mask: Tensor | None,
        diffusion: Diffusion,
    ) -> Tensor:
        """x_start (B, T, D) predicted from a noisy version of it."""
        x_t, timestep = diffusion.noisy(x_start)
        return diffusion.x_start(self(x_t, timestep, features, conditions, frame_mask), x_t, timestep)

    def generate(self, features: Tensor, conditions: Conditions, frame_mask: Tensor | None, sampler: Sampler) -> Tensor:
        """What the sampler makes of this denoiser."""
        return sampler(self, features, conditions, frame_mask)
