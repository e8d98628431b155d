"""A FaceFormer-style decoder (Fan et al. 2022, arXiv 2112.05329): speech and the motion so far to the next frame.

What every claim of the diffusion model is to stand beside: the same data, losses, ears and sizes, but one frame after
another and no chance. Written from the paper's equations:

    f_0 = s,  f_t = W_in y_{t-1} + b_in + s                    past motion, style s
    h = layers(f + periodic positions)                         causal self-attention, bias -s_h ⌊(t - j) / p⌋;
    y_t = W_out h_t + b_out                                    cross-attention to the audio of frame t

It differs from the paper where the denoiser does, so that the two compare: layers are pre-norm with GELU, sizes are free,
and the audio has one row per motion frame. A frame sees `HISTORY_PERIODS` periods back, in every clip: no clip of the
papers' corpora is longer, and memory and time per frame stay flat in those that are.

Training. A decoder that is fed with the recording's past (teacher forcing) meets another past in use: its own. FaceFormer
therefore trains on its own output, frame by frame, with gradients through the whole chain. Here the past is the decoder's
own as well, but made without gradient (`generate`, with cached keys), and one parallel pass learns from it: the past is
exactly that of use (Bengio et al. 2015 with no truth mixed in), and the price is one pass without gradient, about as much
time as the pass with it. The parallel scheduled sampling of Mihaylova & Martins (2019) is a little cheaper, but its past
comes from one teacher-forced pass: near the truth, whatever the decoder does when left alone. (Which of the two is better
is not shown: after 400 steps of a small model, one run each, their validation losses were 2.96 here and 2.94 there.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from diffspeaker3d.errors import InputError
from diffspeaker3d.models.attention import KeyValue, SelfAttention, periodic_positions, self_attention_bias

HISTORY_PERIODS = 20  # a frame sees so many periods (seconds) of its past


@runtime_checkable
class Generator(Protocol):
    """A network in the denoiser's place that makes motion by itself: no noise, no schedule, no sampler."""

    def learn(self, audio_features: Tensor, style: Tensor) -> Tensor:
        """Prediction of x_start (B, T, D) for the losses, with gradients."""
        ...

    def generate(self, audio_features: Tensor, style: Tensor) -> Tensor:
        """Motion state (B, T, D), without gradients."""
        ...


