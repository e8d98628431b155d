"""Noise schedule: how much of the data is left at each timestep, and what the network is asked to predict."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from diffspeaker3d.errors import InputError

KINDS = ("scaled_linear", "linear", "cosine")
PREDICTION_TYPES = ("sample", "epsilon", "v_prediction")
SPACINGS = ("leading", "trailing", "linspace")
COSINE_OFFSET = 0.008  # s of Nichol & Dhariwal 2021, eq. 17
MAX_BETA = 0.999  # same paper: keeps the last step of the cosine schedule finite


class NoiseSchedule(nn.Module):
    """ᾱ_t for t = 0 … N - 1, computed in float64; conversions between x_start, epsilon and v.

    Args:
        kind: `scaled_linear` (betas linear in their square root: the paper's, from Stable Diffusion), `linear`
            (Ho et al. 2020) or `cosine` (Nichol & Dhariwal 2021, eq. 17; ignores the betas).
        num_timesteps: N.
        beta_start: β_0.
        beta_end: β_{N-1}.
        prediction_type: what the network returns: `sample` (x_start), `epsilon` or `v_prediction`.
        zero_terminal_snr: shift and scale √ᾱ so that √ᾱ_{N-1} = 0 and √ᾱ_0 stays (Lin et al. 2024, algorithm 1).

    Raises:
        InputError: an unknown name, or epsilon prediction with zero terminal SNR (x_start is then undefined at N - 1).
    """

    sqrt_alphas_cumprod: Tensor
    sqrt_one_minus_alphas_cumprod: Tensor

    def __init__(
        self,
        kind: str = "scaled_linear",
        num_timesteps: int = 1000,
        beta_start: float = 0.00085,
        beta_end: float = 0.012,
        prediction_type: str = "sample",
        zero_terminal_snr: bool = False,
    ) -> None:
        super().__init__()
        _check("kind", kind, KINDS)
        _check("prediction_type", prediction_type, PREDICTION_TYPES)
        if zero_terminal_snr and prediction_type == "epsilon":
            raise InputError(
                "schedule: epsilon says nothing about x_start at zero SNR; use prediction_type=sample or v_prediction"
            )
        self.num_timesteps = num_timesteps
        self.prediction_type = prediction_type
        alphas_cumprod = np.cumprod(1.0 - _betas(kind, num_timesteps, beta_start, beta_end))
        if zero_terminal_snr:
            alphas_cumprod = _rescale_to_zero_snr(alphas_cumprod)
        self.alphas_cumprod: tuple[float, ...] = tuple(alphas_cumprod.tolist())
        roots = torch.from_numpy(np.sqrt(np.stack([alphas_cumprod, 1.0 - alphas_cumprod]))).float()
        self.register_buffer("sqrt_alphas_cumprod", roots[0], persistent=False)
        self.register_buffer("sqrt_one_minus_alphas_cumprod", roots[1], persistent=False)

    def add_noise(self, x_start: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε.

        Args:
            x_start (Tensor (B, ...)): clean data.
            noise (Tensor (B, ...)): ε ~ N(0, 1).
            timestep (Tensor (B,) int64): t, one per item.
        """
        signal, sigma = self._coefficients(timestep, x_start)
        return signal * x_start + sigma * noise

    def target(self, x_start: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """What the network should return for x_t = add_noise(x_start, noise, timestep), by `prediction_type`."""
        if self.prediction_type == "sample":
            return x_start
        if self.prediction_type == "epsilon":
            return noise
        signal, sigma = self._coefficients(timestep, x_start)
        return signal * noise - sigma * x_start

    def x_start(self, model_output: Tensor, x_t: Tensor, timestep: Tensor | int) -> Tensor:
        """x_0 from what the network returned: itself, (x_t - √(1-ᾱ) ε) / √ᾱ, or √ᾱ x_t - √(1-ᾱ) v."""
        if self.prediction_type == "sample":
            return model_output
        signal, sigma = self._coefficients(timestep, x_t)
        if self.prediction_type == "epsilon":
            return (x_t - sigma * model_output) / signal
        return signal * x_t - sigma * model_output

    def epsilon(self, model_output: Tensor, x_t: Tensor, timestep: Tensor | int) -> Tensor:
        """ε from what the network returned: (x_t - √ᾱ x_0) / √(1-ᾱ), itself, or √ᾱ v + √(1-ᾱ) x_t."""
        if self.prediction_type == "epsilon":
            return model_output
        signal, sigma = self._coefficients(timestep, x_t)
        if self.prediction_type == "sample":
            return (x_t - signal * model_output) / sigma
        return signal * model_output + sigma * x_t

    def timesteps(self, num_steps: int, spacing: str = "trailing") -> list[int]:
        """`num_steps` timesteps, falling.

        Args:
            num_steps: S, 1 to N.
            spacing: `leading` with offset 1 is the paper's (981, 961, …, 1 for 50 of 1000); `trailing` starts at N - 1,
                as zero terminal SNR needs; `linspace` has both ends, N - 1 and 0.
        """
        _check("spacing", spacing, SPACINGS)
        n = self.num_timesteps
        if not 1 <= num_steps <= n:
            raise InputError(f"sampling: steps must be 1 to {n}, got {num_steps}")
        if spacing == "leading":
            offset = 1 if num_steps < n else 0
            return [i * (n // num_steps) + offset for i in reversed(range(num_steps))]
        if spacing == "trailing":
            return [round(n - i * n / num_steps) - 1 for i in range(num_steps)]
        return [round(t) for t in np.linspace(n - 1, 0, num_steps).tolist()]

    def alpha_cumprod(self, timestep: int) -> float:
        """ᾱ_t; by definition 1 for t < 0, which is the data itself."""
        return self.alphas_cumprod[timestep] if timestep >= 0 else 1.0

    def _coefficients(self, timestep: Tensor | int, like: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """√ᾱ_t and √(1 - ᾱ_t), as floats or shaped to broadcast against `like`."""
        if isinstance(timestep, int):
            alpha = self.alpha_cumprod(timestep)
            return math.sqrt(alpha), math.sqrt(1.0 - alpha)
        shape = (-1, *[1] * (like.ndim - 1))
        return (
            self.sqrt_alphas_cumprod[timestep].view(shape).to(like.dtype),
            self.sqrt_one_minus_alphas_cumprod[timestep].view(shape).to(like.dtype),
        )


def _betas(kind: str, n: int, start: float, end: float) -> np.ndarray:
    """β_t (N,) float64."""
    if kind == "linear":
        return np.linspace(start, end, n)
    if kind == "scaled_linear":
        return np.linspace(math.sqrt(start), math.sqrt(end), n) ** 2
    grid = np.arange(n + 1) / n
    f = np.cos((grid + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2) ** 2
    return np.minimum(1.0 - f[1:] / f[:-1], MAX_BETA)


def _rescale_to_zero_snr(alphas_cumprod: np.ndarray) -> np.ndarray:
    root = np.sqrt(alphas_cumprod)
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2


def _check(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"schedule: unknown {what} {value!r}; known: {', '.join(known)}")
