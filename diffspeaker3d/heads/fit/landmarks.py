"""Points of a head that the user names, where the search for them fails: `landmarks={nose_tip: 1201}` or `landmarks=points.yaml`.

nose_tip: 1201                    # a vertex, counted from 0 in the file's order
chin: [0.0, 1.52, 0.11]           # or a point near it, in the file's own unit and axes (of glTF: metres in its scene)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml
from scipy.spatial import cKDTree

from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.gltf.reader import read_regular
from diffspeaker3d.geometry.mesh_file import Mesh

LARGEST_FILE = 100_000  # bytes
FARTHEST = 0.1  # of the mesh's size, between a point and the nearest vertex
NAMES = (
    "nose_tip", "chin", "nose_bridge", "lip_upper_mid", "lip_lower_mid", "lip_corner_left", "lip_corner_right",
    "eye_left_outer", "eye_left_inner", "eye_right_outer", "eye_right_inner", "ear_left", "ear_right",
)  # fmt: skip
Landmark = int | Sequence[float]


def place_landmarks(given: Mapping[str, Landmark] | str | None, mesh: Mesh) -> dict[str, int]:
    """Vertices of a mesh by landmark name; left and right are the person's own.

    Args:
        given: vertex numbers or points by name, or the file that holds them, or None.
        mesh: whose.

    Raises:
        InputError: an unknown name, a vertex or point that the mesh does not have, or a file that is no list of such.
    """
    if given is None:
        return {}
    where = f"landmarks={given}" if isinstance(given, str) else "landmarks"
    if isinstance(given, str):
        given = _read(given)
    unknown = [str(name) for name in given if name not in NAMES]
    if unknown:
        raise InputError(f"{where}: {unknown[0][:40]} is not known; known: {', '.join(NAMES)}")
    return {name: _vertex(where, name, value, mesh) for name, value in given.items()}


def _vertex(where: str, name: str, value: Landmark, mesh: Mesh) -> int:
    if isinstance(value, int):
        if not 0 <= value < len(mesh.vertices):
            raise InputError(f"{where}: {name} names vertex {value} of {len(mesh.vertices)}")
        return value
    sound = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3
    if not sound or not all(isinstance(x, int | float) and np.isfinite(x) for x in value):
        raise InputError(f"{where}: {name} must be a vertex number or a point [x, y, z]")
    distance, vertex = cKDTree(mesh.vertices).query(np.array(value, float))
    if distance > FARTHEST * float(np.ptp(mesh.vertices, axis=0).max()):
        raise InputError(
            f"{where}: {name} lies {distance:.3g} away from the mesh; give it in the file's own unit and axes"
        )
    return int(vertex)


def _read(path: str) -> Mapping[str, Landmark]:
    raw = read_regular(Path(path).expanduser(), LARGEST_FILE)
    try:
        parsed = yaml.safe_load(raw.decode("utf-8-sig"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:80]
        raise InputError(
            f"landmarks={path}: not readable as YAML or JSON ({reason}); write `nose_tip: 1201` lines"
        ) from error
    if not isinstance(parsed, dict):
        raise InputError(f"landmarks={path}: not a list of names; write lines such as `nose_tip: 1201`")
    return parsed
