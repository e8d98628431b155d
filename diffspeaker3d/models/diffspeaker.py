"""DiffSpeaker: audio encoder, motion model and motion groups in one module."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from diffspeaker3d.errors import InputError
from diffspeaker3d.models.encoders.base import AudioEncoder
from diffspeaker3d.models.motion import ControlMotion, VertexMotion
from diffspeaker3d.models.motion_model import Conditions, MotionModel, Sampler


class DiffSpeaker(nn.Module):
    """The network. Knows no schedule: `pipeline` and `training` join the two.

    Args:
        audio_encoder: waveform to audio features, one row per motion frame.
        denoiser: the motion model: a `Denoiser`, or another `MotionModel` in its place. Takes those features and the
            states of this motion.
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
        denoiser: MotionModel,
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
        _fits("number of styles", len(style_names), denoiser.condition_sizes.get("style", 0))
        if audio_encoder.fps != fps:
            raise InputError(
                f"model: fps {fps} of the motion does not fit fps {audio_encoder.fps} of the audio encoder"
            )
        self.audio_encoder = audio_encoder
        self.denoiser = denoiser
        self.motion = motion
        self.fps, self.style_names = float(fps), tuple(style_names)
        self.topology, self.topology_hash = topology, topology_hash
        self.viseme_head = nn.Linear(audio_encoder.width, num_visemes) if num_visemes else None

    def generate(self, features: Tensor, conditions: Conditions, frame_mask: Tensor | None, sampler: Sampler) -> Tensor:
        """Motion states (B, T, D) from audio features (B, T, D_a); see `MotionModel.generate`."""
        return self.denoiser.generate(features, conditions, frame_mask, sampler)

    def viseme_logits(self, audio_features: Tensor) -> Tensor | None:
        """(B, T, num_visemes) from audio features (B, T, D_a); None without a viseme head."""
        return None if self.viseme_head is None else self.viseme_head(audio_features)


def _fits(what: str, ours: int, theirs: int) -> None:
    if ours != theirs:
        raise InputError(f"model: {what} {ours} does not fit the denoiser's {theirs}")
