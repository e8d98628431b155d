"""A user's own character (.glb) opened: which of its morph targets are ARKit's.

Names are recognised in any case, with
`Left`, `_L`, `L`, and behind a prefix such as `blendShape1.`.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffspeaker3d.controls.arkit import ARKIT_NAMES, CONTROL_NAMES
from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.gltf import read_accessor, unpack

log = logging.getLogger(__name__)

COMPRESSED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression")  # accessors without plain bytes: trusted unread


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _spellings() -> dict[str, str]:
    """Bare lower-case spelling -> our name: eyeblinkleft, eyeblinkl -> eyeBlinkLeft."""
    known = {_key(name): name for name in CONTROL_NAMES}
    for name in CONTROL_NAMES:
        for side in ("Left", "Right"):
            if name.endswith(side):
                known[_key(name.removesuffix(side) + side[0])] = name
    return known


SPELLINGS = _spellings()


def arkit_name(target: str) -> str | None:
    """Our name for a morph target's, or None: `eyeBlink_L`, `EyeBlinkLeft`, `blendShape1.eye_blink_left` -> eyeBlinkLeft."""
    return SPELLINGS.get(_key(target.rsplit(".", 1)[-1])) or SPELLINGS.get(_key(target).removeprefix("arkit"))


class NoShapes(InputError):
    """A character without a single ARKit shape: it cannot be driven, but shapes can be fitted to it."""


@dataclass(frozen=True)
class Character:
    """A character file with ARKit morph targets; `formats.character.write` makes it talk.

    Attributes:
        path: the file.
        meshes: mesh index -> our name or None for each of its morph targets.
    """

    path: Path
    meshes: dict[int, tuple[str | None, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Shapes that at least one mesh has, in our order."""
        present = {name for targets in self.meshes.values() for name in targets}
        return tuple(name for name in CONTROL_NAMES if name in present)


def load_character(path: str | Path) -> Character:
    """Open a .glb and find its ARKit morph targets; missing ones are logged.

    Raises:
        NoShapes: no morph target has an ARKit name.
        InputError: not a .glb, broken accessors, vertices that are not finite, or one name twice in a mesh.
    """
    path = Path(path)
    document, data = unpack(path)
    if any("uri" in buffer for buffer in document.get("buffers", [])):
        raise InputError(f"{path}: keeps its data in other files; export it as one .glb")
    meshes: dict[int, tuple[str | None, ...]] = {}
    for index, mesh in enumerate(document.get("meshes", [])):
        labels = _target_names(mesh)
        names = tuple(arkit_name(label) for label in labels)
        for name in set(names) - {None}:
            if names.count(name) > 1:
                twice = ", ".join(label for label, n in zip(labels, names, strict=True) if n == name)
                raise InputError(f"{path}: mesh {mesh.get('name', index)} has {name} twice ({twice}); rename one")
        if any(names):
            _check_mesh(path, document, data, mesh, len(labels))
            meshes[index] = names
    if not meshes:
        found = [label for mesh in document.get("meshes", []) for label in _target_names(mesh)]
        raise NoShapes(
            f"{path}: no morph target carries an ARKit name such as jawOpen; it has {', '.join(found[:12]) or 'none at all'}"
        )
    character = Character(path, meshes)
    missing = [name for name in ARKIT_NAMES if name not in character.names]
    if missing:
        log.warning("%s lacks %d of 52 ARKit shapes, which stay still: %s", path, len(missing), ", ".join(missing))
    return character


def _target_names(mesh: dict[str, Any]) -> list[str]:
    """Names of a mesh's morph targets, from where exporters put them."""
    primitives = mesh.get("primitives", [])
    names = mesh.get("extras", {}).get("targetNames") or (
        primitives[0].get("extras", {}).get("targetNames") if primitives else None
    )
    return [str(name) for name in names or []]


def _check_mesh(path: Path, document: dict[str, Any], data: bytes, mesh: dict[str, Any], num_names: int) -> None:
    """Every accessor of the mesh's shapes must be readable, finite and of one length."""
    for primitive in mesh["primitives"]:
        targets = primitive.get("targets", [])
        if len(targets) != num_names:
            raise InputError(
                f"{path}: mesh {mesh.get('name', '')} has {len(targets)} morph targets and {num_names} names; export it again"
            )
        if any(extension in document.get("extensionsUsed", []) for extension in COMPRESSED):
            continue
        try:
            rest = read_accessor(document, data, primitive["attributes"]["POSITION"])
            moved = [read_accessor(document, data, t["POSITION"]) for t in targets if "POSITION" in t]
            corners = read_accessor(document, data, primitive["indices"]) if "indices" in primitive else np.zeros(1)
        except (InputError, KeyError) as error:
            raise InputError(f"{path}: mesh {mesh.get('name', '')}: {error}") from error
        if len(rest) == 0 or corners.max(initial=0) >= len(rest):
            raise InputError(
                f"{path}: mesh {mesh.get('name', '')} has triangles of vertices that do not exist; export it again"
            )
        if not all(len(delta) == len(rest) and np.isfinite(delta).all() for delta in [rest, *moved]):
            raise InputError(
                f"{path}: mesh {mesh.get('name', '')} has vertices that are not finite or shapes of another size; repair it"
            )
