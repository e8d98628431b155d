"""Topology: what is fixed about a head (faces, regions, shapes), and where the known ones come from.

Vertex order is sacred: nothing here merges, reorders or cleans.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from zipfile import BadZipFile

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path

ASSETS = Path(__file__).parent / "assets"
METRES_PER_UNIT = {"m": 1.0, "cm": 0.01, "mm": 0.001}  # other units ("unit area") are kept and named
DEFAULT_TOPOLOGY = "mannequin"


@dataclass(frozen=True, eq=False)
class Blendshapes:
    """A linear basis of facial expressions.

    Attributes:
        names: K names, ARKit spelling where the meaning is ARKit's.
        deltas (array (K, V, 3) float32): displacement of each shape at weight 1, in the topology's unit.
    """

    names: tuple[str, ...]
    deltas: np.ndarray

    def displacements(self, weights: np.ndarray) -> np.ndarray:
        """Weights (..., K) to displacements (..., V, 3): a matrix product."""
        flat = self.deltas.reshape(len(self.names), -1)
        return (np.asarray(weights, np.float32) @ flat).reshape(*weights.shape[:-1], *self.deltas.shape[1:])


@dataclass(frozen=True, eq=False)
class Texture:
    """A picture laid over a head.

    Attributes:
        places (array (V, 2) float32): of every vertex in the picture, in [0, 1]: to the right, and down.
        image (array (h, w, 3) uint8): sRGB.
    """

    places: np.ndarray
    image: np.ndarray


@dataclass(frozen=True, eq=False)
class Topology:
    """A family of heads that share vertex order.

    Attributes:
        name: `mannequin`, `flame`, `biwi`, or the user's own.
        faces (array (F, 3) int32): triangles, counter-clockwise seen from outside.
        num_vertices: V.
        regions: name -> sorted vertex indices (int32), e.g. `lips`, `mouth`, `upper_face`.
        unit: unit of every length, "m" unless the corpus says otherwise.
        templates: identity name -> neutral vertices (V, 3) float32; may be empty.
        blendshapes: the head's own shapes, or None.
        colors (array (V, 3) uint8): albedo per vertex in sRGB, or None for plain clay.
        texture: finer than `colors`, for what draws pictures; not part of saved files.
    """

    name: str
    faces: np.ndarray
    num_vertices: int
    regions: Mapping[str, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))
    unit: str = "m"
    templates: Mapping[str, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))
    blendshapes: Blendshapes | None = None
    colors: np.ndarray | None = None
    texture: Texture | None = None

    def __post_init__(self) -> None:
        faces = self.faces
        if faces.ndim != 2 or faces.shape[1] != 3 or len(faces) == 0:
            raise InputError(f"topology {self.name}: faces must be (F, 3) triangles, got shape {faces.shape}")
        if faces.min() < 0 or faces.max() >= self.num_vertices:
            raise InputError(f"topology {self.name}: faces refer to vertex {faces.max()} of {self.num_vertices}")
        for region, indices in self.regions.items():
            if len(indices) and (indices.min() < 0 or indices.max() >= self.num_vertices):
                raise InputError(
                    f"topology {self.name}: region {region} names vertex {indices.max()} of {self.num_vertices}"
                )
        for identity, vertices in self.templates.items():
            self.check(vertices, f"template {identity}")

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the faces and the vertex count, first 16 hex digits: equal vertex order, equal hash."""
        digest = hashlib.sha256(np.int64(self.num_vertices).tobytes())
        digest.update(np.ascontiguousarray(self.faces, dtype="<i4").tobytes())
        return digest.hexdigest()[:16]

    def check(self, vertices: np.ndarray, what: str) -> None:
        """Raise InputError unless `vertices` (..., V, 3) fits this topology."""
        if vertices.ndim < 2 or vertices.shape[-2:] != (self.num_vertices, 3):
            raise InputError(
                f"{what}: shape {vertices.shape} does not fit topology {self.name} of {self.num_vertices} vertices"
            )

    def region(self, name: str) -> np.ndarray:
        """Indices (n,) int32 of a region; an unknown name raises InputError and lists the known."""
        if name not in self.regions:
            raise InputError(
                f"topology {self.name} has no region {name!r}; known: {', '.join(sorted(self.regions)) or 'none'}"
            )
        return self.regions[name]

    def template(self, identity: str | None = None) -> np.ndarray:
        """Neutral vertices (V, 3) of a known identity, the first if none is named."""
        if identity is None and self.templates:
            identity = next(iter(self.templates))
        if identity is None or identity not in self.templates:
            raise InputError(
                f"topology {self.name} has no template {identity!r}; known: {', '.join(self.templates) or 'none'}"
            )
        return self.templates[identity]

    def save(self, path: str | Path) -> None:
        """Write everything to one npz without pickles; `load_topology` reads it back."""
        arrays: dict[str, np.ndarray] = {
            "name": np.array(self.name), "unit": np.array(self.unit), "num_vertices": np.array(self.num_vertices),
            "faces": np.asarray(self.faces, np.int32),
        }  # fmt: skip
        arrays |= {f"region/{k}": np.asarray(v, np.int32) for k, v in self.regions.items()}
        arrays |= {f"template/{k}": np.asarray(v, np.float32) for k, v in self.templates.items()}
        if self.blendshapes is not None:
            deltas = self.blendshapes.deltas.reshape(len(self.blendshapes.names), -1)
            # Most shapes move few vertices: 16-bit steps of each shape's own maximum, non-zero entries only.
            scale = np.abs(deltas).max(1).clip(1e-12) / 32767
            steps = np.rint(deltas / scale[:, None]).astype(np.int16)
            rows, columns = np.nonzero(steps)
            arrays |= {
                "blendshape_names": np.array(self.blendshapes.names), "blendshape_scale": scale.astype(np.float32),
                "blendshape_counts": np.bincount(rows, minlength=len(deltas)).astype(np.int32),
                "blendshape_columns": columns.astype(np.int32), "blendshape_steps": steps[rows, columns],
            }  # fmt: skip
        if self.colors is not None:
            arrays["colors"] = np.asarray(self.colors, np.uint8)
        with atomic_path(path) as temporary, open(temporary, "wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)


def load_topology(name: str | Path = DEFAULT_TOPOLOGY) -> Topology:
    """A topology by name (those shipped: `mannequin`) or from a file that `Topology.save` wrote.

    Raises:
        InputError: no such name or file, or the file is not a topology.
    """
    shipped = ASSETS / f"{name}.npz"
    path = shipped if shipped.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in ASSETS.glob("*.npz")))
        raise InputError(f"{name}: no such topology; known: {known}, or give the path of a topology .npz")
    return _read(path.resolve())


