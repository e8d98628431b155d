"""A head file without shapes, given the mannequin's."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

from diffspeaker3d.geometry.gltf import GLTF_SUFFIXES, Gltf, open_gltf, pieces
from diffspeaker3d.geometry.mesh_file import read_mesh
from diffspeaker3d.heads.body import head_vertices
from diffspeaker3d.heads.character_mesh import check_size
from diffspeaker3d.heads.fit import fit_head
from diffspeaker3d.heads.fit.landmarks import Landmark, place_landmarks
from diffspeaker3d.heads.given_shapes import with_shapes
from diffspeaker3d.heads.look import vertex_colors
from diffspeaker3d.topology import Topology

log = logging.getLogger(__name__)


def fit_file(
    path: str | Path, mannequin: Topology, landmarks: Mapping[str, Landmark] | str | None = None
) -> tuple[Topology, Gltf | None]:
    """Fit the mannequin's shapes to the head in a file.

    Args:
        path: any mesh file.
        mannequin: whose shapes are fitted.
        landmarks: points of the head by name, or a YAML or JSON file of them (see `heads.fit.landmarks`).

    Returns:
        tuple: the head with its shapes and colours; and if the file is glTF, the same as that file with the shapes in it.

    Raises:
        InputError: missing or broken file, not a head, or unknown landmarks.
    """
    mesh = read_mesh(path)
    marks = place_landmarks(landmarks, mesh)
    if Path(path).suffix.lower() not in GLTF_SUFFIXES:
        return fit_head(mesh, mannequin, marks).topology, None
    gltf = open_gltf(path)
    check_size(gltf)
    colored = dataclasses.replace(mesh, colors=vertex_colors(gltf, list(pieces(gltf))))
    topology = fit_head(colored, mannequin, marks, head_vertices(gltf)).topology
    topology = dataclasses.replace(topology, unit="m")  # glTF is in metres, whatever the size
    assert topology.blendshapes is not None
    log.info("%s: has no shapes, the mannequin's were fitted to it", path)
    return topology, with_shapes(gltf, topology.blendshapes.names, topology.blendshapes.deltas)
