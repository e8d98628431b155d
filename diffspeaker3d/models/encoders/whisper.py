"""Whisper's encoder (Radford et al. 2022), cut to the clip, and a small network of our own that reads its layers.

    waveform -log-mel-> 100 Hz -two convolutions-> 50 Hz -transformer layers-> hidden states -> motion frames    frozen
    hidden states of some layers, side by side -one matrix-> -dilated convolutions-> features                   trained

Whisper itself pads every sound to 30 s; with the position table cut to the clip its features hardly change (they
correlate .994 with the padded ones) and cost a seventh for a clip of 4 s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from diffspeaker3d.audio import SAMPLE_RATE
from diffspeaker3d.errors import InputError
from diffspeaker3d.models.encoders.base import AudioEncoder, length_mask, to_motion_frames

HOP, FFT = 160, 400  # samples: 10 ms, 25 ms
STRIDE = 2 * HOP  # samples per feature: 50 Hz
DYNAMIC_RANGE = 8.0  # decades below the loudest that are heard
WINDOW, OVERLAP = 400, 100  # features heard at once (8 s), and shared by neighbouring windows (2 s)


class WhisperEncoder(AudioEncoder):
    """Frozen hidden states of Whisper (`hear`), read by a trained network (`refine`).

    A clip longer than a window is heard in windows that overlap, cross-faded, so that cost grows linearly and no
    feature jumps where two meet.

    Args:
        fps: motion frames per second.
        weights: file made by `prepare encoder=...`; None when a checkpoint brings them.
        taps: layers whose output is read, counted from 1; the last is normalised as in Whisper.
        width: D_a of the trained network.
        dilations: one residual block each, at the motion's frame rate.
        dropout: probability, of channels that are heard and of what blocks find.
        hidden, heads, layers, feedforward, num_mels: sizes of the Whisper model; those of `tiny.en`.

    Attributes:
        reach: seconds of sound before and after a frame that its feature depends on, at most.
        heard_width: numbers per frame that `hear` gives.

    Raises:
        InputError: no such file, or weights of another model.
    """

    frozen = True

    def __init__(
        self,
        fps: float,
        weights: str | None = None,
        taps: Sequence[int] = (2, 3, 4),
        width: int = 192,
        dilations: Sequence[int] = (1, 2, 4, 8),
        dropout: float = 0.1,
        hidden: int = 384,
        heads: int = 6,
        layers: int = 4,
        feedforward: int = 1536,
        num_mels: int = 80,
    ) -> None:
        super().__init__()
        if not taps or any(not 1 <= tap <= layers for tap in taps):
            raise InputError(f"audio encoder: taps {list(taps)} must be layers 1 to {layers}")
        self.fps, self.width, self.taps = float(fps), width, tuple(taps)
        self.heard_width = hidden * len(self.taps)
        self.reach = WINDOW * STRIDE / SAMPLE_RATE + (1 + sum(dilations)) / self.fps
        self.whisper = WhisperLayers(hidden, heads, layers, feedforward, num_mels)
        if weights is not None:
            self.whisper.load(weights)
        self.whisper.requires_grad_(False).eval()
        self.reader = Reader(self.heard_width, width, dilations, dropout)

    @torch.no_grad()
    def hear(self, waveform: Tensor, num_samples: Tensor, num_frames: Tensor) -> Tensor:
        """Hidden states (B, T_max, heard_width) at motion frames; every clip on its own, so padding changes nothing."""
        clips = [self._windows(clip[:length]) for clip, length in zip(waveform, num_samples.tolist(), strict=True)]
        counts = torch.tensor([len(clip) for clip in clips], device=waveform.device)
        features = nn.utils.rnn.pad_sequence(clips, batch_first=True)
        return to_motion_frames(features, counts, SAMPLE_RATE / STRIDE, 0.0, num_frames, self.fps)

    def refine(self, heard: Tensor, num_frames: Tensor) -> Tensor:
        """Features (B, T, D_a) from `hear`'s; zero beyond each item's frames."""
        real = length_mask(num_frames, heard.shape[1])[..., None]
        features: Tensor = self.reader(heard, real)
        return features * real

    def ears(self) -> tuple[str, nn.Module]:
        """See `AudioEncoder.ears`."""
        return f"whisper {self.taps} {self.fps}", self.whisper

    def calibrate(self, heard: Iterable[Tensor]) -> None:
        """Scale every channel by its mean and deviation in these clips (T, heard_width)."""
        frames = torch.cat([clip.double() for clip in heard])
        self.reader.mean.copy_(frames.mean(0))
        self.reader.deviation.copy_(frames.std(0).clamp(min=1e-3))

    def architecture(self) -> dict[str, Any]:
        """Weights are in the checkpoint."""
        return {"weights": None}

    def train(self, mode: bool = True) -> WhisperEncoder:
        """Whisper itself stays in eval mode."""
        super().train(mode)
        self.whisper.eval()
        return self

    def _windows(self, waveform: Tensor) -> Tensor:
        """Hidden states (n, heard_width) of one clip (N,), n = N / STRIDE + 1; overlapping windows are cross-faded."""
        total = len(waveform) // STRIDE + 1
        if total <= WINDOW:
            return self.whisper(waveform, self.taps)
        fade = torch.linspace(0.0, 1.0, OVERLAP + 2, device=waveform.device)[1:-1, None]
        joined = waveform.new_zeros(total, self.heard_width)
        for start in range(0, total - OVERLAP, WINDOW - OVERLAP):
            features = self.whisper(waveform[start * STRIDE : (start + WINDOW) * STRIDE - 1], self.taps)
            if start:
                before = joined[start : start + OVERLAP]
                features[:OVERLAP] = before + fade * (features[:OVERLAP] - before)
            joined[start : start + len(features)] = features
        return joined


class WhisperLayers(nn.Module):
    """The encoder as published: log-mel, two convolutions, positions, pre-norm transformer layers."""

    window: Tensor
    mel_filters: Tensor
    positions: Tensor

    def __init__(self, hidden: int, heads: int, layers: int, feedforward: int, num_mels: int) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(FFT), persistent=False)
        self.register_buffer("mel_filters", slaney_filters(num_mels), persistent=False)
        self.conv1 = nn.Conv1d(num_mels, hidden, 3, padding=1)
        self.conv2 = nn.Conv1d(hidden, hidden, 3, stride=2, padding=1)
        self.register_buffer("positions", sinusoids(WINDOW, hidden), persistent=False)
        self.layers = nn.ModuleList(WhisperLayer(hidden, heads, feedforward) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)

    def forward(self, waveform: Tensor, taps: Sequence[int]) -> Tensor:
        """Hidden states of the tapped layers side by side, (n, len(taps) * hidden), of a clip (N,)."""
        x = F.gelu(self.conv1(self.log_mel(waveform)))
        x = F.gelu(self.conv2(x))[0].T
        x = x + self.positions[: len(x)]
        found = []
        for number, layer in enumerate(self.layers, 1):
            x = layer(x)
            if number in taps:
                found.append(self.norm(x) if number == len(self.layers) else x)
        return torch.cat(found, -1)

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Whisper's log-mel (1, M, n), n even, of a clip (N,); silence follows it."""
        samples = F.pad(waveform.float(), (FFT // 2, FFT // 2 + HOP - len(waveform) % STRIDE))
        spectrum = torch.stft(samples, FFT, HOP, window=self.window, center=False, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        mel = (self.mel_filters @ power).clamp(min=1e-10).log10()
        return ((mel.maximum(mel.max() - DYNAMIC_RANGE) + 4.0) / 4.0)[None]

    def load(self, path: str | Path) -> None:
        """Weights from a file of `prepare encoder=...`."""
        try:
            self.load_state_dict(load_file(path))
        except FileNotFoundError as error:
            raise InputError(
                f"{path}: no such file; make it with: python -m diffspeaker3d.prepare encoder=whisper-tiny.en"
            ) from error
        except (SafetensorError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{path}: not the weights of this Whisper model ({reason}); prepare it again") from error


class WhisperLayer(nn.Module):
    """Pre-norm self-attention over all of the window, and feed-forward."""

    def __init__(self, hidden: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.query, self.value = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden, bias=False)
        self.output = nn.Linear(hidden, hidden)
        self.feedforward = nn.Sequential(nn.Linear(hidden, feedforward), nn.GELU(), nn.Linear(feedforward, hidden))

    def forward(self, x: Tensor) -> Tensor:
        """(n, hidden) to (n, hidden)."""
        normal = self.attention_norm(x)
        query, key, value = (
            part(normal).unflatten(-1, (self.heads, -1)).transpose(0, 1) for part in (self.query, self.key, self.value)
        )
        attended = F.scaled_dot_product_attention(query[None], key[None], value[None])[0]
        x = x + self.output(attended.transpose(0, 1).flatten(-2))
        changed: Tensor = x + self.feedforward(self.feedforward_norm(x))
        return changed


class Reader(nn.Module):
    """Hidden states to features: channels of one size, one matrix, dilated residual convolutions over time.

    Whisper's hidden states have a few channels a hundred times as large as the others: each is scaled by its own mean
    and deviation over speech (`calibrate`).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, heard: int, width: int, dilations: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(heard))
        self.register_buffer("deviation", torch.ones(heard))
        self.first = nn.Linear(heard, width)
        self.blocks = nn.ModuleList(ReaderBlock(width, dilation, dropout) for dilation in dilations)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, heard: Tensor, real: Tensor) -> Tensor:
        """(B, T, heard), real (B, T, 1) bool -> (B, T, width)."""
        scaled = (heard - self.mean) / self.deviation
        kept = self.dropout(torch.ones_like(scaled[:, :1]))  # a channel goes for all of a clip: neighbours would tell
        x = self.first(scaled * kept)
        for block in self.blocks:
            x = block(x, real)
        features: Tensor = self.norm(x)
        return features


class ReaderBlock(nn.Module):
    """x + what a convolution over three dilated frames finds; what lies beyond the clip is zero."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """x (B, T, C), real (B, T, 1) bool."""
        found = self.convolution((x * real).transpose(1, 2)).transpose(1, 2)
        changed: Tensor = x + self.dropout(F.gelu(self.norm(found)))
        return changed


def sinusoids(count: int, width: int) -> Tensor:
    """Whisper's positions (count, width): sines, then cosines, of wavelengths from 2 pi to 20,000 pi features."""
    rates = torch.exp(-math.log(10_000.0) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(count)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


def slaney_filters(num_mels: int) -> Tensor:
    """Triangles (M, FFT / 2 + 1) of unit area, equally spaced on Slaney's scale (linear to 1 kHz, then logarithmic)."""
    linear, knee, step = 200.0 / 3.0, 1000.0, math.log(6.4) / 27.0
    highest = knee / linear + math.log(SAMPLE_RATE / 2 / knee) / step
    mels = torch.linspace(0.0, highest, num_mels + 2, dtype=torch.float64)
    hertz = torch.where(mels < knee / linear, mels * linear, knee * torch.exp(step * (mels - knee / linear)))
    bins = torch.arange(FFT // 2 + 1, dtype=torch.float64) * (SAMPLE_RATE / FFT)
    low, centre, high = hertz[:-2, None], hertz[1:-1, None], hertz[2:, None]
    triangles = torch.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clamp(min=0.0)
    return (triangles * 2.0 / (high - low)).float()
