"""The one place where a model is sampled: inference, validation, evaluation and benchmark all call `sample`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffspeaker3d.diffusion import (
    NoiseSchedule,
    SamplingOptions,
    ddim_sample,
    initial_noise,
    official_sample,
    window_frames,
    windowed,
)
from diffspeaker3d.errors import InputError
from diffspeaker3d.models import DiffSpeaker, Generator, MotionSpace

SAMPLERS: Mapping[str, Callable[..., Tensor]] = {"ddim": ddim_sample, "official": official_sample}
SPACINGS = {"ddim": "trailing", "official": "leading"}  # of timesteps, where none is asked for
WINDOW_FRAMES, WINDOW_OVERLAP = 36_000, 300  # denoised at once (20 min); longer clips run in overlapping windows
MAX_TEMPERATURE = 2.0
Temperature = float | Mapping[str, float]


@dataclass(frozen=True)
class Sampling:
    """How motion is drawn from a diffusion model: the `sampling` section of a checkpoint.

    Attributes:
        sampler: `ddim`, or `official`: the iteration of the published checkpoints.
        steps: network evaluations.
        eta: fresh noise of each step: 0 = none (deterministic), 1 = as much as DDPM.
        spacing: of timesteps, see `NoiseSchedule.timesteps`; None = the sampler's own.
        temperature: factor on the standard deviation of the initial noise, of all motion or by motion group; None = 1.

    Raises:
        InputError: an unknown sampler, or a number out of range.
    """

    sampler: str = "ddim"
    steps: int = 10
    eta: float = 0.0
    spacing: str | None = None
    temperature: Temperature | None = None

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise InputError(f"sampler={self.sampler}: unknown; known: {', '.join(SAMPLERS)}")
        if not 0 <= self.eta <= 1:
            raise InputError(f"eta={self.eta}: must be 0 to 1")

    def timesteps(self, schedule: NoiseSchedule) -> list[int]:
        """Those the network is asked for, falling."""
        return schedule.timesteps(self.steps, self.spacing or SPACINGS[self.sampler])


def sample(
    model: DiffSpeaker,
    schedule: NoiseSchedule,
    features: Tensor,
    conditions: Mapping[str, Tensor],
    sampling: Sampling,
    seeds: Sequence[int],
    frame_mask: Tensor | None = None,
) -> Tensor:
    """Motion states of unit variance (B, T, D); `model.motion.decode` gives them their own units.

    A clip's motion follows from its features, conditions and seed alone: not from the batch it is in, nor from padding.

    Args:
        model: in eval mode.
        schedule: what its denoiser was trained with.
        features (Tensor (B, T, D_a)): of the audio encoder, one row per motion frame.
        conditions: name -> value of each item (B, n); `style` (B, S).
        sampling: sampler, steps, temperature …
        seeds: one for each item.
        frame_mask (Tensor (B, T) bool): True = real frame; None = all are.

    Raises:
        InputError: options that do not fit the model.
    """
    style = conditions["style"].to(features)
    if isinstance(model.denoiser, Generator):
        if sampling.temperature is not None:
            raise InputError(
                "temperature: is for diffusion checkpoints, this one generates frame by frame and draws nothing; "
                "leave it out"
            )
        return model.denoiser.generate(features, style)
    denoiser, (count, num_frames) = model.denoiser, features.shape[:2]
    options = SamplingOptions(sampling.steps, sampling.eta, sampling.spacing or SPACINGS[sampling.sampler])
    condition = denoiser.condition(features, style, frame_mask, sampling.timesteps(schedule))
    # A prediction of ε or v leaves in the motion what the network does not see of the noise: that has to be there.
    sees_all = schedule.prediction_type == "sample"
    space = denoiser.in_space("auto" if sees_all else "vertex", condition)
    window = window_frames(num_frames, WINDOW_FRAMES, WINDOW_OVERLAP)
    denoise = space if window == num_frames else windowed(space.frames, num_frames, window, window - WINDOW_OVERLAP)
    scale = noise_scale(model.motion, sampling.temperature)

    def noise(draw: int) -> Tensor:
        std = scale if draw == 0 and scale is not None else None
        dim = denoiser.noise_dim if sees_all else denoiser.motion_dim
        normal = initial_noise([(num_frames, dim)] * count, seeds, draw=draw).to(features)
        if sees_all:
            return space.start(normal, None if std is None else std.to(features))
        return normal if std is None else normal * std.to(features)

    return space.lift(SAMPLERS[sampling.sampler](denoise, schedule, noise(0), options, noise))


def noise_scale(motion: MotionSpace, temperature: Temperature | None) -> Tensor | None:
    """Standard deviation (D,) of the initial noise of each motion channel; None = 1.

    Args:
        motion: names the groups.
        temperature: of all groups, or by name (1 where not named), 0 (what is likeliest) to MAX_TEMPERATURE; None = 1.

    Raises:
        InputError: an unknown group, or a number out of range.
    """
    if temperature is None:
        return None
    factors = dict(temperature) if isinstance(temperature, Mapping) else dict.fromkeys(motion.groups, temperature)
    scale = torch.ones(motion.dim)
    for group, factor in factors.items():
        if group not in motion.groups:
            raise InputError(f"temperature: unknown motion group {group!r}; known: {', '.join(motion.groups)}")
        if not isinstance(factor, int | float) or not 0 <= factor <= MAX_TEMPERATURE:
            raise InputError(f"temperature={factor} of {group}: must be 0 to {MAX_TEMPERATURE:g}")
        scale[motion.groups[group]] = factor
    return scale
