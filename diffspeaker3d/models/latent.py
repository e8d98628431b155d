"""Sampling spaces: where the sampler's x_t lives.

The denoiser is W_out h(W_in x + b_in) + b_out and DDIM is linear in (x_t, x_start), so the loop can run on
u = W_in x with M = W_in W_out (C, C) computed once, and touch the D-dimensional space at its two ends only: exact, and
5 to 10 times faster for vertices (facts: 83 to 92 % of the work are these two maps).

    space = denoiser.in_space("auto", condition)
    state = ddim_sample(space, schedule, space.project(noise), options)
    x_start = space.lift(state)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from diffspeaker3d.errors import InputError
from diffspeaker3d.models.attention import SelfBias

if TYPE_CHECKING:
    from diffspeaker3d.models.denoiser import Condition, Denoiser

SPACES = ("auto", "latent", "vertex")


class Space(Protocol):
    """A denoise callable (x_t, timestep) -> model output, and the ways in and out of its space."""

    def project(self, noise: Tensor) -> Tensor:
        """Motion-space noise (B, T, D) to the sampler's space."""
        ...

    def __call__(self, x_t: Tensor, timestep: int) -> Tensor: ...

    def lift(self, state: Tensor) -> Tensor:
        """What the sampler returned to motion space (B, T, D). Frame by frame, so a long clip can be lifted in pieces."""
        ...

    def frames(self, start: int, stop: int) -> Space:
        """The same space for some frames only."""
        ...


class VertexSpace:
    """The reference: the motion's own space, both linear maps at every step."""

    def __init__(self, denoiser: Denoiser, condition: Condition) -> None:
        self.denoiser, self.condition = denoiser, condition
        self._bias: dict[int, SelfBias] = {}

    def project(self, noise: Tensor) -> Tensor:
        return noise

    def __call__(self, x_t: Tensor, timestep: int) -> Tensor:
        denoiser = self.denoiser
        frames = denoiser.input(x_t.to(denoiser.input.weight.dtype)) + self.condition.positions
        return denoiser.output(denoiser.hidden(frames, self.condition, self.condition.row(timestep))).to(x_t.dtype)

    def lift(self, state: Tensor) -> Tensor:
        return state

    def frames(self, start: int, stop: int) -> VertexSpace:
        return VertexSpace(self.denoiser, _restricted(self, start, stop))


class LatentSpace:
    """u = W_in x beside the hidden state it came from: [u, g, w] (B, T, 2C + 1) with x = W_out g + w b_out + noise.

    One step maps u to h = h(u + b_in) and returns [M h + W_in b_out, h, 1]: every linear thing a sampler does to x is
    done to all three, and when the noise is gone (the last step returns the prediction) g and w give x exactly.
    """

    def __init__(self, denoiser: Denoiser, condition: Condition, product: nn.Linear) -> None:
        self.denoiser, self.condition, self.product = denoiser, condition, product
        self._offset = condition.positions + denoiser.input.bias
        self._bias: dict[int, SelfBias] = {}

    def project(self, noise: Tensor) -> Tensor:
        u = noise @ self.denoiser.input.weight.T.to(noise.dtype)
        return torch.cat([u, u.new_zeros(*u.shape[:-1], u.shape[-1] + 1)], -1)

    def __call__(self, x_t: Tensor, timestep: int) -> Tensor:
        denoiser = self.denoiser
        frames = (x_t[..., : denoiser.width] + self._offset).to(denoiser.input.weight.dtype)
        h = denoiser.hidden(frames, self.condition, self.condition.row(timestep))
        u = self.product(h)
        return torch.cat([u, h, u.new_ones(*u.shape[:-1], 1)], -1).to(x_t.dtype)

    def lift(self, state: Tensor) -> Tensor:
        width, output = self.denoiser.width, self.denoiser.output
        return state[..., width : 2 * width] @ output.weight.T.to(state.dtype) + state[..., 2 * width :] * output.bias

    def frames(self, start: int, stop: int) -> LatentSpace:
        return LatentSpace(self.denoiser, _restricted(self, start, stop), self.product)


class LatentProduct:
    """h -> W_in (W_out h + b_out) as one linear layer (C, C), computed once and again only when the weights have changed."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._product: nn.Linear | None = None

    def of(self, denoiser: Denoiser) -> nn.Linear:
        """The layer for this denoiser, in its dtype; the product itself is taken in float32."""
        parameters = (denoiser.input.weight, denoiser.output.weight, denoiser.output.bias)
        # A model made under inference_mode counts no versions: nobody trains it.
        key = tuple((p.data_ptr(), 0 if p.is_inference() else p._version, p.dtype, p.device) for p in parameters)
        if self._product is None or key != self._key:
            with torch.no_grad(), torch.autocast(denoiser.input.weight.device.type, enabled=False):
                weight, output, offset = (p.float() for p in parameters)
                product = nn.Linear(denoiser.width, denoiser.width, device="meta").requires_grad_(False)
                product.load_state_dict({"weight": weight @ output, "bias": weight @ offset}, assign=True)
                self._product = product.to(parameters[0].dtype)
            self._key = key
        return self._product


def in_space(denoiser: Denoiser, space: str, condition: Condition, product: LatentProduct) -> Space:
    """`latent`, `vertex` (the motion's own space), or `auto`: latent where C² is less work than 2 C D."""
    if space not in SPACES:
        raise InputError(f"sampling: unknown space {space!r}; known: {', '.join(SPACES)}")
    if space == "latent" or (space == "auto" and denoiser.width < 2 * denoiser.motion_dim):
        return LatentSpace(denoiser, condition, product.of(denoiser))
    return VertexSpace(denoiser, condition)


def _restricted(space: VertexSpace | LatentSpace, start: int, stop: int) -> Condition:
    """The condition of some frames; windows of one length share one bias."""
    restricted = space.denoiser.frames(space.condition, start, stop, space._bias.get(stop - start))
    space._bias[stop - start] = restricted.bias
    return restricted
