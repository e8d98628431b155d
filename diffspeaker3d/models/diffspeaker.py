"""DiffSpeaker: audio encoder, denoiser and motion space in one module; speech and noisy motion in, clean motion out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from diffspeaker3d.errors import InputError
from diffspeaker3d.models.autoregressive import AutoregressiveDecoder
from diffspeaker3d.models.denoiser import Denoiser
from diffspeaker3d.models.encoders.base import AudioEncoder, length_mask
from diffspeaker3d.models.motion import ControlMotion, VertexMotion


class Prediction(NamedTuple):
    """What one pass of the network says.

    Attributes:
        motion (Tensor (B, T, D)): in the schedule's prediction type, state space.
        viseme_logits (Tensor (B, T, num_visemes)): what is being said, from the audio alone; None without that head.
    """

    motion: Tensor
    viseme_logits: Tensor | None


class DiffSpeaker(nn.Module):
    """The network. Knows no schedule: `pipeline` and `training` join the two.

    Args:
        audio_encoder: waveform to audio features, one row per motion frame.
        denoiser: takes those features and this motion space's states; or a `Generator`, the autoregressive baseline.
        motion: between states and the face's own units.
        fps: motion frames per second; the encoder's.
        style_names: one per style dimension, the speakers of the training corpus.
        topology: name of the topology the motion belongs to.
        topology_hash: its `Topology.hash`, or "" if not known.
        num_visemes: classes of the auxiliary viseme head on the audio features; 0 = none.
    """

    def __init__(
        self,
        audio_encoder: AudioEncoder,
        denoiser: Denoiser | AutoregressiveDecoder,
        motion: VertexMotion | ControlMotion,
        *,
        fps: float,
        style_names: Sequence[str],
        topology: str,
        topology_hash: str = "",
        num_visemes: int = 0,
    ) -> None:
        super().__init__()
        _fits("audio width", audio_encoder.width, denoiser.audio_dim)
        _fits("motion dimension", motion.dim, denoiser.motion_dim)
        _fits("number of styles", len(style_names), denoiser.style_dim)
        if audio_encoder.fps != fps:
            raise InputError(
                f"model: fps {fps} of the motion does not fit fps {audio_encoder.fps} of the audio encoder"
            )
        self.audio_encoder = audio_encoder
        self.denoiser: Denoiser | AutoregressiveDecoder = denoiser
        self.motion = motion
        self.fps, self.style_names = float(fps), tuple(style_names)
        self.topology, self.topology_hash = topology, topology_hash
        self.viseme_head = nn.Linear(audio_encoder.width, num_visemes) if num_visemes else None

    def forward(
        self, x_t: Tensor, timestep: Tensor, waveform: Tensor, num_samples: Tensor, num_frames: Tensor, style: Tensor
    ) -> Prediction:
        """One training pass of a diffusion model.

        Args:
            x_t (Tensor (B, T, D)): noisy states, T = num_frames.max().
            timestep (Tensor (B,) int64): noise level of each item.
            waveform (Tensor (B, N) float32): 16 kHz.
            num_samples (Tensor (B,) int64): real samples of each item.
            num_frames (Tensor (B,) int64): real frames of each item.
            style (Tensor (B, S)): see `style_vectors`.
        """
        features = self.audio_encoder(waveform, num_samples, num_frames)
        mask = length_mask(num_frames, x_t.shape[1])
        motion = self.denoiser(x_t, timestep, features, style, mask)
        return Prediction(motion, self.viseme_logits(features))

    def viseme_logits(self, audio_features: Tensor) -> Tensor | None:
        """(B, T, num_visemes) from audio features (B, T, D_a); None without a viseme head."""
        return None if self.viseme_head is None else self.viseme_head(audio_features)

    def style_vectors(self, styles: Sequence[int | str | Sequence[float]]) -> Tensor:
        """Style vectors (B, S): from a name or index one-hot, from S numbers themselves (a blend of speakers).

        Raises:
            InputError: an unknown name or index, or a vector of another length.
        """
        size = len(self.style_names)
        rows = torch.zeros(len(styles), size)
        for row, style in zip(rows, styles, strict=True):
            if isinstance(style, str):
                if style not in self.style_names:
                    raise InputError(f"unknown style {style!r}; known: {', '.join(self.style_names)}")
                row[self.style_names.index(style)] = 1.0
            elif isinstance(style, int):
                if not 0 <= style < size:
                    raise InputError(f"unknown style {style}; known: 0 to {size - 1} ({', '.join(self.style_names)})")
                row[style] = 1.0
            else:
                if len(style) != size:
                    raise InputError(f"a style vector needs {size} numbers, got {len(style)}")
                row.copy_(torch.as_tensor(style, dtype=torch.float32))
        return rows.to(self.denoiser.style.weight.device)


def _fits(what: str, ours: int, theirs: int) -> None:
    if ours != theirs:
        raise InputError(f"model: {what} {ours} does not fit the denoiser's {theirs}")
