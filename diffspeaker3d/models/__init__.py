"""Models: audio encoders, motion models, motion groups, and the module that joins them.

    waveform -AudioEncoder-> audio_features (B, T, D_a)
    x_t, timestep | audio_features, conditions -Denoiser-> prediction (B, T, D)
    audio_features, conditions -MotionModel.generate-> state (B, T, D)      by a sampler, or frame by frame
    state (B, T, D) -Motion.decode-> displacements (3V) or controls (K)

Letters: B batch, T motion frames, D motion dimension, D_a audio width, C width, H heads, S styles, L layers.
"""

from diffspeaker3d.models.autoregressive import AutoregressiveModel
from diffspeaker3d.models.checkpoint import build, checkpoint_hash, load_checkpoint, read_config, save_checkpoint
from diffspeaker3d.models.convert import convert_official
from diffspeaker3d.models.denoiser import Denoiser
from diffspeaker3d.models.diffspeaker import DiffSpeaker
from diffspeaker3d.models.encoders.base import AudioEncoder
from diffspeaker3d.models.encoders.mel import MelEncoder
from diffspeaker3d.models.encoders.transformers import TransformersEncoder
from diffspeaker3d.models.encoders.whisper import WhisperEncoder
from diffspeaker3d.models.motion import ControlMotion, MotionSpace, VertexMotion
from diffspeaker3d.models.motion_model import Conditions, MotionModel, Sampler

__all__ = [
    "AudioEncoder",
    "AutoregressiveModel",
    "Conditions",
    "ControlMotion",
    "Denoiser",
    "DiffSpeaker",
    "MelEncoder",
    "MotionModel",
    "MotionSpace",
    "Sampler",
    "TransformersEncoder",
    "VertexMotion",
    "WhisperEncoder",
    "build",
    "checkpoint_hash",
    "convert_official",
    "load_checkpoint",
    "read_config",
    "save_checkpoint",
]
