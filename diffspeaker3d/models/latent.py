"""Sampling spaces: where the sampler's x_t lives.

The denoiser is W_out h(W_in x + b_in) + b_out and DDIM is linear in (x_t, x_start), so the loop can run on
u = W_in x with M = W_in W_out (C, C) computed once, and touch the D-dimensional space at its end only: exact, and
5 to 10 times faster for vertices (facts: 83 to 92 % of the work are these two maps). What W_in makes of white noise is
noise of covariance W_in W_in' = L L', so that L n with n of C numbers per frame begins the loop as well.

    space = denoiser.in_space("auto", condition)
    x_T = space.start(initial_noise([(T, denoiser.noise_dim)], [seed]))
    x_start = space.lift(ddim_sample(space, schedule, x_T, options))

Exact for networks that predict x_start: a prediction of ε or v leaves x_t's noise in the result, which W_out cannot make.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffspeaker3d.errors import InputError
from diffspeaker3d.models.attention import SelfBias, whole

if TYPE_CHECKING:
    from diffspeaker3d.models.denoiser import Condition, Denoiser

SPACES = ("auto", "latent", "vertex")
PANEL = 256  # columns of a triangle computed at once


class Space(Protocol):
    """A denoise callable (x_t, timestep) -> model output, and the ways in and out of its space."""

    denoiser: Denoiser

    def start(self, normal: Tensor, spread: Tensor | None = None) -> Tensor:
        """x_T, or the fresh noise of a step, from N(0, 1) numbers; the same in every space.

        Args:
            normal (Tensor (B, T, `Denoiser.noise_dim`)): see `initial_noise`.
            spread (Tensor (D,)): standard deviation of each motion channel; None = 1.
        """
        ...

    def project(self, noise: Tensor) -> Tensor:
        """Given motion-space noise (B, T, D) to the sampler's space."""
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

    def __init__(self, denoiser: Denoiser, condition: Condition, products: Products) -> None:
        self.denoiser, self.condition, self.products = denoiser, condition, products
        self._bias: dict[int, SelfBias] = {}

    def start(self, normal: Tensor, spread: Tensor | None = None) -> Tensor:
        if not self.denoiser.has_latent_noise:
            return normal if spread is None else normal * spread
        if spread is not None and _is_uniform(spread):
            return self.start(normal) * spread[0]
        scale = 1.0 if spread is None else spread
        # S W_in' L'^-1 n: of all noise that W_in takes to L n the shortest; the rest never reaches the network.
        root = self.products.root(self.denoiser, spread)
        inner = torch.linalg.solve_triangular(root, normal.to(root.dtype), upper=False, left=False)
        return (inner @ (self.denoiser.input.weight.to(root.dtype) * scale)).to(normal.dtype) * scale

    def project(self, noise: Tensor) -> Tensor:
        return noise

    def __call__(self, x_t: Tensor, timestep: int) -> Tensor:
        denoiser, positions = self.denoiser, self.condition.positions
        dtype = denoiser.input.weight.dtype
        blocks = denoiser.hidden(
            lambda frames: denoiser.input(x_t[:, frames].to(dtype)) + positions[frames],
            self.condition,
            self.condition.row(timestep),
        )
        return whole(((frames, denoiser.output(h).to(x_t.dtype)) for frames, h in blocks), x_t.shape[1])

    def lift(self, state: Tensor) -> Tensor:
        return state

    def frames(self, start: int, stop: int) -> VertexSpace:
        return VertexSpace(self.denoiser, _restricted(self, start, stop), self.products)


class LatentSpace:
    """u = W_in x (B, T, C) in place of x (B, T, D).

    A step maps u to h = h(u + b_in) and returns W_in (W_out h + b_out) = M h + W_in b_out. The last, at the smallest
    timestep of the condition, returns [h, 1] (B, T, C + 1) itself, from which `lift` makes x = W_out h + b_out.
    """

    def __init__(self, denoiser: Denoiser, condition: Condition, products: Products) -> None:
        self.denoiser, self.condition, self.products = denoiser, condition, products
        self.product = products.product(denoiser)
        self.last = min(condition.rows)
        self._offset = condition.positions + denoiser.input.bias
        self._bias: dict[int, SelfBias] = {}

    def start(self, normal: Tensor, spread: Tensor | None = None) -> Tensor:
        if not self.denoiser.has_latent_noise:
            return self.project(normal if spread is None else normal * spread)
        if spread is not None and _is_uniform(spread):
            return self.start(normal) * spread[0]
        return normal @ self.products.root(self.denoiser, spread).T.to(normal.dtype)

    def project(self, noise: Tensor) -> Tensor:
        return noise @ self.denoiser.input.weight.T.to(noise.dtype)

    def __call__(self, x_t: Tensor, timestep: int) -> Tensor:
        dtype = self.denoiser.input.weight.dtype
        blocks = self.denoiser.hidden(
            lambda frames: (x_t[:, frames] + self._offset[frames]).to(dtype),
            self.condition,
            self.condition.row(timestep),
        )
        end = self._homogeneous if timestep == self.last else self.product
        return whole(((frames, end(h).to(x_t.dtype)) for frames, h in blocks), x_t.shape[1])

    def lift(self, state: Tensor) -> Tensor:
        output = self.denoiser.output
        h = state[..., :-1].to(output.weight.dtype)
        share = float(state.flatten()[-1])  # of the prediction in the sampler's answer: 1, but for the official sampler
        lifted = torch.addmm(output.bias, h.flatten(0, 1), output.weight.T, beta=share)
        return lifted.view(*h.shape[:-1], -1).to(state.dtype)

    def frames(self, start: int, stop: int) -> LatentSpace:
        return LatentSpace(self.denoiser, _restricted(self, start, stop), self.products)

    @staticmethod
    def _homogeneous(h: Tensor) -> Tensor:
        return F.pad(h, (0, 1), value=1.0)


