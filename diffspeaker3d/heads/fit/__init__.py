"""The mannequin's shapes on any head: align, register, carry over; says where it is unsure, refuses what is no head.

fitted = fit_head(read_mesh("scan.obj"), load_topology())     # a Topology with 53 shapes
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
from diffspeaker3d.geometry.mesh_file import Mesh
from diffspeaker3d.geometry.similarity import fit_similarity
from diffspeaker3d.geometry.surface import Surface
from diffspeaker3d.heads.fit.eyes import find_eyeball, find_opening
from diffspeaker3d.heads.fit.landmarks import Landmark, place_landmarks
from diffspeaker3d.heads.fit.mouth import Slit, find_slit
from diffspeaker3d.heads.fit.prepare import close_seams, find_head, turn_outward
from diffspeaker3d.heads.fit.register import register
from diffspeaker3d.heads.fit.transfer import carry, seal, turn_eye
from diffspeaker3d.topology import Blendshapes, Topology

log = logging.getLogger(__name__)

MOST_VERTICES = 400_000  # of a head
BODY, MARGIN = (
    0.10,
    0.03,
)  # metres outside of the mannequin's box: what lies beyond is left out; what lies between stays still
LARGEST_DROP = 1 / 3  # of the head's size, by the jaw
NOT_A_HEAD = 0.006  # metres of trimmed distance left by the alignment; heads leave 2 to 4 mm


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A head that can be animated like the mannequin.

    Attributes:
        topology: the head in its own unit, frame and vertex order, with the mannequin's shape names.
        report: figures in millimetres of a head of the mannequin's size, and `unsure`: sentences about what to look at.
    """

    topology: Topology
    report: dict[str, Any] = field(default_factory=dict)


def fit_head(
    head: Mesh, mannequin: Topology, landmarks: Mapping[str, Landmark] | None = None, known: np.ndarray | None = None
) -> FittedHead:
    """Give a head, alone or on a body, the mannequin's shapes.

    Args:
        head: any vertex count, scale and axes.
        mannequin: topology with shapes, regions and a template.
        landmarks: name -> vertex or point of the head (see `landmarks`); three or more replace the search for the head's pose, lip
            corners and middles the search for the mouth.
        known (array (V,) bool): vertices that belong to the head, where bones say so.

    Raises:
        InputError: not a head, a fit that cannot be right, too many vertices, or unknown landmark names.
    """
    given = place_landmarks(landmarks, head)
    template = mannequin.template().astype(np.float64)
    skin_vertices, skin = _skin(mannequin, template)
    outside = np.isin(skin_vertices, np.setdiff1d(mannequin.region("skin"), mannequin.region("inner_mouth")))
    whole, place = close_seams(head.vertices, head.faces)
    faces, turned = turn_outward(whole)
    if turned:
        log.warning("%s: %d of %d triangles faced inward and were turned", head.name, turned, len(faces))
    if len(given) >= 3:
        marks = np.stack([template[mannequin.region(name)[0]] for name in given])
        pose = fit_similarity(head.vertices[list(given.values())], marks)
        left = float(np.linalg.norm(pose(head.vertices[list(given.values())]) - marks, axis=1).mean())
    else:
        on_head = None if known is None else np.isin(np.arange(len(whole.vertices)), place[known])
        pose, left = find_head(whole.vertices, skin.vertices[outside], on_head, NOT_A_HEAD)
        if left > NOT_A_HEAD:
            raise InputError(
                f"{head.name}: no head was found in it ({1000 * left:.1f} mm off at best); give landmarks={{nose_tip: VERTEX, chin: VERTEX, ...}}, or another mesh"
            )
    placed = pose(whole.vertices)
    away = _beyond(placed, template)
    near = np.flatnonzero(away < BODY)
    if len(near) > MOST_VERTICES:
        raise InputError(f"{head.name}: its head has {len(near)} vertices; reduce the mesh to at most {MOST_VERTICES}")
    moved = _part(Surface(placed, faces), near)
    slit = find_slit(moved, template[mannequin.region("mouth")].mean(0))
    anchors = _anchors(
        mannequin, template, skin_vertices, skin, moved, slit, {n: placed[place[v]] for n, v in given.items()}
    )
    fitted = Surface(register(skin, moved, outside, anchors), skin.faces)
    still = away[near] > MARGIN
    local, trusted = _shapes(mannequin, template, skin_vertices, skin, fitted, moved, slit, still)
    assert mannequin.blendshapes is not None
    names = mannequin.blendshapes.names
    _check_jaw(head.name, local[names.index("jawOpen")], moved.vertices[trusted])
    face = np.isin(skin_vertices, np.concatenate([mannequin.region("lower_face"), mannequin.region("upper_face")]))
    report = _report(fitted, moved, face, trusted, slit, left)
    for sentence in report["unsure"]:
        log.warning("%s: %s", head.name, sentence)
    deltas = np.zeros((len(names), len(placed), 3), np.float32)
    deltas[:, near] = pose.inverse_vectors(local)
    rest = head.vertices.astype(np.float32)
    outward = np.where((faces != whole.faces).any(1)[:, None], head.faces[:, ::-1], head.faces)
    topology = Topology(
        head.name,
        outward.astype(np.int32),
        len(rest),
        unit=head.unit,
        templates={"rest": rest},
        blendshapes=Blendshapes(names, deltas[:, place]),
        colors=head.colors,
    )
    return FittedHead(topology, report)


def _beyond(vertices: np.ndarray, template: np.ndarray) -> np.ndarray:
    """How far (V,) each vertex lies outside of the box that holds the mannequin's head, metres."""
    low, high = template.min(0), template.max(0)
    return np.maximum(np.maximum(low - vertices, vertices - high), 0).max(1)


def _part(surface: Surface, vertices: np.ndarray) -> Surface:
    """The triangles of some vertices (sorted indices) only, as a mesh of its own."""
    inside = np.zeros(len(surface.vertices), bool)
    inside[vertices] = True
    faces = surface.faces[inside[surface.faces].all(1)]
    return Surface(surface.vertices[vertices], np.searchsorted(vertices, faces))


def _check_jaw(name: str, jaw_open: np.ndarray, sure: np.ndarray) -> None:
    """Refuse a fit whose jaw drops further than a third of the part of the mesh that was recognised as a head."""
    dropped = float(np.linalg.norm(jaw_open, axis=1).max())
    size = float(np.ptp(sure, axis=0).max()) if len(sure) else 0.0
    if dropped > size * LARGEST_DROP:
        raise InputError(
            f"{name}: its jaw would move {1000 * dropped:.0f} mm on a head of {1000 * size:.0f} mm, which is wrong; give landmarks={{nose_tip: VERTEX, chin: VERTEX, ...}}"
        )


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
    still: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Displacements (K, V, 3) in the mannequin's frame and the vertices (V,) that are sure of theirs."""
    basis = mannequin.blendshapes
    assert basis is not None
    deltas, trusted = carry(basis.deltas[:, skin_vertices].astype(np.float64), skin, fitted, head, still)
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
