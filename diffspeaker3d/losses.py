"""Training losses: named terms, means over real frames only, each motion group on its own before the sum.

All take states (unit variance). Means first inside a group, then a weighted sum over groups; a velocity term is divided
by its group's mean squared velocity. With one flat mean, slow or small groups stay noise (design.md, section 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.errors import InputError
from diffspeaker3d.topology import Topology

CLOSED = 0.6  # a target closure above this is a sealed mouth
CLOSURE_CONTROLS = ("jawOpen", "mouthClose")


class Motion(Protocol):
    """What the losses need of a motion space (`models.motion`)."""

    groups: Mapping[str, slice | list[int]]

    def decode(self, state: Tensor) -> Tensor: ...


class ControlledMotion(Motion, Protocol):
    """A motion space of blendshape controls."""

    def weights(self, state: Tensor) -> Tensor: ...


def masked_mean(values: Tensor, frame_mask: Tensor) -> Tensor:
    """Mean over real frames and all channels: values (B, T, n), mask (B, T)."""
    mask = frame_mask[..., None]
    return torch.where(mask, values, 0.0).sum() / (mask.sum().clamp(min=1) * values.shape[-1])


def velocity(values: Tensor) -> Tensor:
    """Frame-to-frame difference, (B, T, n) -> (B, T - 1, n)."""
    return values[:, 1:] - values[:, :-1]


def velocity_mask(frame_mask: Tensor) -> Tensor:
    """Differences between two real frames; none crosses into the padding: (B, T) -> (B, T - 1)."""
    return frame_mask[:, 1:] & frame_mask[:, :-1]


class MotionLoss(nn.Module):
    """Weighted named terms; `forward` returns each unweighted, and their weighted sum as `loss`.

    Args:
        weights: term -> weight; 0 leaves the term out.
        known: the terms there are.
    """

    def __init__(self, weights: Mapping[str, float], known: Sequence[str]) -> None:
        super().__init__()
        unknown = sorted(set(weights) - set(known))
        if unknown:
            raise InputError(f"loss: unknown terms {', '.join(unknown)}; known: {', '.join(known)}")
        self.weights = {name: float(weight) for name, weight in weights.items() if weight}

    def total(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """The terms with a weight, and `loss`."""
        used = {name: terms[name] for name in self.weights if name in terms}
        loss = torch.stack([self.weights[name] * value for name, value in used.items()]).sum()
        return {**used, "loss": loss}

    def calibrate(self, states: Iterable[Tensor], motion: Motion) -> None:
        """Measure the mean squares that terms are divided by, on clips (T, D) of the training split."""
        sums: dict[str, Tensor] = {}
        frames = 0
        for state in states:
            if len(state) < 2:  # no velocity
                continue
            for name, powers in self._powers(state[None].to(self.device), motion).items():
                sums[name] = sums.get(name, torch.zeros(())) + powers * (len(state) - 1)
            frames += len(state) - 1
        for name, value in sums.items():
            getattr(self, name).copy_((value / max(frames, 1)).clamp(min=1e-12))

    def _powers(self, state: Tensor, motion: Motion) -> dict[str, Tensor]:
        """Buffer name -> mean square over one clip (1, T, D)."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        return next(self.buffers()).device


