"""A FaceFormer-style decoder (Fan et al. 2022, arXiv 2112.05329): speech and the motion so far to the next frame.

The baseline beside the diffusion model: the same data, losses, audio encoder and sizes, but one frame after another and
nothing drawn. Written from the paper's equations:

    f_0 = s,  f_t = W_in y_{t-1} + b_in + s                    past motion, style s
    h = layers(f + periodic positions)                         causal self-attention, bias -s_h ⌊(t - j) / p⌋;
    y_t = W_out h_t + b_out                                    cross-attention to the audio of frame t

It differs from the paper where the denoiser does, so that the two compare: layers are pre-norm with GELU, sizes are free,
and the audio has one row per motion frame. A frame sees `HISTORY_PERIODS` periods back: no clip of the papers' corpora is
longer, and memory and time per frame stay flat in those that are.

Training uses the model's own output as the past, as FaceFormer does (teacher forcing would train on a past that is never
met in use). That past is generated without gradient, with cached keys, and one parallel pass learns from it (Bengio et
al. 2015 with no truth mixed in): about twice the time of a teacher-forced step, with exactly the past of inference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from diffspeaker3d.errors import InputError
from diffspeaker3d.models.attention import (
    KeyValue,
    OwnAudio,
    SelfAttention,
    periodic_positions,
    self_attention_bias,
)
from diffspeaker3d.models.conditions import VectorCondition
from diffspeaker3d.models.motion_model import Conditions, Diffusion, MotionModel, Sampler

HISTORY_PERIODS = 20  # a frame sees so many periods (seconds) of its past


class CausalLayer(nn.Module):
    """Pre-norm decoder layer whose frames see only what came before, and the audio of their own instant.

    Cross-attention sees one row of audio: `OwnAudio`.

    Args:
        width: C.
        feedforward: hidden width of the feed-forward part.
        heads: H.
        dropout: probability.
    """

    def __init__(self, width: int, feedforward: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attention = SelfAttention(width, heads, dropout)
        self.cross_attention = OwnAudio(width, heads, dropout)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward), nn.GELU(), nn.Dropout(dropout), nn.Linear(feedforward, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, from_audio: Tensor, bias: Tensor) -> Tensor:
        """All frames x (B, T, C) at once, given the output of cross-attention (B, T, C), under a causal bias (H, T, T)."""
        return self._rest(x, self.self_attention(self.norm1(x), None, bias), from_audio)

    def step(self, x: Tensor, from_audio: Tensor, history: History) -> Tensor:
        """The next frame x (B, 1, C) after those that `history` remembers; it joins them."""
        normed = self.norm1(x)
        seen, bias = history.add(self.self_attention.memory(normed))
        return self._rest(x, self.self_attention.attend(normed, seen, bias), from_audio)

    def _rest(self, x: Tensor, attended: Tensor, from_audio: Tensor) -> Tensor:
        x = x + self.dropout(attended) + self.dropout(from_audio)
        rest: Tensor = x + self.dropout(self.feedforward(self.norm2(x)))
        return rest


class History:
    """Keys and values of the latest frames of one layer; the oldest is overwritten, so memory does not grow.

    Args:
        batch, size: B and C / H.
        bias_by_age (Tensor (H, R)): of a frame that is 0 … R - 1 frames old; R frames are kept.
    """

    def __init__(self, batch: int, size: int, bias_by_age: Tensor) -> None:
        heads, self.reach = bias_by_age.shape
        self.count = 0
        self._kept = KeyValue(*(bias_by_age.new_empty(batch, heads, self.reach, size) for _ in range(2)))
        # Twice and backwards: any R neighbours are the ages of the R slots, for some slot that is the newest.
        self._bias = bias_by_age.flip(1).repeat(1, 2)[:, None]

    def add(self, new: KeyValue) -> tuple[KeyValue, Tensor]:
        """Remember one frame (B, H, 1, C / H); all that are remembered, slot by slot, and their bias (H, 1, slots)."""
        slot = self.count % self.reach
        for kept, value in zip(self._kept, new, strict=True):
            kept[:, :, slot] = value[:, :, 0]
        self.count += 1
        filled = min(self.count, self.reach)
        first = self.reach - 1 - slot
        return self._kept.frames(0, filled), self._bias[..., first : first + filled]


class AutoregressiveModel(MotionModel):
    """Audio and conditions to motion, frame by frame, each from the model's own frames before it.

    Nothing looks ahead, so padding behind a clip's last frame changes no real frame, and there is no mask. (The audio
    features may look ahead, as those of FaceFormer do.)

    Args:
        motion_dim: D: 3V of vertex displacements, or the number of controls.
        audio_dim: D_a, width of the audio features.
        width: C. The paper: 64 (VOCASET), 128 (BIWI).
        feedforward: 2 C in the paper.
        heads: H.
        layers: L. 1 in the paper.
        conditions: name -> numbers, of what is known of a clip; all are added to the frames.
        period: p of positions and bias, frames: the fps of the corpus.
        dropout: probability.
    """

    def __init__(
        self,
        motion_dim: int,
        audio_dim: int,
        width: int = 64,
        feedforward: int = 128,
        heads: int = 4,
        layers: int = 1,
        conditions: Mapping[str, int] = {"style": 8},
        period: int = 30,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width % heads or width % 2:
            raise InputError(f"denoiser: width {width} must be even and a multiple of heads {heads}")
        self.motion_dim, self.audio_dim, self.width, self.heads = motion_dim, audio_dim, width, heads
        self.condition_sizes = dict(conditions)
        self.period, self.history = period, HISTORY_PERIODS * period
        self.input = nn.Linear(motion_dim, width)
        self.output = nn.Linear(width, motion_dim)
        self.audio = nn.Linear(audio_dim, width)
        self.conditions = nn.ModuleDict({name: VectorCondition(size, width, 1) for name, size in conditions.items()})
        self.layers = nn.ModuleList(CausalLayer(width, feedforward, heads, dropout) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, motion: Tensor, audio_features: Tensor, conditions: Conditions) -> Tensor:
        """Prediction (B, T, D): each frame from the frames of `motion` before it, all frames in parallel.

        Args:
            motion (Tensor (B, T, D)): the past of every frame, as states; the last frame is nobody's past.
            audio_features (Tensor (B, T, D_a)): one row per motion frame.
            conditions: name -> value (B, n).
        """
        token = self._token(conditions)
        past = torch.cat([torch.zeros_like(token), self.input(motion[:, :-1])], 1)[:, : motion.shape[1]]
        x = self.dropout(past + token + self._positions(motion.shape[1]))
        bias = self._causal_bias(motion.shape[1]).to(x.dtype)
        for layer, from_audio in zip(self._layers(), self._from_audio(audio_features), strict=True):
            x = layer(x, from_audio, bias)
        prediction: Tensor = self.output(x)
        return prediction

    def learn(
        self,
        x_start: Tensor,
        features: Tensor,
        conditions: Conditions,
        frame_mask: Tensor | None,
        diffusion: Diffusion,
    ) -> Tensor:
        """`forward` on the model's own output, the past it will meet in use; the recording is seen by the losses only."""
        return self(self.roll_out(features, conditions), features, conditions)

    def generate(
        self, features: Tensor, conditions: Conditions, frame_mask: Tensor | None = None, sampler: Sampler | None = None
    ) -> Tensor:
        """Motion states (B, T, D) of any length; there is nothing to sample, and padding behind a clip changes nothing."""
        return self.roll_out(features, conditions)

    @torch.no_grad()
    def roll_out(self, audio_features: Tensor, conditions: Conditions) -> Tensor:
        """Motion states (B, T, D), without dropout, in float32: O(T) time, keys and values cached."""
        # Autocast would keep weights cast without gradient, and hand them to the pass with gradient.
        with resting(self), torch.autocast(audio_features.device.type, enabled=False):
            return self._roll_out(audio_features.float(), self._token(conditions).float())

    def _roll_out(self, audio_features: Tensor, token: Tensor) -> Tensor:
        frames = audio_features.shape[1]
        positions = self._positions(min(frames, self.period))
        from_audio, bias = self._from_audio(audio_features), self._bias_by_age(min(frames, self.history))
        memories = [History(len(token), self.width // self.heads, bias) for _ in from_audio]
        motion = audio_features.new_empty(len(audio_features), frames, self.motion_dim)
        past = torch.zeros_like(token)
        for t in range(frames):
            x = past + token + positions[t % self.period]
            for layer, audio, history in zip(self._layers(), from_audio, memories, strict=True):
                x = layer.step(x, audio[:, t : t + 1], history)
            motion[:, t : t + 1] = state = self.output(x)
            past = self.input(state)
        return motion

    def _token(self, conditions: Conditions) -> Tensor:
        """The sum of all conditions (B, 1, C)."""
        self.check_conditions(conditions)
        return torch.stack([module(conditions.get(name)) for name, module in self.conditions.items()]).sum(0)

    def _layers(self) -> Iterable[CausalLayer]:
        return cast(Iterable[CausalLayer], self.layers)

    def _from_audio(self, audio_features: Tensor) -> list[Tensor]:
        """The output of cross-attention (B, T, C), layer by layer."""
        audio = self.audio(audio_features)
        return [layer.cross_attention(None, None, audio) for layer in self._layers()]

    def _positions(self, num_frames: int) -> Tensor:
        return periodic_positions(num_frames, self.width, self.period, self.input.weight.device)

    def _bias_by_age(self, count: int) -> Tensor:
        """-s_h ⌊age / p⌋ (H, count) of frames 0, 1, … frames back."""
        ages = torch.arange(count, device=self.input.weight.device)
        return self_attention_bias(ages, ages[:1], self.heads, self.period)[..., 0]

    def _causal_bias(self, num_frames: int) -> Tensor:
        """(H, T, T): by age, -inf for what is to come or too long ago."""
        frames = torch.arange(num_frames, device=self.input.weight.device)
        age = frames[:, None] - frames
        unseen = (age < 0) | (age >= self.history)
        return self_attention_bias(frames, frames, self.heads, self.period).masked_fill(unseen, float("-inf"))


@contextmanager
def resting(module: nn.Module) -> Iterator[None]:
    """In eval mode for a while: no dropout, and no random number drawn."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
