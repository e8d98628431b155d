"""The mannequin's shapes on any head: align, register, carry over; says where it is unsure, refuses what is no head.

head = load_head("scan.obj")                                  # vertices and faces, order kept
fitted = fit_head(head, load_topology())                      # a Topology with 53 shapes
fitted.topology, fitted.report
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.head_file import Head
from diffspeaker3d.geometry.head_file import load_head as load_head
from diffspeaker3d.geometry.similarity import find_similarity, fit_similarity
from diffspeaker3d.geometry.surface import Surface
from diffspeaker3d.heads.fit.eyes import find_eyeball, find_opening
from diffspeaker3d.heads.fit.mouth import Slit, find_slit
from diffspeaker3d.heads.fit.register import register
from diffspeaker3d.heads.fit.transfer import carry, seal, turn_eye
from diffspeaker3d.topology import Blendshapes, Topology

log = logging.getLogger(__name__)

NOT_A_HEAD = 0.006  # metres of trimmed distance left by the alignment; heads leave 2 to 4 mm
LANDMARKS = (
    "nose_tip",
    "chin",
    "nose_bridge",
    "lip_upper_mid",
    "lip_lower_mid",
    "lip_corner_left",
    "lip_corner_right",
    "eye_left_outer",
    "eye_left_inner",
    "eye_right_outer",
    "eye_right_inner",
    "ear_left",
    "ear_right",
)


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A head that can be animated like the mannequin.

    Attributes:
        topology: the head in its own unit, frame and vertex order, with the mannequin's shape names.
        report: figures in millimetres of a head of the mannequin's size, and `unsure`: sentences about what to look at.
    """

    topology: Topology
    report: dict[str, Any] = field(default_factory=dict)


def fit_head(head: Head, mannequin: Topology, landmarks: Mapping[str, int] | None = None) -> FittedHead:
    """Give a head the mannequin's shapes.

    Args:
        head: any vertex count, scale and axes.
        mannequin: topology with shapes, regions and a template.
        landmarks: name of LANDMARKS -> vertex of the head; three or more replace the search for the head's pose, lip
            corners and middles the search for the mouth.

    Raises:
        InputError: not a head, or unknown landmark names.
    """
    given = _check_landmarks(head, landmarks or {})
    template = mannequin.template().astype(np.float64)
    skin_vertices, skin = _skin(mannequin, template)
    outside = np.isin(skin_vertices, np.setdiff1d(mannequin.region("skin"), mannequin.region("inner_mouth")))
    if len(given) >= 3:
        marks = np.stack([template[mannequin.region(name)[0]] for name in given])
        pose = fit_similarity(head.vertices[list(given.values())], marks)
        left = float(np.linalg.norm(pose(head.vertices[list(given.values())]) - marks, axis=1).mean())
    else:
        pose, left = find_similarity(head.vertices, skin.vertices[outside])
        if left > NOT_A_HEAD:
            raise InputError(
                f"{head.name}: does not look like a head ({1000 * left:.1f} mm off at best); give landmarks={{nose_tip: VERTEX, ...}}, or another mesh"
            )
    moved = Surface(pose(head.vertices), head.faces)
    slit = find_slit(moved, template[mannequin.region("mouth")].mean(0))
    anchors = _anchors(
        mannequin, template, skin_vertices, skin, moved, slit, {n: moved.vertices[v] for n, v in given.items()}
    )
    fitted = Surface(register(skin, moved, outside, anchors), skin.faces)
    deltas, trusted = _shapes(mannequin, template, skin_vertices, skin, fitted, moved, slit)
    face = np.isin(skin_vertices, np.concatenate([mannequin.region("lower_face"), mannequin.region("upper_face")]))
    report = _report(fitted, moved, face, trusted, slit, left)
    for sentence in report["unsure"]:
        log.warning("%s: %s", head.name, sentence)
    assert mannequin.blendshapes is not None
    shapes = Blendshapes(mannequin.blendshapes.names, pose.inverse_vectors(deltas).astype(np.float32))
    rest = head.vertices.astype(np.float32)
    topology = Topology(
        head.name, head.faces.astype(np.int32), len(rest), unit=head.unit, templates={"rest": rest}, blendshapes=shapes
    )
    return FittedHead(topology, report)


def _check_landmarks(head: Head, landmarks: Mapping[str, int]) -> dict[str, int]:
    unknown = [name for name in landmarks if name not in LANDMARKS]
    if unknown:
        raise InputError(f"landmarks: {unknown[0]} is not known; known: {', '.join(LANDMARKS)}")
    outside = [name for name, vertex in landmarks.items() if not 0 <= vertex < len(head.vertices)]
    if outside:
        raise InputError(f"landmarks: {outside[0]} names vertex {landmarks[outside[0]]} of {len(head.vertices)}")
    return dict(landmarks)


