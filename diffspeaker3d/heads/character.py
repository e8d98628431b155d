"""A user's own character (.glb) opened: which of its morph targets are ARKit's.

Names are recognised in any case, with
`Left`, `_L`, `L`, and behind a prefix such as `blendShape1.`.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from diffspeaker3d.controls.arkit import ARKIT_NAMES, CONTROL_NAMES
from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.gltf import Gltf, open_gltf, visible_nodes
from diffspeaker3d.geometry.gltf.schema import Mesh

log = logging.getLogger(__name__)


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
        gltf: the file.
        meshes: mesh index -> our name or None for each of its morph targets; only meshes that are shown.
    """

    gltf: Gltf
    meshes: dict[int, tuple[str | None, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Shapes that at least one mesh has, in our order."""
        present = {name for targets in self.meshes.values() for name in targets}
        return tuple(name for name in CONTROL_NAMES if name in present)


def load_character(path: str | Path) -> Character:
    """Open a .glb, .gltf or .vrm and find its ARKit morph targets; missing ones are logged.

    Raises:
        NoShapes: no morph target has an ARKit name.
        InputError: not glTF, broken accessors, vertices that are not finite, or one name twice in a mesh.
    """
    return understand(open_gltf(path))


def understand(gltf: Gltf) -> Character:
    """An opened file's ARKit morph targets; errors as `load_character`."""
    document, path = gltf.document, gltf.path
    shown = dict.fromkeys(document.nodes[node].mesh for node in visible_nodes(document))
    meshes: dict[int, tuple[str | None, ...]] = {}
    for index in sorted(mesh for mesh in shown if mesh is not None):
        mesh = document.meshes[index]
        labels = target_names(mesh)
        names = tuple(arkit_name(label) for label in labels)
        for name in set(names) - {None}:
            if names.count(name) > 1:
                twice = ", ".join(label for label, n in zip(labels, names, strict=True) if n == name)
                raise InputError(f"{path}: mesh {mesh.name or index} has {name} twice ({twice}); rename one")
        if any(names):
            check_targets(gltf, index, len(labels))
            meshes[index] = names
    if not meshes:
        found = [label for mesh in document.meshes for label in target_names(mesh)]
        raise NoShapes(
            f"{path}: no morph target carries an ARKit name such as jawOpen; it has {', '.join(found[:12]) or 'none at all'}"
        )
    character = Character(gltf, meshes)
    missing = [name for name in ARKIT_NAMES if name not in character.names]
    if missing:
        log.warning("%s lacks %d of 52 ARKit shapes, which stay still: %s", path, len(missing), ", ".join(missing))
    return character


def target_names(mesh: Mesh) -> list[str]:
    """Names of a mesh's morph targets, from where exporters put them."""
    for extras in (mesh.extras, mesh.primitives[0].extras):
        names = extras.get("targetNames") if isinstance(extras, dict) else None
        if isinstance(names, list) and names:
            return [str(name) for name in names]
    return []


def check_targets(gltf: Gltf, index: int, num_names: int) -> None:
    """Raise InputError unless every primitive of a mesh has that many shapes, all readable, finite and of its own size."""
    mesh = gltf.document.meshes[index]
    for primitive in mesh.primitives:
        if len(primitive.targets) != num_names:
            raise InputError(
                f"{gltf.path}: mesh {mesh.name or index} has {len(primitive.targets)} morph targets and {num_names} names; export it again"
            )
        gltf.floats(primitive, "POSITION")
        gltf.triangles(primitive)
        for number in range(num_names):
            gltf.target(primitive, number)
