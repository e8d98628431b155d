"""The one place where a model is sampled: inference, validation, evaluation and scripts all call `sample`.

A frame depends on frames up to `Denoiser.receptive_frames` away in one step, and that times the steps in the whole walk. A
long clip is therefore sampled in pieces with a margin of that length on either side, which is thrown away: the same
numbers as at once, in the memory of one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from diffspeaker3d.diffusion import (
    Edit,
    NoiseSchedule,
    SamplingOptions,
    Watch,
    ddim_sample,
    guided,
    initial_noise,
    official_sample,
)
from diffspeaker3d.errors import InputError
from diffspeaker3d.models import Conditions, Denoiser, DiffSpeaker, MotionSpace
from diffspeaker3d.models.sampling import Prepared, Space, noise_dim, open_space

SAMPLERS: Mapping[str, Callable[..., Tensor]] = {"ddim": ddim_sample, "official": official_sample}
SPACINGS = {"ddim": "trailing", "official": "leading"}  # of timesteps, where none is asked for
WINDOW_FRAMES = 36_000  # of motion denoised at once (20 min); longer clips piece by piece, exactly
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
        guidance: condition -> how many times it counts, see `diffusion.guided`; 1 = once, without extra cost.

    Raises:
        InputError: an unknown sampler, or a number out of range.
    """

    sampler: str = "ddim"
    steps: int = 10
    eta: float = 0.0
    spacing: str | None = None
    temperature: Temperature | None = None
    guidance: Mapping[str, float] = field(default_factory=dict)

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
    conditions: Conditions,
    sampling: Sampling,
    seeds: Sequence[int],
    frame_mask: Tensor | None = None,
    edit: Edit | None = None,
    watch: Watch | None = None,
) -> Tensor:
    """Motion states of unit variance (B, T, D); `model.motion.decode` gives them their own units.

    A clip's motion follows from its features, conditions and seed alone: not from the batch it is in, nor from padding.

    Args:
        model: in eval mode.
        schedule: what its denoiser was trained with.
        features (Tensor (B, T, D_a)): of the audio encoder, one row per motion frame.
        conditions: name -> value of each item (B, n), such as `style` (B, S); None = the condition's null.
        sampling: sampler, steps, temperature …
        seeds: one for each item.
        frame_mask (Tensor (B, T) bool): True = real frame; None = all are.
        edit: what to make of every predicted x_start (B, T, D), such as a `diffusion.LinearConstraint`.
        watch: told of every step (number, x_t, x_start); with an `edit` both are motion states.

    Raises:
        InputError: options that do not fit the model.
    """
    if not model.denoiser.draws_noise and (sampling.temperature is not None or sampling.guidance or edit is not None):
        raise InputError(
            "temperature, guidance, constraints: are for diffusion checkpoints, this one generates frame by frame and "
            "draws nothing; leave them out"
        )
    scale = noise_scale(model.motion, sampling.temperature)
    values = {name: None if value is None else value.to(features) for name, value in conditions.items()}

    def sampler(
        denoiser: Denoiser, features: Tensor, conditions: Conditions, frame_mask: Tensor | None = None
    ) -> Tensor:
        def piece(start: int, stop: int) -> Tensor:
            mask = None if frame_mask is None else frame_mask[:, start:stop]
            draw = _Draw(denoiser, schedule, sampling, seeds, scale, start)
            return draw(features[:, start:stop], conditions, mask, edit, watch)

        pieces = [(0, features.shape[1])]
        if edit is None and watch is None and denoiser.receptive_frames is not None:
            pieces = _pieces(features.shape[1], WINDOW_FRAMES)
        margin = sampling.steps * (denoiser.receptive_frames or 0)
        parts = []
        for start, stop in pieces:
            first = max(start - margin, 0)
            parts.append(piece(first, min(stop + margin, features.shape[1]))[:, start - first : stop - first])
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]

    return model.generate(features, values, frame_mask, sampler)


@dataclass(frozen=True)
class _Draw:
    """One walk from noise to motion of frames `first_frame` and on."""

    denoiser: Denoiser
    schedule: NoiseSchedule
    sampling: Sampling
    seeds: Sequence[int]
    noise_std: Tensor | None
    first_frame: int

    def __call__(
        self,
        features: Tensor,
        conditions: Conditions,
        frame_mask: Tensor | None,
        edit: Edit | None,
        watch: Watch | None,
    ) -> Tensor:
        """Motion states (B, T, D) for features (B, T, D_a)."""
        sampling, schedule = self.sampling, self.schedule
        # A prediction of ε or v leaves in the motion what the network does not see of the noise: that has to be there.
        sees_all = schedule.prediction_type == "sample"
        name = "auto" if sees_all and edit is None else "motion"  # an edit is made on the motion itself

        def space(conditions: Conditions) -> Space:
            timesteps = sampling.timesteps(schedule)
            return open_space(
                name, Prepared(self.denoiser, features, conditions, timesteps, frame_mask, self.first_frame)
            )

        own = space(conditions)
        without = [
            (space({**conditions, condition: None}), scale)
            for condition, scale in sampling.guidance.items()
            if scale != 1.0
        ]

        def noise(draw: int) -> Tensor:
            count, frames = features.shape[:2]
            dim = noise_dim(self.denoiser) if sees_all else self.denoiser.motion_dim
            normal = initial_noise([(frames, dim)] * count, self.seeds, self.first_frame, draw).to(features)
            std = None if draw or self.noise_std is None else self.noise_std.to(features)
            if sees_all:
                return own.start(normal, std)
            return normal if std is None else normal * std

        options = SamplingOptions(sampling.steps, sampling.eta, sampling.spacing or SPACINGS[sampling.sampler])
        walk = SAMPLERS[sampling.sampler]
        return own.lift(walk(guided(own, without), schedule, noise(0), options, noise, edit, watch))


def _pieces(num_frames: int, longest: int) -> list[tuple[int, int]]:
    """[start, stop) of the fewest pieces of equal length that make up `num_frames`, none above `longest`."""
    count = -(-num_frames // longest)
    edges = [round(index * num_frames / count) for index in range(count + 1)]
    return list(pairwise(edges))


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