def _skin(mannequin: Topology, template: np.ndarray) -> tuple[np.ndarray, Surface]:
    """The mannequin's skin with the inner mouth as a mesh of its own, and its vertices' indices in the mannequin."""
    inside = np.zeros(len(template), bool)
    inside[mannequin.region("skin")] = inside[mannequin.region("inner_mouth")] = True
    vertices = np.flatnonzero(inside)
    faces = mannequin.faces[inside[mannequin.faces].all(1)]
    return vertices, Surface(template[vertices], np.searchsorted(vertices, faces))


def _anchors(
    mannequin: Topology,
    template: np.ndarray,
    skin_vertices: np.ndarray,
    skin: Surface,
    head: Surface,
    slit: Slit | None,
    given: dict[str, np.ndarray],
) -> dict[int, np.ndarray]:
    """Vertex of the mannequin's skin -> its point (3,) on the head: lips, lids, and what the user gave, which overrules."""
    basis = mannequin.blendshapes
    assert basis is not None
    pairs: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    mouth = template[mannequin.region("mouth")].mean(0)
    ajar = Surface(skin.vertices + 0.15 * basis.deltas[basis.names.index("jawOpen"), skin_vertices], skin.faces)
    own = find_slit(ajar, mouth)  # its lips are sealed at rest, and only part a little open
    if slit is not None and own is not None:
        here, there = own.landmarks(skin.vertices), slit.landmarks(head.vertices)
        pairs |= {name: (here[name], there[name]) for name in here}
    whole = Surface(template, mannequin.faces)
    for side in ("eye_left", "eye_right"):
        centre = template[mannequin.region(side)].mean(0)
        here, there = find_opening(whole, centre), find_opening(head, centre)
        pairs |= {f"{side}_{end}": (here[end], there[end]) for end in here if end in there}
    pairs |= {name: (template[mannequin.region(name)[0]], point) for name, point in given.items()}
    tree = cKDTree(skin.vertices)
    return {int(tree.query(here)[1]): there for here, there in pairs.values()}


def _shapes(
    mannequin: Topology,
    template: np.ndarray,
    skin_vertices: np.ndarray,
    skin: Surface,
    fitted: Surface,
    head: Surface,
    slit: Slit | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Displacements (K, V, 3) in the mannequin's frame and the vertices (V,) that are sure of theirs."""
    basis = mannequin.blendshapes
    assert basis is not None
    deltas, trusted = carry(basis.deltas[:, skin_vertices].astype(np.float64), skin, fitted, head)
    for side in ("eye_left", "eye_right"):
        eye = mannequin.region(side)
        ball = find_eyeball(head, template[eye].mean(0))
        if ball is not None:
            deltas[:, ball] = turn_eye(basis.deltas[:, eye].astype(np.float64), template[eye], head.vertices[ball])
            trusted[ball] = True
    if slit is not None:
        close, jaw = basis.names.index("mouthClose"), basis.names.index("jawOpen")
        deltas[close] = seal(deltas[jaw], deltas[close], slit, head)
    return deltas, trusted


def _report(
    fitted: Surface, head: Surface, face: np.ndarray, trusted: np.ndarray, slit: Slit | None, left: float
) -> dict[str, Any]:
    """What came out, in millimetres over the face (a scan may lack the skull), and sentences about what deserves a look."""
    residual = 1000 * head.nearest(fitted.vertices[face], fitted.normals[face]).distance
    share = float(trusted.mean())
    unsure = []
    if slit is None:
        unsure.append(
            "no mouth slit was found: the lips may not part; check the mesh, or give landmarks for the lip corners"
        )
    if share < 0.6:
        unsure.append(
            f"only {100 * share:.0f} % of the vertices lie where the mannequin has skin; the others follow their neighbours or stay still"
        )
    if np.median(residual) > 1.5:
        unsure.append(f"the mannequin's skin fits to {np.median(residual):.1f} mm only; give landmarks")
    return {
        "alignment_mm": round(1000 * left, 2), "fit_median_mm": round(float(np.median(residual)), 3),
        "fit_95_percent_mm": round(float(np.percentile(residual, 95)), 3), "trusted_share": round(share, 3),
        "slit_pairs": 0 if slit is None else len(slit.upper), "unsure": unsure,
    }  # fmt: skip