class VertexLoss(MotionLoss):
    """Vertex motion: `vertex` (position) and `velocity`, the paper's two terms with padding left out.

    Args:
        weights: of `vertex` and `velocity`.
        topology: where regions are looked up; needed only with `regions`.
        regions: region -> factor on the squared error of its vertices; weights are then scaled to mean one.
        num_groups: motion groups of the state.
    """

    velocity_power: Tensor
    vertex_weights: Tensor

    def __init__(
        self,
        weights: Mapping[str, float],
        topology: Topology | None = None,
        regions: Mapping[str, float] | None = None,
        num_groups: int = 1,
    ) -> None:
        super().__init__(weights, ("vertex", "velocity"))
        per_vertex = (
            torch.ones(1) if not regions else torch.from_numpy(region_weights(topology, regions)).repeat_interleave(3)
        )
        self.register_buffer("vertex_weights", per_vertex, persistent=False)
        self.register_buffer("velocity_power", torch.ones(num_groups))

    def forward(self, prediction: Tensor, target: Tensor, frame_mask: Tensor, motion: Motion) -> dict[str, Tensor]:
        """Terms for states (B, T, D), mask (B, T) True = real; region weights apply to the group `vertices`."""
        error, mask = prediction.float() - target.float(), frame_mask
        square, speed = error.square(), velocity(error).square()
        position, change = [], []
        for index, (name, channels) in enumerate(motion.groups.items()):
            weight = self.vertex_weights if name == "vertices" else 1.0
            position.append(masked_mean(square[..., channels] * weight, mask))
            change.append(masked_mean(speed[..., channels] * weight, velocity_mask(mask)) / self.velocity_power[index])
        return self.total({"vertex": torch.stack(position).sum(), "velocity": torch.stack(change).sum()})

    def _powers(self, state: Tensor, motion: Motion) -> dict[str, Tensor]:
        speed = velocity(state).square()
        return {"velocity_power": torch.stack([speed[..., channels].mean() for channels in motion.groups.values()])}


