"""The code that makes the mannequin: form, rings, mesh, fill, identities, and the asset it leads to. Centimetres."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial import cKDTree

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.mannequin.build import head_topology
from diffspeaker3d.mannequin.fill import BiharmonicFill
from diffspeaker3d.mannequin.form import EYE, EYE_RADIUS, head_distance, onto_skin, skin_along, smooth_min, unit
from diffspeaker3d.mannequin.head import Head, build_head
from diffspeaker3d.mannequin.identities import IDENTITIES, Traits, displacement
from diffspeaker3d.mannequin.mesh import strip
from diffspeaker3d.mannequin.rings import LIP_GAP, eye_rings, mouth_rings
from diffspeaker3d.topology import load_topology


@pytest.fixture(scope="module")
def head() -> Head:
    return build_head()


def test_form_is_symmetric_and_rays_end_on_it():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 3)) * 8
    assert np.allclose(head_distance(points), head_distance(points * [-1, 1, 1]), atol=1e-12)
    skin = skin_along(unit(rng.normal(size=(50, 3)) * [1, 0.5, 1]))
    assert np.abs(head_distance(skin)).max() < 1e-3
    assert np.abs(head_distance(onto_skin(skin + 0.1 * rng.normal(size=skin.shape)))).max() < 5e-3


def test_smooth_min_is_min_away_from_the_seam():
    a, b = np.array([0.0, 5.0, 1.0]), np.array([5.0, 0.0, 1.0])
    assert np.allclose(smooth_min(a, b, 1.0), [0.0, 0.0, 0.75])


def test_rings_close_the_lips_and_clear_the_eyeball():
    contact = mouth_rings()["lip_contact"]
    gap = np.linalg.norm(contact - contact[::-1], axis=1)
    assert gap.max() == pytest.approx(LIP_GAP, abs=1e-3)
    for name, ring in eye_rings().items():
        inside = np.linalg.norm(ring - EYE, axis=1) < EYE_RADIUS + 0.03
        assert inside.any() == (name == "lid_back"), name


def test_strip_has_one_winding():
    faces = strip(np.arange(5), np.arange(5, 10), closed=True)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert len(faces) == 10 and len(np.unique(edges, axis=0)) == 30


def test_fill_keeps_what_is_held_and_reproduces_constants(head: Head):
    fill = BiharmonicFill(head.skin.vertices, head.skin.faces)
    held = np.arange(0, len(head.skin.vertices), 40)
    field = fill(held, np.tile([1.0, -2.0, 0.5], (len(held), 1)))
    assert np.allclose(field, [1.0, -2.0, 0.5], atol=0.02)
    values = np.random.default_rng(1).normal(size=(len(held), 3))
    assert np.allclose(fill(held, values)[held], values)


def test_every_trait_moves_the_head_but_never_deforms_an_eye(head: Head):
    ball, edge = head.pieces["eye_left"], head.skin.rings["lid_edge"]
    for trait in dataclasses.fields(Traits):
        move = displacement(head, Traits(**{trait.name: 1.0}))
        assert np.linalg.norm(move, axis=1).max() > 0.1, trait.name
        assert np.ptp(move[ball], axis=0).max() < 1e-9, trait.name
        assert np.abs(move[edge] - move[ball[0]]).max() < 1e-9, trait.name
    assert np.abs(displacement(head, IDENTITIES["neutral"])).max() == 0


def test_code_still_makes_the_shipped_asset(head: Head):
    """Within tolerance: other builds of the linear algebra may differ in the last digits, and in a few triangles."""
    built, shipped = head_topology(head), load_topology()
    assert tuple(built.templates) == tuple(shipped.templates)
    assert set(built.regions) == set(shipped.regions)
    assert built.blendshapes.names == shipped.blendshapes.names == CONTROL_NAMES
    assert built.num_vertices == pytest.approx(shipped.num_vertices, rel=0.01)
    for name in ("neutral", "amara"):
        away = cKDTree(built.template(name)).query(shipped.template(name))[0]
        assert np.median(away) < 1e-4 and away.max() < 4e-3
    strength = np.abs(built.blendshapes.deltas).max((1, 2))
    assert np.allclose(strength, np.abs(shipped.blendshapes.deltas).max((1, 2)), rtol=0.03)
