"""Animation: moving vertices with everything a writer needs, and its motion file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.phone import Phone
from diffspeaker3d.topology import Topology

CHUNK_FRAMES = 256  # frames handled at once wherever a whole animation is walked through


class FrameArray(Protocol):
    """What `Animation.vertices` promises: (T, V, 3) float32, sliced by frame; an array, a memory map, or a product."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, frames: Any) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class BlendedVertices:
    """template + weights @ basis, computed for the frames that are asked for: two hours fit in memory.

    Indexing by frame (int, slice or index array) gives float32 vertices; `np.asarray` gives all of them.
    """

    template: np.ndarray
    weights: np.ndarray
    topology: Topology

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.weights), *self.template.shape)

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, frames: Any) -> np.ndarray:
        assert self.topology.blendshapes is not None
        return self.template + self.topology.blendshapes.displacements(self.weights[frames])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.float32, copy=False)


@dataclass(frozen=True, eq=False)
class Animation:
    """A talking head over time. Immutable; one unit of length throughout (`topology.unit`).

    Attributes:
        vertices (FrameArray (T, V, 3) float32): slice by frame, e.g. `vertices[10:20]`; may be computed lazily.
        fps: motion frames per second; frame t is shown at t / fps seconds.
        topology: faces, regions, shapes.
        template (array (V, 3) float32): the neutral face.
        waveform (array (N,) float32 in [-1, 1]) and sample_rate (Hz): the sound, or None and None.
        weights (array (T, K) float32) and weight_names: blendshape weights in [0, 1] that make the vertices, or None and ().
        phones: what is said and when, where a transcript was given; else None.
        provenance: what made it (checkpoint hash, config, seed, versions); JSON types only.
    """

    vertices: FrameArray
    fps: float
    topology: Topology
    template: np.ndarray
    waveform: np.ndarray | None = None
    sample_rate: int | None = None
    weights: np.ndarray | None = None
    weight_names: tuple[str, ...] = ()
    phones: tuple[Phone, ...] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.topology.check(self.template, "template")
        if len(self.vertices) == 0 or tuple(self.vertices.shape[1:]) != self.template.shape:
            raise InputError(
                f"animation: vertices of shape {self.vertices.shape} do not fit template {self.template.shape}"
            )
        if not self.fps > 0:
            raise InputError(f"animation: fps must be positive, got {self.fps}")
        if (self.waveform is None) != (self.sample_rate is None):
            raise InputError("animation: waveform and sample_rate go together; give both or neither")
        if self.weights is not None and self.weights.shape != (len(self.vertices), len(self.weight_names)):
            raise InputError(
                f"animation: weights of shape {self.weights.shape} need {len(self.vertices)} frames of {len(self.weight_names)} names"
            )

    @classmethod
    def from_weights(
        cls, weights: np.ndarray, fps: float, topology: Topology, template: np.ndarray, **rest: Any
    ) -> Animation:
        """An animation whose vertices follow from blendshape weights (T, K) of `topology.blendshapes`."""
        if topology.blendshapes is None:
            raise InputError(f"topology {topology.name} has no blendshapes, so weights cannot move it")
        weights = np.asarray(weights, np.float32)
        vertices = BlendedVertices(np.asarray(template, np.float32), weights, topology)
        return cls(
            vertices, fps, topology, vertices.template, weights=weights, weight_names=topology.blendshapes.names, **rest
        )

    def __len__(self) -> int:
        return len(self.vertices)

    @property
    def duration(self) -> float:
        """Seconds of motion: T / fps."""
        return len(self) / self.fps

    def chunks(self) -> Iterator[np.ndarray]:
        """Vertices in pieces of (at most CHUNK_FRAMES, V, 3) float32, first frame to last."""
        for start in range(0, len(self), CHUNK_FRAMES):
            yield np.asarray(self.vertices[start : start + CHUNK_FRAMES], np.float32)

    @cached_property
    def provenance_json(self) -> str:
        return json.dumps(self.provenance, sort_keys=True)
