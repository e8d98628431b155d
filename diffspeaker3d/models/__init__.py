"""Models: audio encoders, the denoiser, motion spaces, and the module that joins them.

    waveform -AudioEncoder-> audio_features (B, T, D_a)
    x_t, timestep | audio_features, style -Denoiser-> prediction (B, T, D)
    audio_features, style -Generator-> motion state (B, T, D)     in the denoiser's place: the autoregressive baseline
    state (B, T, D) -MotionSpace.decode-> displacements (3V) or controls (K)

Letters: B batch, T motion frames, D motion dimension, D_a audio width, C width, H heads, S styles, L layers.
"""

from diffspeaker3d.models.autoregressive import AutoregressiveDecoder, Generator
from diffspeaker3d.models.checkpoint import build, checkpoint_hash, load_checkpoint, read_config, save_checkpoint
from diffspeaker3d.models.convert import convert_official
from diffspeaker3d.models.denoiser import Condition, Denoiser
from diffspeaker3d.models.diffspeaker import DiffSpeaker, Prediction
from diffspeaker3d.models.encoders.base import AudioEncoder
from diffspeaker3d.models.encoders.mel import MelEncoder
from diffspeaker3d.models.encoders.transformers import TransformersEncoder
from diffspeaker3d.models.encoders.whisper import WhisperEncoder
from diffspeaker3d.models.latent import Space
from diffspeaker3d.models.motion import ControlMotion, MotionSpace, VertexMotion
from diffspeaker3d.models.precision import in_precision

__all__ = [
    "AudioEncoder", "AutoregressiveDecoder", "Condition", "ControlMotion", "Denoiser", "DiffSpeaker", "Generator", "MelEncoder", "MotionSpace", "Prediction",
    "Space", "TransformersEncoder", "VertexMotion", "WhisperEncoder", "build", "checkpoint_hash", "convert_official", "in_precision", "load_checkpoint", "read_config",
    "save_checkpoint",
]  # fmt: skip
