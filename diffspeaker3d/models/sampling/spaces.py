"""Sampling spaces: where the sampler's x_t lives.

The denoiser is W_out h(W_in x + b_in) + b_out and DDIM is linear in (x_t, x_start), so the loop can run on
u = W_in x with M = W_in W_out (C, C) computed once, and touch the D-dimensional space at its end only: exact, and
5 to 10 times faster for vertices (83 to 92 % of the work are these two maps). What W_in makes of white noise is
noise of covariance W_in W_in' = L L', so that L n with n of C numbers per frame begins the loop as well.

    space = open_space("auto", Prepared(denoiser, features, conditions, timesteps))
    x_T = space.start(initial_noise([(T, noise_dim(denoiser))], [seed]))
    x_start = space.lift(ddim_sample(space, schedule, x_T, options))

Exact for networks that predict x_start: a prediction of ε or v leaves x_t's noise in the result, which W_out cannot make.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffspeaker3d.errors import InputError
from diffspeaker3d.models.denoiser import Denoiser
from diffspeaker3d.models.sampling.prepared import Prepared

PANEL = 256  # columns of a triangle computed at once


class Space(Protocol):
    """A denoise callable (x_t, timestep) -> model output, and the ways in and out of its space."""

    prepared: Prepared

    def start(self, normal: Tensor, std: Tensor | None = None) -> Tensor:
        """x_T, or the fresh noise of a step, from N(0, 1) numbers; the same in every space.

        Args:
            normal (Tensor (B, T, `noise_dim(denoiser)`)): see `diffusion.initial_noise`.
            std (Tensor (D,)): standard deviation of each motion channel; None = 1.
        """
        ...

    def project(self, noise: Tensor) -> Tensor:
        """Given motion-space noise (B, T, D) to the sampler's space."""
        ...

    def __call__(self, x_t: Tensor, timestep: int) -> Tensor: ...

    def lift(self, state: Tensor) -> Tensor:
        """What the sampler returned to motion space (B, T, D). Frame by frame, so a long clip can be lifted in pieces."""
        ...


class DirectSpace:
    """The reference: the motion's own space, both linear maps at every step."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared

    def start(self, normal: Tensor, std: Tensor | None = None) -> Tensor:
        denoiser = self.prepared.denoiser
        if not _draws_latent(denoiser):
            return normal if std is None else normal * std
        if std is not None and _is_uniform(std):
            return self.start(normal) * std[0]
        scale = 1.0 if std is None else std
        # x = S W_in' L'^-1 n has W_in S x = L n, and is the shortest such noise; the rest never reaches the network.
        root = products(denoiser).root(std)
        inner = torch.linalg.solve_triangular(root, normal.to(root.dtype), upper=False, left=False)
        return (inner @ (denoiser.input.weight.to(root.dtype) * scale)).to(normal.dtype) * scale

    def project(self, noise: Tensor) -> Tensor:
        return noise

    def __call__(self, x_t: Tensor, timestep: int) -> Tensor:
        return self.prepared(x_t, timestep)

    def lift(self, state: Tensor) -> Tensor:
        return state


class LatentSpace:
    """u = W_in x (B, T, C) in place of x (B, T, D).

    A step maps u to h = h(u + b_in) and returns W_in (W_out h + b_out) = M h + W_in b_out. The last, at the smallest
    timestep, returns [h, 1] (B, T, C + 1) itself, from which `lift` makes x = W_out h + b_out.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.prepared, self.last = prepared, min(prepared.rows)
        self.product = products(prepared.denoiser).product()
        self._offset = prepared.positions + prepared.denoiser.input.bias

    def start(self, normal: Tensor, std: Tensor | None = None) -> Tensor:
        if not _draws_latent(self.prepared.denoiser):
            return self.project(normal if std is None else normal * std)
        if std is not None and _is_uniform(std):
            return self.start(normal) * std[0]
        return normal @ products(self.prepared.denoiser).root(std).T.to(normal.dtype)

    def project(self, noise: Tensor) -> Tensor:
        return noise @ self.prepared.denoiser.input.weight.T.to(noise.dtype)

    def __call__(self, x_t: Tensor, timestep: int) -> Tensor:
        dtype = self.prepared.denoiser.input.weight.dtype
        h = self.prepared.hidden((x_t + self._offset).to(dtype), timestep)
        end = F.pad(h, (0, 1), value=1.0) if timestep == self.last else self.product(h)
        return end.to(x_t.dtype)

    def lift(self, state: Tensor) -> Tensor:
        output = self.prepared.denoiser.output
        h = state[..., :-1].to(output.weight.dtype)
        share = float(state.flatten()[-1])  # of the prediction in the sampler's answer: 1, but for the official sampler
        lifted = torch.addmm(output.bias, h.flatten(0, 1), output.weight.T, beta=share)
        return lifted.view(*h.shape[:-1], -1).to(state.dtype)


