"""Diffusion: schedule and samplers. Never hears of faces or audio, nor of the space it runs in.

| word             | meaning                                                                              |
|------------------|--------------------------------------------------------------------------------------|
| `alphas_cumprod` | ᾱ_t, falling from nearly 1 (t = 0) to nearly or exactly 0 (t = N - 1)                |
| `x_start`        | clean data x_0                                                                       |
| `x_t`            | √ᾱ_t x_0 + √(1 - ᾱ_t) ε, the data at noise level t (Ho et al. 2020, eq. 4)           |
| `v`              | √ᾱ_t ε - √(1 - ᾱ_t) x_0 (Salimans & Ho 2022)                                         |
| `denoise`        | any callable (x_t, timestep) -> model output                                         |
"""

from diffspeaker3d.diffusion.constraints import LinearConstraint, smooth_covariance
from diffspeaker3d.diffusion.ddim import Denoise, Edit, SamplingOptions, Watch, ddim_sample, official_sample
from diffspeaker3d.diffusion.guidance import guided
from diffspeaker3d.diffusion.noise import initial_noise
from diffspeaker3d.diffusion.schedule import NoiseSchedule

__all__ = [
    "Denoise",
    "Edit",
    "LinearConstraint",
    "NoiseSchedule",
    "SamplingOptions",
    "Watch",
    "ddim_sample",
    "guided",
    "initial_noise",
    "official_sample",
    "smooth_covariance",
]
