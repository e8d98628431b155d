"""What every network that makes motion promises, whatever happens inside: diffusion, or one frame after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

from diffspeaker3d.errors import InputError

if TYPE_CHECKING:
    from diffspeaker3d.models.denoiser import Denoiser

Conditions = Mapping[str, Tensor | None]
"""Name -> value of each item (B, n), such as `style`; None or left out = the condition's null."""
Sampler = Callable[["Denoiser", Tensor, Conditions, Tensor | None], Tensor]
"""(denoiser, audio features, conditions, frame mask) -> motion states (B, T, D)."""


class Diffusion(Protocol):
    """How a denoiser is trained: what it sees, and what its output says of x_start."""

    def noisy(self, x_start: Tensor) -> tuple[Tensor, Tensor]:
        """x_t (B, T, D) and timesteps (B,) for clean states (B, T, D)."""
        ...

    def x_start(self, output: Tensor, x_t: Tensor, timestep: Tensor) -> Tensor:
        """The prediction of x_start that the network's output means."""
        ...


class MotionModel(nn.Module):
    """Audio features and conditions to motion states of unit variance.

    Attributes:
        motion_dim: D.
        audio_dim: D_a.
        condition_sizes: name -> numbers of each condition.
        draws_noise: whether a motion is drawn by a sampler, from noise: there is then a seed, a temperature, steps.
    """

    motion_dim: int
    audio_dim: int
    condition_sizes: Mapping[str, int]
    draws_noise = False

    def learn(
        self,
        x_start: Tensor,
        features: Tensor,
        conditions: Conditions,
        frame_mask: Tensor | None,
        diffusion: Diffusion,
    ) -> Tensor:
        """Prediction of x_start (B, T, D) for the losses, with gradients.

        Args:
            x_start (Tensor (B, T, D)): the recording's states.
            features (Tensor (B, T, D_a)): one row per motion frame.
            conditions: see `Conditions`.
            frame_mask (Tensor (B, T) bool): True = real frame; None = all are.
            diffusion: noise, for a model that learns from it.
        """
        raise NotImplementedError

    def generate(self, features: Tensor, conditions: Conditions, frame_mask: Tensor | None, sampler: Sampler) -> Tensor:
        """Motion states (B, T, D), without gradients; arguments as in `learn`, and the sampler for a model that needs one."""
        raise NotImplementedError

    def check_conditions(self, conditions: Conditions) -> None:
        """Refuse a condition that this model does not know."""
        if unknown := sorted(set(conditions) - set(self.condition_sizes)):
            raise InputError(
                f"conditions: unknown {', '.join(unknown)}; this model knows: {', '.join(self.condition_sizes)}"
            )