SPACES: dict[str, Callable[[Prepared], Space]] = {"latent": LatentSpace, "motion": DirectSpace}


def open_space(name: str, prepared: Prepared) -> Space:
    """`latent`, `motion` (the motion's own space), or `auto`: latent where C² is less work than 2 C D."""
    denoiser = prepared.denoiser
    chosen = name if name != "auto" else "latent" if denoiser.width < 2 * denoiser.motion_dim else "motion"
    if chosen not in SPACES:
        raise InputError(f"sampling: unknown space {name!r}; known: auto, {', '.join(SPACES)}")
    return SPACES[chosen](prepared)


def noise_dim(denoiser: Denoiser) -> int:
    """Numbers of noise per frame that `Space.start` takes: min(C, D), all that W_in lets the network see."""
    return min(denoiser.width, denoiser.motion_dim)


def products(denoiser: Denoiser) -> Products:
    """Those of a denoiser, kept as long as it lives."""
    if denoiser not in _KEPT:
        _KEPT[denoiser] = Products(denoiser.input, denoiser.output)
    return _KEPT[denoiser]


class Products:
    """Products of the two linear maps, computed when first asked for and again only when the weights have changed."""

    def __init__(self, inward: nn.Linear, outward: nn.Linear) -> None:
        self.inward, self.outward = inward, outward
        self._kept: dict[str, tuple[tuple[object, ...], Any]] = {}

    def product(self) -> nn.Linear:
        """h -> W_in (W_out h + b_out) as one linear layer (C, C) in the denoiser's dtype; taken in float32."""
        parameters = (self.inward.weight, self.outward.weight, self.outward.bias)

        def make() -> nn.Linear:
            weight, output, offset = (p.float() for p in parameters)
            product = nn.Linear(len(weight), len(weight), device="meta").requires_grad_(False)
            product.load_state_dict({"weight": weight @ output, "bias": weight @ offset}, assign=True)
            return product.to(parameters[0].dtype)

        return self._once("product", _identity(parameters), make)

    def root(self, std: Tensor | None = None) -> Tensor:
        """L (C, C) float32, lower triangular: L L' = W_in S² W_in', S the diagonal of `std` (D,)."""
        weight = self.inward.weight
        key = (*_identity([weight]), None if std is None else tuple(std.tolist()))
        return self._once(
            "root", key, lambda: cholesky_of_rows(weight.float() if std is None else weight.float() * std)
        )

    def _once(self, name: str, key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        if name not in self._kept or self._kept[name][0] != key:
            with torch.no_grad(), torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
                self._kept[name] = (key, make())
        return self._kept[name][1]


_KEPT: WeakKeyDictionary[Denoiser, Products] = WeakKeyDictionary()


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


def _draws_latent(denoiser: Denoiser) -> bool:
    """Whether noise begins as C numbers per frame, because the motion has more."""
    return denoiser.width < denoiser.motion_dim


def _is_uniform(std: Tensor) -> bool:
    return bool((std == std[0]).all())


def _identity(parameters: Sequence[Tensor]) -> tuple[object, ...]:
    """Changes when a parameter does. One made under inference_mode counts no versions: nobody trains it."""
    return tuple((p.data_ptr(), 0 if p.is_inference() else p._version, p.dtype, p.device) for p in parameters)
