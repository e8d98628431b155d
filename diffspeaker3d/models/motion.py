"""Motion spaces: between the face's own units and the unit-variance state that is diffused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from diffspeaker3d.controls.arkit import CONTROL_NAMES, close_lips
from diffspeaker3d.errors import InputError

Channels = slice | list[int]


@runtime_checkable
class MotionSpace(Protocol):
    """State (B, T, D) of unit variance: named groups of channels, each with its own scale.

    Attributes:
        dim: D.
        groups: name -> its channels.
    """

    dim: int
    groups: Mapping[str, Channels]

    def encode(self, motion: Tensor) -> Tensor:
        """Motion in its own units (..., D) to state (..., D)."""
        ...

    def decode(self, state: Tensor) -> Tensor:
        """State (..., D) to motion in its own units (..., D)."""
        ...


class VertexMotion(nn.Module):
    """Displacements from the template, flattened vertex by vertex (x, y, z), divided by one scale per corpus.

    Args:
        num_vertices: V; D = 3 V.
        scale: RMS displacement over the training split, in the topology's unit; 1 = raw, as the official code.
    """

    scale: Tensor

    def __init__(self, num_vertices: int, scale: float = 1.0) -> None:
        super().__init__()
        if not scale > 0:
            raise InputError(f"motion: scale must be positive, got {scale}; is the corpus without motion?")
        self.dim = 3 * num_vertices
        self.groups: Mapping[str, Channels] = {"vertices": slice(0, self.dim)}
        self.register_buffer("scale", torch.tensor(float(scale)))

    def encode(self, motion: Tensor) -> Tensor:
        """Displacements (..., 3V) to state (..., 3V)."""
        return motion / self.scale

    def decode(self, state: Tensor) -> Tensor:
        """State (..., 3V) to displacements (..., 3V) in the topology's unit."""
        return state * self.scale


class ControlMotion(nn.Module):
    """Blendshape controls (see `diffspeaker3d.controls.arkit`), each channel shifted and scaled to unit variance.

    Args:
        names: the K controls; D = K.
        mean: per channel (K,), default 0.
        scale: per channel (K,), standard deviation over the training split, default 1.
        groups: name -> names of its controls, each in one group at most; default one group `controls`.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        names: Sequence[str] = CONTROL_NAMES,
        mean: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__()
        self.names = tuple(names)
        self.dim = len(self.names)
        self.groups: Mapping[str, Channels] = _channels(self.names, groups or {"controls": self.names})
        for what, values in (("mean", mean), ("scale", scale)):
            if values is not None and len(values) != self.dim:
                raise InputError(f"motion: {what} has {len(values)} values for {self.dim} controls")
        if scale is not None and min(scale) <= 0:
            raise InputError(
                f"motion: scale of {self.names[list(scale).index(min(scale))]} must be positive, got {min(scale)}"
            )
        self.register_buffer("mean", torch.tensor(list(mean) if mean is not None else [0.0] * self.dim))
        self.register_buffer("scale", torch.tensor(list(scale) if scale is not None else [1.0] * self.dim))

    def encode(self, motion: Tensor) -> Tensor:
        """Controls (..., K) to state (..., K)."""
        return (motion - self.mean) / self.scale

    def decode(self, state: Tensor) -> Tensor:
        """State (..., K) to controls (..., K)."""
        return state * self.scale + self.mean

    def weights(self, state: Tensor) -> Tensor:
        """State (..., K) to blendshape weights (..., K) in [0, 1], lips stopped by contact (`arkit.close_lips`)."""
        return close_lips(self.decode(state), self.names)


def _channels(names: tuple[str, ...], groups: Mapping[str, Sequence[str]]) -> dict[str, Channels]:
    """Each group's channels: a slice (a view of the state) where they stand side by side, otherwise their indices."""
    found: dict[str, Channels] = {}
    for group, members in groups.items():
        unknown = [name for name in members if name not in names]
        if unknown or not members:
            raise InputError(f"motion: group {group} names {unknown or 'no controls'}; known: {', '.join(names)}")
        indices = [names.index(name) for name in members]
        neighbours = indices == list(range(indices[0], indices[0] + len(indices)))
        found[group] = slice(indices[0], indices[-1] + 1) if neighbours else indices
    return found