class CausalLayer(nn.Module):
    """Pre-norm decoder layer whose frames see only what came before, and the audio of their own instant.

    Cross-attention to one row of audio is a softmax over one key, which is one: what is left of it is the output map of
    the value, and nothing else is computed (nor are there queries and keys, which would never get a gradient).

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
        self.cross_attention = nn.Sequential(
            nn.Linear(width, width), nn.Dropout(dropout), nn.Linear(width, width)
        )  # value, output
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward), nn.GELU(), nn.Dropout(dropout), nn.Linear(feedforward, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, heard: Tensor, bias: Tensor) -> Tensor:
        """All frames x (B, T, C) at once, given what cross-attention says (B, T, C), under a causal bias (H, T, T)."""
        normed = self.norm1(x)
        return self._rest(x, self.self_attention(normed, self.self_attention.memory(normed), bias), heard)

    def step(self, x: Tensor, heard: Tensor, history: History) -> Tensor:
        """The next frame x (B, 1, C) after those that `history` remembers; it joins them."""
        normed = self.norm1(x)
        seen, bias = history.add(self.self_attention.memory(normed))
        return self._rest(x, self.self_attention(normed, seen, bias), heard)

    def _rest(self, x: Tensor, attended: Tensor, heard: Tensor) -> Tensor:
        x = x + self.dropout(attended) + self.dropout(heard)
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
        return self._kept.frames(slice(0, filled)), self._bias[..., first : first + filled]


class AutoregressiveDecoder(nn.Module):
    """Audio and style to motion, frame by frame, each from the decoder's own frames before it; a `Generator`.

    Nothing looks ahead, so padding behind a clip's last frame changes no real frame, and there is no mask. (The audio
    features may look ahead, as those of FaceFormer do.)

    Args:
        motion_dim: D: 3V of vertex displacements, or the number of controls.
        audio_dim: D_a, width of the audio features.
        width: C. The paper: 64 (VOCASET), 128 (BIWI).
        feedforward: 2 C in the paper.
        heads: H.
        layers: L. 1 in the paper.
        style_dim: S; a style is a vector (B, S), one-hot for a known speaker.
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
        style_dim: int = 8,
        period: int = 30,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width % heads or width % 2:
            raise InputError(f"denoiser: width {width} must be even and a multiple of heads {heads}")
        self.motion_dim, self.audio_dim, self.width, self.heads, self.style_dim = (
            motion_dim,
            audio_dim,
            width,
            heads,
            style_dim,
        )
        self.period, self.history = period, HISTORY_PERIODS * period
        self.input = nn.Linear(motion_dim, width)
        self.output = nn.Linear(width, motion_dim)
        self.audio = nn.Linear(audio_dim, width)
        self.style = nn.Linear(style_dim, width, bias=False)  # on one-hot vectors this is an embedding
        self.layers = nn.ModuleList(CausalLayer(width, feedforward, heads, dropout) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.style.weight)  # as torch.nn.Embedding
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, motion: Tensor, audio_features: Tensor, style: Tensor) -> Tensor:
        """Prediction (B, T, D): each frame from the frames of `motion` before it, all frames in parallel.

        Args:
            motion (Tensor (B, T, D)): the past of every frame, as states; the last frame is nobody's past.
            audio_features (Tensor (B, T, D_a)): one row per motion frame.
            style (Tensor (B, S)): style vectors.
        """
        token = self.style(style)[:, None]
        past = torch.cat([torch.zeros_like(token), self.input(motion[:, :-1])], 1)[:, : motion.shape[1]]
        x = self.dropout(past + token + self._positions(motion.shape[1]))
        bias = self._causal_bias(motion.shape[1]).to(x.dtype)
        for layer, heard in zip(self._layers(), self._heard(audio_features), strict=True):
            x = layer(x, heard, bias)
        prediction: Tensor = self.output(x)
        return prediction

    def learn(self, audio_features: Tensor, style: Tensor) -> Tensor:
        """`forward` on the decoder's own output: what it will meet in use; see the head of this file."""
        return self(self.generate(audio_features, style), audio_features, style)

    @torch.no_grad()
    def generate(self, audio_features: Tensor, style: Tensor) -> Tensor:
        """Motion state (B, T, D) of any length, without dropout, in float32: O(T) time, keys and values cached.

        Args:
            audio_features (Tensor (B, T, D_a)): one row per motion frame.
            style (Tensor (B, S)): style vectors.
        """
        # Autocast would keep weights cast without gradient, and hand them to the pass with gradient.
        with resting(self), torch.autocast(audio_features.device.type, enabled=False):
            return self._generate(audio_features.float(), style.float())

    def _generate(self, audio_features: Tensor, style: Tensor) -> Tensor:
        frames = audio_features.shape[1]
        positions, token = self._positions(min(frames, self.period)), self.style(style)[:, None]
        heard, bias = self._heard(audio_features), self._bias_by_age(min(frames, self.history))
        memories = [History(len(style), self.width // self.heads, bias) for _ in heard]
        motion = audio_features.new_empty(len(audio_features), frames, self.motion_dim)
        past = torch.zeros_like(token)
        for t in range(frames):
            x = past + token + positions[t % self.period]
            for layer, audio, history in zip(self._layers(), heard, memories, strict=True):
                x = layer.step(x, audio[:, t : t + 1], history)
            motion[:, t : t + 1] = state = self.output(x)
            past = self.input(state)
        return motion

    def _layers(self) -> Iterable[CausalLayer]:
        return cast(Iterable[CausalLayer], self.layers)

    def _heard(self, audio_features: Tensor) -> list[Tensor]:
        """What cross-attention says (B, T, C), layer by layer."""
        audio = self.audio(audio_features)
        return [layer.cross_attention(audio) for layer in self._layers()]

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