class ControlLoss(MotionLoss):
    """Blendshape controls: errors of the state, and of the vertices that the weights move, exactly and without vertices.

    The mean squared vertex distance of two weight vectors is |R (w - w')|² with R'R = Σ_v ω_v B_v B_v' (K, K). Terms:
    `state`, `state_velocity`, `vertex`, `vertex_velocity`, `viseme` (cross entropy; mean over real frames). After
    `calibrate`, the vertex terms are relative to the corpus' own variance and squared velocity.

    Args:
        weights: of the terms.
        topology: whose blendshapes the weights move; must have every control in `names`.
        names: the K controls.
        regions: region -> factor on its vertices; see `region_weights`.
        closure_weight: where the target seals the lips, jaw and closure errors count 1 + this.
        groups: motion group -> factor on its part of the state terms, 1 where not named.
        num_groups: motion groups of the state.
    """

    velocity_power: Tensor
    vertex_power: Tensor
    factor: Tensor
    closure_channels: Tensor

    def __init__(
        self,
        weights: Mapping[str, float],
        topology: Topology,
        names: Sequence[str] = CONTROL_NAMES,
        regions: Mapping[str, float] | None = None,
        closure_weight: float = 2.0,
        groups: Mapping[str, float] | None = None,
        num_groups: int = 1,
    ) -> None:
        super().__init__(weights, ("state", "state_velocity", "vertex", "vertex_velocity", "viseme"))
        per_vertex = region_weights(topology, regions or {})
        self.register_buffer("factor", gram_factor(_deltas(topology, names), per_vertex), persistent=False)
        channels = torch.tensor([float(name in CLOSURE_CONTROLS) for name in names])
        self.register_buffer("closure_channels", closure_weight * channels, persistent=False)
        self.register_buffer("velocity_power", torch.ones(num_groups))
        self.register_buffer("vertex_power", torch.ones(2))  # of position and of velocity
        self.closure = list(names).index("mouthClose")
        self.group_weights = dict(groups or {})

    def forward(
        self,
        prediction: Tensor,
        target: Tensor,
        frame_mask: Tensor,
        motion: ControlledMotion,
        viseme_logits: Tensor | None = None,
        visemes: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Terms for states (B, T, K).

        Args:
            prediction: x_start as predicted.
            target: x_start.
            frame_mask (Tensor (B, T) bool): True = real.
            motion: decodes states.
            viseme_logits (Tensor (B, T, n)): of the auxiliary head, or None.
            visemes (Tensor (B, T) int64): their classes, -100 where unknown, or None.
        """
        if unknown := sorted(set(self.group_weights) - set(motion.groups)):
            raise InputError(f"loss: unknown motion groups {', '.join(unknown)}; known: {', '.join(motion.groups)}")
        prediction, target = prediction.float(), target.float()
        moving = velocity_mask(frame_mask)
        error = prediction - target
        closed = motion.decode(target)[..., self.closure, None] > CLOSED
        square = error.square() * (1.0 + closed * self.closure_channels)
        speed = velocity(error).square()
        groups = list(motion.groups.values())
        shares = torch.tensor([self.group_weights.get(name, 1.0) for name in motion.groups], device=square.device)
        distance = (motion.weights(prediction) - motion.weights(target)) @ self.factor.T
        terms = {
            "state": (torch.stack([masked_mean(square[..., g], frame_mask) for g in groups]) * shares).sum(),
            "state_velocity": (
                torch.stack([masked_mean(speed[..., g], moving) for g in groups]) * shares / self.velocity_power
            ).sum(),
            "vertex": masked_mean(distance.square().sum(-1, keepdim=True), frame_mask) / self.vertex_power[0],
            "vertex_velocity": masked_mean(velocity(distance).square().sum(-1, keepdim=True), moving)
            / self.vertex_power[1],
        }
        if viseme_logits is not None and visemes is not None:
            terms["viseme"] = viseme_cross_entropy(viseme_logits, visemes, frame_mask)
        return self.total(terms)

    def _powers(self, state: Tensor, motion: Motion) -> dict[str, Tensor]:
        speed = velocity(state).square()
        weights: Tensor = motion.weights(state)  # type: ignore[attr-defined]
        moved = weights @ self.factor.T
        spread = (moved - moved.mean(1, keepdim=True)).square().sum(-1).mean()
        return {
            "velocity_power": torch.stack([speed[..., g].mean() for g in motion.groups.values()]),
            "vertex_power": torch.stack([spread, velocity(moved).square().sum(-1).mean()]),
        }


def viseme_cross_entropy(logits: Tensor, visemes: Tensor, frame_mask: Tensor) -> Tensor:
    """Mean cross entropy over real frames with a known class (>= 0): logits (B, T, n), visemes (B, T)."""
    wanted = torch.where(frame_mask, visemes, -100).clamp(min=-100)
    losses = F.cross_entropy(logits.float().flatten(0, 1), wanted.flatten(), ignore_index=-100, reduction="sum")
    return losses / (wanted >= 0).sum().clamp(min=1)


def region_weights(topology: Topology | None, regions: Mapping[str, float]) -> np.ndarray:
    """Weights (V,) float32 of mean one: the product of the factors of the regions a vertex lies in."""
    if topology is None:
        raise InputError("loss: regions need a topology")
    weights = np.ones(topology.num_vertices, np.float32)
    for name, factor in regions.items():
        weights[topology.region(name)] *= factor
    return weights / weights.mean()


def gram_factor(deltas: np.ndarray, vertex_weights: np.ndarray) -> Tensor:
    """R (K, K) with |R w|² = the weighted mean over vertices of |Σ_k w_k delta_k|².

    From the eigenvectors of the Gram matrix rather than by Cholesky: shapes may be linearly dependent.

    Args:
        deltas (array (K, V, 3)): blendshapes.
        vertex_weights (array (V,)): relative weights of vertices.
    """
    scaled = deltas.astype(np.float64) * np.sqrt(vertex_weights / vertex_weights.sum())[:, None]
    flat = scaled.reshape(len(deltas), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    return torch.from_numpy(np.sqrt(values.clip(0.0))[:, None] * vectors.T).float()


def _deltas(topology: Topology, names: Sequence[str]) -> np.ndarray:
    """Displacements (K, V, 3) of the named shapes, in that order."""
    shapes = topology.blendshapes
    missing = [name for name in names if shapes is None or name not in shapes.names]
    if shapes is None or missing:
        raise InputError(f"loss: topology {topology.name} lacks the blendshapes {', '.join(missing)}")
    return shapes.deltas[[shapes.names.index(name) for name in names]]
