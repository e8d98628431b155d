"""Shapes on other heads: against the truth where there is one, lips that part and seal where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.mesh_file import Mesh, read_mesh
from diffspeaker3d.heads.fit import FittedHead, fit_head
from diffspeaker3d.topology import Blendshapes, Topology


@pytest.fixture(scope="module")
def fitted(stranger: tuple[Mesh, np.ndarray], mannequin: Topology) -> FittedHead:
    return fit_head(stranger[0], mannequin)


def shape(topology: Topology, **weights: float) -> np.ndarray:
    """Displacements (V, 3) of some shapes together, the topology's unit."""
    basis = topology.blendshapes
    assert isinstance(basis, Blendshapes)
    row = np.zeros(len(basis.names), np.float32)
    for name, weight in weights.items():
        row[basis.names.index(name)] = weight
    return basis.displacements(row)


def test_a_known_head_gets_back_what_it_had(
    fitted: FittedHead, stranger: tuple[Mesh, np.ndarray], mannequin: Topology
) -> None:
    head, order = stranger
    visible = np.isin(order, np.setdiff1d(mannequin.region("skin"), mannequin.region("inner_mouth")))
    assert np.array_equal(fitted.topology.faces, head.faces) and fitted.topology.unit == "mm"
    for name in ("jawOpen", "mouthFunnel", "mouthSmileLeft", "mouthPucker"):
        truth = 1000 * shape(mannequin, **{name: 1.0})[order]
        truth = np.stack([truth[:, 0], -truth[:, 2], truth[:, 1]], 1)
        error = np.linalg.norm(shape(fitted.topology, **{name: 1.0}) - truth, axis=1)[visible]
        assert np.sqrt((error**2).mean()) < 0.2 * np.sqrt((np.linalg.norm(truth[visible], axis=1) ** 2).mean()) + 0.1, (
            name
        )


def test_the_report_is_confident_there(fitted: FittedHead) -> None:
    assert fitted.report["fit_median_mm"] < 0.7 and fitted.report["slit_pairs"] > 5 and fitted.report["unsure"] == []


HEADS = {"flame": "flame/FLAME_sample.ply", "biwi": "biwi/BIWI.ply"}


@pytest.mark.parametrize("which", HEADS)
def test_lips_part_and_seal_on_real_heads(which: str, mannequin: Topology, shared: Path) -> None:
    head = read_mesh(shared / "data" / HEADS[which])
    fitted = fit_head(head, mannequin)
    assert fitted.report["unsure"] == [] and fitted.report["fit_median_mm"] < 0.5
    topology = fitted.topology
    rest = topology.template()
    upper, lower = lips(topology)
    millimetres = 220 / np.ptp(rest[:, 1])  # these heads are about 22 cm high

    def gap(**weights: float) -> np.ndarray:
        moved = rest + shape(topology, **weights)
        return cKDTree(moved[lower]).query(moved[upper])[0] * millimetres

    assert np.median(gap(jawOpen=1.0)) > 10
    for opening in (0.1, 0.5, 1.0):  # p, b, m: the jaw may hang as it likes
        left = gap(jawOpen=opening, mouthClose=opening) - gap()
        assert np.quantile(left, 0.9) < 0.35 and left.max() < 0.9  # the worst vertex lies at the corner of the mouth


def lips(topology: Topology) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of upper and lower lip that lie together at rest, found by what the jaw does to them: it parts them."""
    rest, drop = topology.template(), shape(topology, jawOpen=1.0)
    height = np.ptp(rest[:, 1])
    pairs = cKDTree(rest).query_pairs(0.008 * height, output_type="ndarray")
    pairs = pairs[np.linalg.norm(drop[pairs[:, 0]] - drop[pairs[:, 1]], axis=1) > 0.06 * height]
    assert len(pairs) > 10
    first_falls = drop[pairs[:, 0], 1] < drop[pairs[:, 1], 1]
    return np.unique(np.where(first_falls, pairs[:, 1], pairs[:, 0])), np.unique(
        np.where(first_falls, pairs[:, 0], pairs[:, 1])
    )


def test_given_landmarks_replace_the_search(stranger: tuple[Mesh, np.ndarray], mannequin: Topology) -> None:
    head, order = stranger
    place = np.argsort(order)
    names = ("nose_tip", "chin", "lip_corner_left", "lip_corner_right", "eye_left_outer", "eye_right_outer")
    fitted = fit_head(head, mannequin, {name: int(place[mannequin.region(name)[0]]) for name in names})
    assert fitted.report["fit_median_mm"] < 0.7
    with pytest.raises(InputError, match="nose is not known; known: nose_tip, chin"):
        fit_head(head, mannequin, {"nose": 3})
    with pytest.raises(InputError, match="vertex 99999999 of"):
        fit_head(head, mannequin, {"chin": 99_999_999})


def blob(kind: str) -> Mesh:
    """Things that are no heads."""
    trimesh = pytest.importorskip("trimesh")
    mesh = {
        "box": lambda: trimesh.creation.box((1, 0.2, 0.3)).subdivide_loop(4),
        "ring": lambda: trimesh.creation.torus(1.0, 0.2),
    }[kind]()
    return Mesh(kind, np.asarray(mesh.vertices, float), np.asarray(mesh.faces))


@pytest.mark.parametrize("kind", ["box", "ring"])
def test_what_is_no_head_is_refused(kind: str, mannequin: Topology) -> None:
    with pytest.raises(InputError, match="no head was found in it"):
        fit_head(blob(kind), mannequin)
