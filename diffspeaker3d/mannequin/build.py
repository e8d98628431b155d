"""The mannequin as a Topology: everything is built in centimetres and leaves in metres."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.mannequin.head import Head, build_head
from diffspeaker3d.mannequin.identities import templates
from diffspeaker3d.mannequin.regions import colors, regions
from diffspeaker3d.mannequin.sculpt import Sculptor
from diffspeaker3d.mannequin.shapes_eyes import eye_shapes
from diffspeaker3d.mannequin.shapes_jaw import carry_jaw, jaw_shapes, tongue_shapes
from diffspeaker3d.mannequin.shapes_mouth import lip_shapes
from diffspeaker3d.topology import Blendshapes, Topology

METRES = 0.01
GRID = 2.0**-16  # metres; positions on a coarse binary grid compress to half
SMALLEST = 2e-3  # cm; smaller displacements are cut to nothing


def build_mannequin(seed: int = 0) -> Topology:
    """Build the whole mannequin in about half a minute; the same seed gives the same arrays.

    Returns:
        Topology: metres, Y up, looking to +Z, origin between the ears; `arkit.CONTROL_NAMES` as blendshapes.
    """
    return head_topology(build_head(seed))


def head_topology(head: Head) -> Topology:
    """The topology of a head: its shapes, identities, regions and colours, in metres."""
    sculptor = Sculptor(head)
    shapes = {name: head.ride(field) for name, field in (jaw_shapes(sculptor) | lip_shapes(sculptor)).items()}
    carry_jaw(head, shapes)
    shapes |= tongue_shapes(head) | eye_shapes(sculptor)
    deltas = np.stack([shapes[name] for name in CONTROL_NAMES])
    deltas[np.abs(deltas).max(2) < SMALLEST] = 0.0
    heads = {name: _on_grid(vertices * METRES) for name, vertices in templates(head).items()}
    return Topology(
        name="mannequin",
        faces=head.faces.astype(np.int32),
        num_vertices=len(head.vertices),
        regions=MappingProxyType(regions(head)),
        unit="m",
        templates=MappingProxyType(heads),
        blendshapes=Blendshapes(CONTROL_NAMES, (deltas * METRES).astype(np.float32)),
        colors=colors(head),
    )


def _on_grid(vertices: np.ndarray) -> np.ndarray:
    return (np.rint(vertices / GRID) * GRID).astype(np.float32)
