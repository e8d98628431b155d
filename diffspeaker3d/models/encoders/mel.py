"""The small encoder: log-mel spectrogram, convolutions. No download, trained with the denoiser."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffspeaker3d.audio import SAMPLE_RATE
from diffspeaker3d.models.encoders.base import AudioEncoder, length_mask, to_motion_frames

HOP = 160  # samples: 10 ms
WINDOW = 400  # samples: 25 ms
FFT = 512
MEL_RATE = SAMPLE_RATE // HOP  # Hz
FEATURE_RATE = MEL_RATE // 2  # Hz, behind the strided convolution
LOWEST, HIGHEST = 60.0, 7600.0  # Hz, band edges
WARP_KNEE = 4800.0  # Hz: above it the vocal-tract warp bends back to the band edge (Jaitly & Hinton 2013)
POWER_FLOOR = 1e-7  # about the quantisation noise of 16 bit
STATISTICS_FRAMES = 4 * MEL_RATE  # levels are relative to the four seconds around
QUIET_SPREAD = 0.5  # keeps steady noise (spread below 1) from being blown up to the size of speech (about 3)
WARP_PROBABILITY = 0.7  # in training
MASK_PROBABILITY = 0.5


class MelEncoder(AudioEncoder):
    """Log-mel at 100 Hz, normalised per band over 4 s, two convolutions to 50 Hz, dilated residual blocks, motion frames.

    Sees ±(5 + 2 Σ dilations) / 100 s: ±0.65 s by default.

    Args:
        fps: motion frames per second.
        width: D_a.
        num_mels: bands.
        dilations: one residual block each.
        dropout: probability.
        warp_range: in training, 70 % of the clips get a vocal-tract warp drawn from this range (1 = none; VTLP).
        mask_bands: in training, half of the clips lose up to so many neighbouring bands (SpecAugment).
        mask_frames: the same with neighbouring 10 ms frames.
    """

    window: Tensor

    def __init__(
        self,
        fps: float,
        width: int = 256,
        num_mels: int = 80,
        dilations: Sequence[int] = (1, 2, 4, 8, 1, 2, 4, 8),
        dropout: float = 0.1,
        warp_range: tuple[float, float] = (0.76, 1.30),
        mask_bands: int = 12,
        mask_frames: int = 12,
    ) -> None:
        super().__init__()
        self.fps, self.width, self.num_mels = float(fps), width, num_mels
        self.warp_range, self.mask_bands, self.mask_frames = tuple(warp_range), mask_bands, mask_frames
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.first = nn.Conv1d(num_mels, width, 5, padding=2)
        self.second = nn.Conv1d(width, width, 5, stride=2, padding=2)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(ResidualBlock(width, dilation, dropout) for dilation in dilations)
        self.final_norm = nn.LayerNorm(width)

    def hear(self, waveform: Tensor, num_samples: Tensor, num_frames: Tensor, mel_warp: Tensor | None = None) -> Tensor:
        """As `AudioEncoder.hear`; `mel_warp` (B,) sets the vocal-tract factors instead of drawing them."""
        mel, num_mels = self.log_mel(waveform, num_samples, mel_warp)
        mel = normalise(mel, num_mels)
        if self.training:
            mel = self._masked(mel)
        real = length_mask(num_mels, mel.shape[1])[:, None]
        x = F.gelu(self.first(mel.transpose(1, 2) * real)) * real
        num_features = (num_mels + 1) // 2
        real = real[..., ::2]
        x = F.gelu(self.norm(self.second(x).transpose(1, 2)))
        for block in self.blocks:
            x = block(x, real)
        return to_motion_frames(self.final_norm(x), num_features, FEATURE_RATE, 0.0, num_frames, self.fps)

    def log_mel(self, waveform: Tensor, num_samples: Tensor, mel_warp: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log power (B, n, M), frame k centred on sample 160 k, and the number (B,) of frames that hear sound."""
        waveform = waveform * length_mask(num_samples, waveform.shape[1])
        with torch.autocast(waveform.device.type, enabled=False):
            spectrum = torch.stft(
                waveform.float(), FFT, HOP, WINDOW, self.window, pad_mode="constant", return_complex=True
            )
            power = spectrum.real.square() + spectrum.imag.square()
            if mel_warp is None and self.training:
                mel_warp = self._draw_warp(len(waveform), waveform.device)
            warp = torch.ones(1, device=waveform.device) if mel_warp is None else mel_warp
            mel = (mel_filters(self.num_mels, warp) @ power + POWER_FLOOR).log()
        return mel.transpose(1, 2), num_samples // HOP + 1

    def _draw_warp(self, batch: int, device: torch.device) -> Tensor:
        low, high = self.warp_range
        warp = low + (high - low) * torch.rand(batch, device=device)
        return torch.where(torch.rand(batch, device=device) < WARP_PROBABILITY, warp, torch.ones_like(warp))

    def _masked(self, mel: Tensor) -> Tensor:
        """One band of frequencies and one of frames set to the mean (0), each in half of the clips."""
        keep = torch.ones_like(mel[:, :, :1]) * torch.ones_like(mel[:, :1])
        for dim, most in ((2, self.mask_bands), (1, self.mask_frames)):
            size = mel.shape[dim]
            draw = torch.rand(3, len(mel), 1, device=mel.device)
            start = draw[0] * max(size - most, 1)
            stop = start + draw[1] * most * (draw[2] < MASK_PROBABILITY)
            index = torch.arange(size, device=mel.device)
            hidden = (index >= start) & (index < stop)
            keep = keep * ~hidden.unsqueeze(3 - dim)
        return mel * keep


