"""A denoiser with its sound and conditions fixed: what no sampling step changes is computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from diffspeaker3d.models.attention import KeyValue
from diffspeaker3d.models.denoiser import TIMESTEP, DecoderLayer, Denoiser
from diffspeaker3d.models.motion_model import Conditions

PIECE = 512  # frames that go through a layer at once: fewer use a matrix product less well, more leave the cache
BLOCK = 128  # frames of a long clip that attend at once: each also meets keys that only its neighbours reach


@dataclass(frozen=True)
class PreparedLayer:
    """A layer with keys and values of everything but the frames, one row per timestep of the table.

    Attributes:
        layer: its weights.
        added (Tensor (B, S, C)): what is added to the frames, for each of S timesteps; None = nothing.
        self_tokens: keys and values (B or 1, S, H, n, C / H) of the condition tokens in self-attention, or None.
        cross_tokens: the same in cross-attention.
        audio: what `cross_attention.memory` makes of the audio.
    """

    layer: DecoderLayer
    added: Tensor | None
    self_tokens: KeyValue | None
    cross_tokens: KeyValue | None
    audio: Any


class Prepared:
    """x_t (B, T, D) and timestep to the prediction (B, T, D): `Denoiser.forward` with the rest of its arguments given.

    Args:
        denoiser: in eval mode.
        features (Tensor (B, T, D_a)): one row per motion frame.
        conditions: name -> value (B, n).
        timesteps: those that will be asked for.
        frame_mask (Tensor (B, T) bool): True = real frame; None = all are.
        first_frame: index of the first row in its clip, where this is a piece of a longer one.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        features: Tensor,
        conditions: Conditions,
        timesteps: Sequence[int],
        frame_mask: Tensor | None = None,
        first_frame: int = 0,
    ) -> None:
        dtype = denoiser.input.weight.dtype
        self.denoiser, self.num_frames, self.frame_mask = denoiser, features.shape[1], frame_mask
        distinct = sorted(set(timesteps))
        self.rows = {timestep: row for row, timestep in enumerate(distinct)}
        fixed = denoiser.condition_vectors(conditions)
        table = denoiser.timestep(torch.tensor(distinct, device=features.device))
        vectors = [fixed | {TIMESTEP: table[[row]]} for row in range(len(distinct))]
        tokens, added = ([join(v) for v in vectors] for join in (denoiser.as_tokens, denoiser.as_addition))
        audio = denoiser.audio(features.to(dtype))
        self.layers = [
            PreparedLayer(
                layer,
                None if added[0] is None else torch.stack([a[:, index] for a in added if a is not None], 1),
                _memories(layer.self_attention, tokens, index),
                _memories(layer.cross_attention, tokens, index),
                layer.cross_attention.memory(audio),
            )
            for index, layer in enumerate(denoiser.decoder_layers())
        ]
        self.positions = denoiser.positions(self.num_frames, first_frame)
        self._biases: dict[tuple[int, ...], Tensor] = {}

    def __call__(self, x_t: Tensor, timestep: int) -> Tensor:
        """Prediction (B, T, D) for one of the timesteps."""
        denoiser = self.denoiser
        frames = denoiser.input(x_t.to(denoiser.input.weight.dtype)) + self.positions
        prediction: Tensor = denoiser.output(self.hidden(frames, timestep)).to(x_t.dtype)
        return prediction

    def hidden(self, x: Tensor, timestep: int) -> Tensor:
        """All layers: from W_in x_t + b_in + positions to what W_out is applied to, both (B, T, C)."""
        row = self.rows[timestep]
        for layer in self.layers:
            x = self._layer(layer, x, row)
        return x

    def _layer(self, prepared: PreparedLayer, x: Tensor, row: int) -> Tensor:
        """One layer, piece by piece, so that what is worked on stays in the processor's cache."""
        layer, attention = prepared.layer, prepared.layer.self_attention
        if prepared.added is not None:
            x = x + prepared.added[:, row, None]
        own, cross = (
            None if tokens is None else KeyValue(tokens.key[:, row], tokens.value[:, row])
            for tokens in (prepared.self_tokens, prepared.cross_tokens)
        )
        pieces = [slice(start, min(start + PIECE, self.num_frames)) for start in range(0, self.num_frames, PIECE)]
        normed = [layer.norm1(x[:, piece]) for piece in pieces]
        memories = [attention.memory(part) for part in normed]
        memory = KeyValue(
            *(torch.cat(parts, 2) if len(parts) > 1 else parts[0] for parts in zip(*memories, strict=True))
        )
        result = []
        for piece, part in zip(pieces, normed, strict=True):
            query = attention.split(attention.query(part))
            attended = [
                attention.attended(
                    query[:, :, block.start - piece.start : block.stop - piece.start],
                    memory.frames(seen.start, seen.stop).behind(own),
                    self._bias(block, seen, query.dtype),
                )
                for block, seen in blocks(self.denoiser, self.num_frames, piece)
            ]
            y = x[:, piece] + attention.merge(torch.cat(attended, 2))
            y = y + layer.cross_attention.answer(layer.norm2(y), cross, prepared.audio, self.frame_mask, piece.start)
            result.append(y + layer.feedforward(layer.norm3(y)))
        return torch.cat(result, 1) if len(result) > 1 else result[0]

    def _bias(self, block: slice, seen: slice, dtype: torch.dtype) -> Tensor:
        """Bias (B or 1, H or 1, n, tokens + m) of a block; it depends on distances only, so all inner blocks share one."""
        shape = (block.stop - block.start, seen.stop - seen.start, block.start - seen.start)
        if shape not in self._biases:
            queries, keys = (torch.arange(s.start, s.stop, device=self.positions.device) for s in (block, seen))
            bias = self.denoiser.frame_bias(queries, keys)[None].to(dtype)
            self._biases[shape] = F.pad(bias, (len(self.denoiser.tokens), 0))
        bias = self._biases[shape]
        if self.frame_mask is None:
            return bias
        padding = F.pad(~self.frame_mask[:, seen], (len(self.denoiser.tokens), 0))
        return bias.masked_fill(padding[:, None, None], float("-inf"))


def blocks(denoiser: Denoiser, num_frames: int, piece: slice) -> Iterator[tuple[slice, slice]]:
    """Blocks of the frames of a piece, and the frames that each may see."""
    reach = num_frames if denoiser.reach is None else denoiser.reach
    size = BLOCK if num_frames > PIECE else PIECE
    for start in range(piece.start, piece.stop, size):
        stop = min(start + size, piece.stop)
        yield slice(start, stop), slice(max(start - reach, 0), min(stop + reach, num_frames))


def attended_pairs(denoiser: Denoiser, num_frames: int) -> int:
    """Pairs of a frame and a key for which one layer computes a score; for counting operations."""
    keys = len(denoiser.tokens)
    found = blocks(denoiser, num_frames, slice(0, num_frames))
    return sum((block.stop - block.start) * (seen.stop - seen.start + keys) for block, seen in found)


def _memories(attention: Any, tokens: Sequence[Tensor | None], index: int) -> KeyValue | None:
    """Keys and values (B, S, H, n, C / H) of one layer's tokens (B, L, n, C) at S timesteps; None without tokens."""
    found = [attention.memory(token[:, index]) for token in tokens if token is not None]
    return KeyValue(*(torch.stack(parts, 1) for parts in zip(*found, strict=True))) if found else None