@cache
def _read(path: Path) -> Topology:
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = dict(data)
        topology = Topology(
            name=str(arrays["name"]),
            faces=arrays["faces"],
            num_vertices=int(arrays["num_vertices"]),
            regions=_prefixed(arrays, "region/"),
            unit=str(arrays["unit"]),
            templates=_prefixed(arrays, "template/"),
            blendshapes=_read_blendshapes(arrays),
            colors=arrays.get("colors"),
        )
    except (KeyError, ValueError, OSError, BadZipFile) as error:
        raise InputError(f"{path}: not a topology file ({error})") from error
    return topology


def _prefixed(arrays: dict[str, np.ndarray], prefix: str) -> Mapping[str, np.ndarray]:
    return MappingProxyType({k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)})


def _read_blendshapes(arrays: dict[str, np.ndarray]) -> Blendshapes | None:
    if "blendshape_names" not in arrays:
        return None
    names = tuple(str(n) for n in arrays["blendshape_names"])
    deltas = np.zeros((len(names), int(arrays["num_vertices"]) * 3), np.float32)
    rows = np.repeat(np.arange(len(names)), arrays["blendshape_counts"])
    deltas[rows, arrays["blendshape_columns"]] = arrays["blendshape_steps"] * arrays["blendshape_scale"][rows]
    return Blendshapes(names, deltas.reshape(len(names), -1, 3))
