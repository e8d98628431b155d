"""A user's own character (.glb, .gltf, .vrm) opened: what drives each of its morph targets."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.blendshapes import performance
from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.gltf import Gltf, open_gltf, visible_nodes
from diffspeaker3d.geometry.gltf.schema import Mesh
from diffspeaker3d.heads.binding import JAW, Binding, bind, listed
from diffspeaker3d.heads.bones import Turn, find_turns
from diffspeaker3d.heads.conventions import Recipe
from diffspeaker3d.heads.vrm import bones, expressions, gaze
from diffspeaker3d.topology import Topology

log = logging.getLogger(__name__)

HOW_TO_MAP = "give names=map.yaml with lines such as `their shape: jawOpen` (docs/heads.md), or export it without shapes to be given the mannequin's"


class NoShapes(InputError):
    """A file without any morph target: it cannot be driven, but shapes can be fitted to it."""


@dataclass(frozen=True)
class Character:
    """A character file with morph targets that are understood; `formats.character.write` makes it talk.

    Attributes:
        gltf: the file.
        binding: what drives its shapes; only meshes that are shown.
        turns: bones that are turned because no shape does their work.
    """

    gltf: Gltf
    binding: Binding
    turns: tuple[Turn, ...] = ()

    @property
    def meshes(self) -> Mapping[int, tuple[str | None, ...]]:
        """Mesh index -> the name of each of its morph targets' shape, or None for one that keeps its weight."""
        return self.binding.meshes

    @property
    def names(self) -> tuple[str, ...]:
        """Shapes that at least one mesh has: controls in our order, others under their own labels, then what bones do."""
        return tuple(dict.fromkeys((*self.binding.recipes, *self.bone_shapes)))

    @property
    def bone_shapes(self) -> Mapping[str, tuple[Turn, str]]:
        """What a bone does, as if it were a shape -> the bone and the control that turns it."""
        return {f"bone {t.name} {c}": (t, c) for t in self.turns for c in t.vectors}

    def perform(self, animation: Animation, topology: Topology) -> Animation:
        """A performance by controls as this character plays it.

        Args:
            animation: with weights of controls, or on a topology with shapes to solve for.
            topology: the character's own, see `character_mesh.character_topology`; shapes of it that are not driven stay still.

        Raises:
            InputError: the animation has nothing to drive shapes with.
        """
        assert topology.blendshapes is not None
        curves = self.binding.curves(*performance(animation))
        driven = dict(zip(self.binding.recipes, self.binding.mix(curves).T, strict=True))
        driven |= {name: curves[control].astype(np.float32) for name, (_, control) in self.bone_shapes.items()}
        still = np.zeros(len(animation), np.float32)
        weights = np.stack([driven.get(name, still) for name in topology.blendshapes.names], 1)
        return Animation.from_weights(
            weights,
            animation.fps,
            topology,
            topology.template(),
            waveform=animation.waveform,
            sample_rate=animation.sample_rate,
            phones=animation.phones,
            provenance=animation.provenance,
        )


def load_character(path: str | Path, names: Mapping[str, Recipe] | None = None) -> Character:
    """Open a .glb, .gltf or .vrm and find out what drives its morph targets; what is not known or missing is logged.

    Args:
        path: the file.
        names: the user's own map, see `binding.read_names`; it comes before every convention.

    Raises:
        NoShapes: it has no morph targets at all.
        InputError: its shapes are not known well enough to open the mouth; not glTF, broken accessors, vertices that are not finite,
            or one name twice in a mesh.
    """
    return understand(open_gltf(path), names)


def understand(gltf: Gltf, names: Mapping[str, Recipe] | None = None) -> Character:
    """What drives an opened file's morph targets; arguments and errors as `load_character`."""
    document, path = gltf.document, gltf.path
    shown = dict.fromkeys(document.nodes[node].mesh for node in visible_nodes(document))
    labels = {mesh: target_names(document.meshes[mesh], mesh) for mesh in sorted(m for m in shown if m is not None)}
    labels = {mesh: targets for mesh, targets in labels.items() if targets}
    if not labels:
        raise NoShapes(f"{path}: has no morph targets")
    for mesh, targets in labels.items():
        check_targets(gltf, mesh, len(targets))
    binding = bind(labels, names, path, expressions(document, gltf.json))
    turns = find_turns(gltf, binding, bones(gltf.json), gaze(gltf.json))
    if not binding.speaks and not any(JAW in turn.vectors for turn in turns):
        found = listed(list(dict.fromkeys(label for targets in labels.values() for label in targets)))
        raise InputError(f"{path}: none of its shapes is known to open the mouth; it has {found}; {HOW_TO_MAP}")
    _report(path, binding, turns)
    return Character(gltf, binding, turns)


def _report(path: str | Path, binding: Binding, turns: Sequence[Turn]) -> None:
    """Say how the shapes were understood, and name what stays still."""
    read = ", ".join(f"{count} as {title}" for title, count in binding.conventions.items()) or "your map only"
    log.info("%s: shapes read: %s", path, read)
    if turns:
        log.info("%s: bones turned: %s", path, ", ".join(turn.name for turn in turns))
    if binding.unknown:
        log.warning("%s: shapes that are not known stay still: %s", path, listed(binding.unknown))
    if binding.missing and binding.by_visemes:
        log.info("%s: lacks visemes, the nearest of the others stand in: %s", path, ", ".join(binding.missing))
    elif binding.missing:
        log.warning("%s: the mouth lacks %s; what they would do is not shown", path, ", ".join(binding.missing))


def target_names(mesh: Mesh, number: int) -> list[str]:
    """Names of a mesh's morph targets, from where exporters put them; numbered ones where there are none."""
    for extras in (mesh.extras, mesh.primitives[0].extras):
        names = extras.get("targetNames") if isinstance(extras, dict) else None
        if isinstance(names, list) and names:
            return [str(name) for name in names]
    return [f"mesh {number} target {n}" for n in range(len(mesh.primitives[0].targets))]


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
