"""A head that the user brings: `template=character.glb` or `template=head.obj`, in place of an identity's name."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.gltf import GLTF_SUFFIXES
from diffspeaker3d.geometry.mesh_file import MESH_SUFFIXES
from diffspeaker3d.heads.binding import read_names
from diffspeaker3d.heads.character import Character, NoShapes, load_character, understand
from diffspeaker3d.heads.character_mesh import character_topology
from diffspeaker3d.heads.fit.landmarks import Landmark
from diffspeaker3d.heads.fitted import fit_file
from diffspeaker3d.topology import Topology

log = logging.getLogger(__name__)

HEAD_SUFFIXES = MESH_SUFFIXES


@dataclass(frozen=True)
class CustomHead:
    """A user's head, ready to be driven.

    Attributes:
        topology: its faces, rest pose and shapes.
        character: its file, when that has shapes of its own; a .glb is then written as that file plus one animation.
    """

    topology: Topology
    character: Character | None


def is_head_file(template: str | None) -> bool:
    """Whether `template` means a file rather than the name of an identity."""
    return template is not None and Path(template).suffix.lower() in HEAD_SUFFIXES


def open_head(
    path: str,
    mannequin: Topology,
    landmarks: Mapping[str, Landmark] | str | None = None,
    names: str | None = None,
) -> CustomHead:
    """Read a head; one without shapes is given the mannequin's, and what is unsure about the fit is logged.

    Args:
        path: the file.
        mannequin: whose shapes are fitted.
        landmarks: points of a head without shapes by name, or a file of them, where the search needs help (see `heads.fit.landmarks`).
        names: a YAML file that says what drives which of its shapes (see `heads.binding.read_names`).

    Raises:
        InputError: missing or broken file, not a head, shapes that are not known, unknown landmarks, or a broken map.
    """
    own = None if names is None else read_names(names)
    if path.lower().endswith(GLTF_SUFFIXES):
        try:
            character = load_character(path, own)
        except NoShapes:
            pass
        else:
            return CustomHead(character_topology(character), character)
    if own is not None:
        raise InputError(f"names={names}: {path} has no shapes to be named; leave it out")
    if mannequin.blendshapes is None:
        raise InputError(
            f"template={path}: needs a model of blendshape controls to drive it, this checkpoint moves {mannequin.name} vertices"
        )
    topology, shaped = fit_file(path, mannequin, landmarks)
    return CustomHead(topology, None if shaped is None else understand(shaped))
