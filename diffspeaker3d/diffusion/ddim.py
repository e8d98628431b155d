"""DDIM: noise to data by a deterministic (eta = 0) or stochastic walk down the timesteps.

Song et al. 2021 (arXiv 2010.02502), eq. 12, written as x_{t'} = a x_t + b x_0 + σ z: linear in x_t and x_0, so it can
run in any linear image of the data's space.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from diffspeaker3d.diffusion.schedule import NoiseSchedule
from diffspeaker3d.errors import InputError

Denoise = Callable[[Tensor, int], Tensor]  # (x_t, timestep) -> model output
NoiseSource = Callable[[int], Tensor]  # step number 1, 2, … -> fresh noise shaped like x_t
Edit = Callable[[Tensor], Tensor]  # x_start as predicted -> x_start as wanted
Watch = Callable[[int, Tensor, Tensor], None]  # step number 1, 2, …, x_t and x_start of that step


@dataclass(frozen=True)
class SamplingOptions:
    """How to walk.

    Attributes:
        steps: network evaluations.
        eta: 0 = deterministic, 1 = as noisy as DDPM (Song et al. 2021, eq. 16).
        spacing: see `NoiseSchedule.timesteps`.
    """

    steps: int = 10
    eta: float = 0.0
    spacing: str = "trailing"


def ddim_sample(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_T: Tensor,
    options: SamplingOptions,
    noise_source: NoiseSource | None = None,
    edit: Edit | None = None,
    watch: Watch | None = None,
) -> Tensor:
    """x_start for the initial noise x_T. The last step returns the network's x_start as it is.

    Args:
        denoise: (x_t, timestep) -> model output of `schedule.prediction_type`, same shape as x_t.
        schedule: ᾱ.
        x_T (Tensor (...)): N(0, 1), or its image in the space that `denoise` works in.
        options: steps, eta, spacing.
        noise_source: fresh noise for step 1, 2, …, in the space of x_T; needed when eta > 0.
        edit: what to make of every predicted x_start before it is used, such as a `LinearConstraint`.
        watch: told of every step: progress, previews, tests. Not to change what it is given.
    """
    if options.eta > 0 and noise_source is None:
        raise InputError("sampling: eta > 0 needs a noise source")
    timesteps = schedule.timesteps(options.steps, options.spacing)
    x_t = x_T
    for step, (t, t_next) in enumerate(zip(timesteps, [*timesteps[1:], -1], strict=True), start=1):
        x_start = _predicted(denoise, schedule, x_t, t, step, edit, watch)
        if t_next < 0:
            return x_start
        alpha, alpha_next = schedule.alpha_cumprod(t), schedule.alpha_cumprod(t_next)
        sigma = options.eta * math.sqrt((1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next))  # eq. 16
        a = math.sqrt(max(1 - alpha_next - sigma**2, 0.0) / (1 - alpha))  # share of ε = (x_t - √ᾱ x_0) / √(1-ᾱ)
        b = math.sqrt(alpha_next) - a * math.sqrt(alpha)
        x_t = (x_t * a if x_t is x_T else x_t.mul_(a)).add_(x_start, alpha=b)  # eq. 12; in place from our own x_t on
        if sigma > 0 and noise_source is not None:
            x_t.add_(noise_source(step), alpha=sigma)
    raise AssertionError("unreachable: the last timestep returns")


def official_sample(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_T: Tensor,
    options: SamplingOptions,
    noise_source: NoiseSource | None = None,
    edit: Edit | None = None,
    watch: Watch | None = None,
) -> Tensor:
    """What the published checkpoints were sampled with: x <- (√ᾱ' + √(1-ᾱ')) x_start, x_t unused.

    diffusers 0.11 to 0.14 took the model output for the direction to x_t. Its last step uses ᾱ_0 (`set_alpha_to_one`
    was off), so the answer is 1.0287 x_start with the paper's schedule. Arguments as in `ddim_sample`; eta and the noise
    source are ignored.
    """
    stride = schedule.num_timesteps // options.steps
    x_t = x_T
    for step, t in enumerate(schedule.timesteps(options.steps, "leading"), start=1):
        alpha_next = schedule.alpha_cumprod(max(t - stride, 0))
        x_start = _predicted(denoise, schedule, x_t, t, step, edit, watch)
        x_t = x_start * (math.sqrt(alpha_next) + math.sqrt(1 - alpha_next))
    return x_t


def _predicted(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_t: Tensor,
    t: int,
    step: int,
    edit: Edit | None,
    watch: Watch | None,
) -> Tensor:
    """x_start of one step, edited and shown."""
    x_start = schedule.x_start(denoise(x_t, t), x_t, t)
    if edit is not None:
        x_start = edit(x_start)
    if watch is not None:
        watch(step, x_t, x_start)
    return x_start
