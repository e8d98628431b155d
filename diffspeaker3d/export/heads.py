"""A head that the user brings: `template=character.glb` or `template=head.obj`, in place of an identity's name."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffspeaker3d.animation import Animation
from diffspeaker3d.blendshapes import drive
from diffspeaker3d.errors import InputError
from diffspeaker3d.export import rig, save
from diffspeaker3d.export.character_mesh import character_topology
from diffspeaker3d.retarget import fit_head, load_head
from diffspeaker3d.topology import Topology

log = logging.getLogger(__name__)

HEAD_SUFFIXES = (".glb", ".obj", ".ply", ".stl")


@dataclass(frozen=True)
class GuestHead:
    """A user's head, ready to be driven.

    Attributes:
        topology: its faces, rest pose and shapes.
        character: its file, when that has ARKit shapes of its own; a .glb is then written as that file plus one animation.
    """

    topology: Topology
    character: rig.Character | None

    def save(self, animation: Animation, output: str, options: Any = None) -> None:
        """Write the mannequin's performance on this head in the format that the suffix names; errors as `export.save`."""
        if self.character is not None and output.lower().endswith(".glb"):
            rig.write(animation, Path(output), self.character)
        else:
            save(drive(animation, self.topology), output, options)


def is_head_file(template: str | None) -> bool:
    """Whether `template` means a file rather than the name of an identity."""
    return template is not None and Path(template).suffix.lower() in HEAD_SUFFIXES


def open_head(path: str, mannequin: Topology, landmarks: Mapping[str, int] | None = None) -> GuestHead:
    """Read a head; one without shapes is given the mannequin's, and what is unsure about the fit is logged.

    Args:
        path: the file.
        mannequin: whose shapes are fitted.
        landmarks: name -> vertex of a head without shapes, where the search for them needs help (see `retarget.fit_head`).

    Raises:
        InputError: missing or broken file, not a head, or unknown landmarks.
    """
    if path.lower().endswith(".glb"):
        try:
            character = rig.load_character(path)
        except rig.NoShapes:
            log.info("%s: has no ARKit shapes, the mannequin's are fitted to it", path)
        else:
            return GuestHead(character_topology(character), character)
    if mannequin.blendshapes is None:
        raise InputError(
            f"template={path}: needs a model of blendshape controls to drive it, this checkpoint moves {mannequin.name} vertices"
        )
    fitted = fit_head(load_head(path), mannequin, landmarks)
    for doubt in fitted.report.get("unsure", []):
        log.warning("%s: unsure: %s", path, doubt)
    return GuestHead(fitted.topology, None)