class Products:
    """Products of the two linear maps, computed when first asked for and again only when the weights have changed."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[object, ...], Any]] = {}

    def product(self, denoiser: Denoiser) -> nn.Linear:
        """h -> W_in (W_out h + b_out) as one linear layer (C, C) in the denoiser's dtype; the product itself is taken in float32."""

        def make() -> nn.Linear:
            weight, output, offset = (p.float() for p in parameters)
            product = nn.Linear(denoiser.width, denoiser.width, device="meta").requires_grad_(False)
            product.load_state_dict({"weight": weight @ output, "bias": weight @ offset}, assign=True)
            return product.to(parameters[0].dtype)

        parameters = (denoiser.input.weight, denoiser.output.weight, denoiser.output.bias)
        return self._once("product", _identity(parameters), make)

    def root(self, denoiser: Denoiser, spread: Tensor | None = None) -> Tensor:
        """L (C, C) float32, lower triangular: L L' = W_in S² W_in', S the diagonal of `spread` (D,)."""
        weight = denoiser.input.weight
        key = (*_identity([weight]), None if spread is None else tuple(spread.tolist()))
        return self._once(
            "root", key, lambda: cholesky_of_rows(weight.float() if spread is None else weight.float() * spread)
        )

    def _once(self, name: str, key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        if name not in self._kept or self._kept[name][0] != key:
            with torch.no_grad(), torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
                self._kept[name] = (key, make())
        return self._kept[name][1]


def cholesky_of_rows(rows: Tensor) -> Tensor:
    """L (C, C), lower triangular with L L' = A A' for A = `rows` (C, D) float32: what A makes of white noise, L makes too.

    Rows that depend on others get noise of their own at the level of rounding, without which no L exists.
    """
    count = len(rows)
    gram = rows.new_zeros(count, count)
    for start in range(0, count, PANEL):  # the lower triangle only: half the work
        gram[start:, start : start + PANEL] = rows[start:] @ rows[start : start + PANEL].T
    gram = gram.double()
    diagonal = gram.diagonal()
    unit = float(diagonal.mean()) or 1.0
    for jitter in (0.0, 1e-7, 1e-6, 1e-5):
        root, failed = torch.linalg.cholesky_ex(gram + torch.diag(torch.full_like(diagonal, jitter * unit)))
        if not failed:
            return root.to(rows.dtype)
    raise InputError("model: the input layer's weights are not finite; is the checkpoint damaged?")


def _is_uniform(spread: Tensor) -> bool:
    return bool((spread == spread[0]).all())


def _identity(parameters: Sequence[Tensor]) -> tuple[object, ...]:
    """Changes when a parameter does. One made under inference_mode counts no versions: nobody trains it."""
    return tuple((p.data_ptr(), 0 if p.is_inference() else p._version, p.dtype, p.device) for p in parameters)


def in_space(denoiser: Denoiser, space: str, condition: Condition, products: Products) -> Space:
    """`latent`, `vertex` (the motion's own space), or `auto`: latent where C² is less work than 2 C D."""
    if space not in SPACES:
        raise InputError(f"sampling: unknown space {space!r}; known: {', '.join(SPACES)}")
    if space == "latent" or (space == "auto" and denoiser.width < 2 * denoiser.motion_dim):
        return LatentSpace(denoiser, condition, products)
    return VertexSpace(denoiser, condition, products)


def _restricted(space: VertexSpace | LatentSpace, start: int, stop: int) -> Condition:
    """The condition of some frames; windows of one length share one bias."""
    restricted = space.denoiser.frames(space.condition, start, stop, space._bias.get(stop - start))
    space._bias[stop - start] = restricted.bias
    return restricted
