"""A head that the user brings: `template=character.glb` or `template=head.obj`, in place of an identity's name."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from diffspeaker3d.errors import InputError
from diffspeaker3d.heads.character import Character, NoShapes, load_character
from diffspeaker3d.heads.character_mesh import character_topology
from diffspeaker3d.heads.fit import fit_head, load_head
from diffspeaker3d.topology import Topology

log = logging.getLogger(__name__)

HEAD_SUFFIXES = (".glb", ".obj", ".ply", ".stl")


@dataclass(frozen=True)
class CustomHead:
    """A user's head, ready to be driven.

    Attributes:
        topology: its faces, rest pose and shapes.
        character: its file, when that has ARKit shapes of its own; a .glb is then written as that file plus one animation.
    """

    topology: Topology
    character: Character | None


def is_head_file(template: str | None) -> bool:
    """Whether `template` means a file rather than the name of an identity."""
    return template is not None and Path(template).suffix.lower() in HEAD_SUFFIXES


def open_head(path: str, mannequin: Topology, landmarks: Mapping[str, int] | None = None) -> CustomHead:
    """Read a head; one without shapes is given the mannequin's, and what is unsure about the fit is logged.

    Args:
        path: the file.
        mannequin: whose shapes are fitted.
        landmarks: name -> vertex of a head without shapes, where the search for them needs help (see `heads.fit.fit_head`).

    Raises:
        InputError: missing or broken file, not a head, or unknown landmarks.
    """
    if path.lower().endswith(".glb"):
        try:
            character = load_character(path)
        except NoShapes:
            log.info("%s: has no ARKit shapes, the mannequin's are fitted to it", path)
        else:
            return CustomHead(character_topology(character), character)
    if mannequin.blendshapes is None:
        raise InputError(
            f"template={path}: needs a model of blendshape controls to drive it, this checkpoint moves {mannequin.name} vertices"
        )
    fitted = fit_head(load_head(path), mannequin, landmarks)
    for doubt in fitted.report.get("unsure", []):
        log.warning("%s: unsure: %s", path, doubt)
    return CustomHead(fitted.topology, None)