class ResidualBlock(nn.Module):
    """Dilated convolution over time, layer norm over channels frame by frame (padding-safe), 1x1 back.

    Dropout takes a channel of a clip for all its frames: neighbours would fill in for single ones.
    """

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.dilated = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.norm = nn.LayerNorm(width)
        self.pointwise = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """x (B, n, C) with `real` (B, 1, n): what lies beyond the clip is zero, as the convolution's own padding."""
        y = self.dilated(x.transpose(1, 2) * real).transpose(1, 2)
        kept = self.dropout(torch.ones_like(x[:, :1]))
        return x + kept * self.pointwise(F.gelu(self.norm(y)))


def mel_filters(num_mels: int, warp: Tensor) -> Tensor:
    """Triangular filters (B, M, FFT / 2 + 1) of unit sum, equally spaced in mel, centres warped by `warp` (B,).

    VTLP: f' = f α below the knee, then a straight line to the upper edge, so that bands stay in order.
    """
    edges = torch.linspace(_mel(LOWEST), _mel(HIGHEST), num_mels + 2, device=warp.device)
    hertz = 700.0 * (10.0 ** (edges / 2595.0) - 1.0)
    factor = warp[:, None]
    knee = WARP_KNEE * factor.clamp(max=1.0) / factor
    above = HIGHEST - (HIGHEST - knee * factor) / (HIGHEST - knee) * (HIGHEST - hertz)
    hertz = torch.where(hertz <= knee, hertz * factor, above)
    bins = torch.arange(FFT // 2 + 1, device=warp.device) * (SAMPLE_RATE / FFT)
    low, centre, high = hertz[:, :-2, None], hertz[:, 1:-1, None], hertz[:, 2:, None]
    # Low bands are narrower than a bin: every side of a triangle is at least one bin wide.
    step = SAMPLE_RATE / FFT
    rising = (bins - low.minimum(centre - step)) / (centre - low).clamp(min=step)
    falling = (high.maximum(centre + step) - bins) / (high - centre).clamp(min=step)
    filters = torch.minimum(rising, falling).clamp(min=0.0)
    return filters / filters.sum(-1, keepdim=True)


def normalise(mel: Tensor, num_mels: Tensor) -> Tensor:
    """Subtract each band's mean and divide by a mix of its own and all bands' deviation, over the 4 s around a frame.

    The window moves inside the clip at its ends: up to 4 s it is the whole clip, and a long clip adapts. Only real
    frames count.

    Args:
        mel (Tensor (B, n, M)): log power.
        num_mels (Tensor (B,)): real frames.
    """
    frames = torch.arange(mel.shape[1], device=mel.device)[None]
    last = num_mels[:, None]
    start = (frames - STATISTICS_FRAMES // 2).minimum(last - STATISTICS_FRAMES).clamp(min=0)
    stop = (start + STATISTICS_FRAMES).minimum(last)
    # Differences of running sums: float64, or ten minutes lose the small differences (Metal has no float64).
    wide = torch.float32 if mel.device.type == "mps" else torch.float64
    real = mel.to(wide) * length_mask(num_mels, mel.shape[1])[..., None]
    count = (stop - start)[..., None]
    mean = _window_sum(real, start, stop) / count
    square = _window_sum(real.square(), start, stop) / count
    own = (square - mean.square()).clamp(min=0.0).sqrt()
    every = (square.mean(-1, keepdim=True) - mean.mean(-1, keepdim=True).square()).clamp(min=0.0).sqrt()
    return ((mel - mean) / (0.5 * own + 0.5 * every + QUIET_SPREAD)).to(mel.dtype)


def _window_sum(values: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """Sums of values (B, n, M) over frames start … stop - 1, both (B, n)."""
    running = F.pad(values.cumsum(1), (0, 0, 1, 0))
    items = torch.arange(len(values), device=values.device)[:, None]
    return running[items, stop] - running[items, start]


def _mel(hertz: float) -> float:
    """HTK mel scale."""
    return float(2595.0 * torch.log10(torch.tensor(1.0 + hertz / 700.0)))
