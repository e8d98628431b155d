"""The shipped mannequin keeps the promises that speech animation relies on. Lengths here are centimetres."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from diffspeaker3d.controls.arkit import CONTROL_NAMES, LIP_OPENERS
from diffspeaker3d.topology import ASSETS, load_topology

HEAD = load_topology()
NEUTRAL = HEAD.template() * 100
PEOPLE = tuple(HEAD.templates)
LANDMARKS = (
    "lip_upper_mid",
    "lip_lower_mid",
    "lip_corner_left",
    "lip_corner_right",
    "nose_tip",
    "nose_bridge",
    "chin",
    "eye_left_outer",
    "eye_left_inner",
    "eye_right_inner",
    "eye_right_outer",
    "ear_left",
    "ear_right",
)
AREAS = (
    "lips",
    "mouth",
    "lower_face",
    "upper_face",
    "lids",
    "brows",
    "eyes",
    "jaw",
    "teeth",
    "tongue",
    "inner_mouth",
    "skin",
    "neck",
    "interior",
)
MOUTH_SHAPES = tuple(n for n in CONTROL_NAMES if n.startswith(("mouth", "jaw", "cheek", "nose", "tongue")))


def posed(weights: dict[str, float], person: str = "neutral") -> np.ndarray:
    row = np.zeros(len(CONTROL_NAMES), np.float32)
    for name, value in weights.items():
        for full in (name,) if name in CONTROL_NAMES else (f"{name}Left", f"{name}Right"):
            row[CONTROL_NAMES.index(full)] = value
    return 100 * (HEAD.template(person) + HEAD.blendshapes.displacements(row))


def contact_pairs() -> np.ndarray:
    """Upper and lower vertices that touch in the neutral face: same x, a fifth of a millimetre apart."""
    lips = HEAD.region("lips")
    pairs = np.array(sorted(cKDTree(NEUTRAL[lips]).query_pairs(0.025)))
    pairs = lips[pairs]
    return pairs[np.abs(NEUTRAL[pairs[:, 0], 0] - NEUTRAL[pairs[:, 1], 0]) < 1e-4]


def widest_gap(vertices: np.ndarray) -> float:
    a, b = contact_pairs().T
    return float(np.linalg.norm(vertices[a] - vertices[b], axis=1).max())


def opening(vertices: np.ndarray) -> float:
    return float(np.linalg.norm(vertices[HEAD.region("lip_upper_mid")] - vertices[HEAD.region("lip_lower_mid")]))


def normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    flat = np.cross(b - a, c - a)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)


def surface(vertices: np.ndarray, faces: np.ndarray, steps: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Dense points on triangles and their normals."""
    grid = np.array([[i, j, steps - i - j] for i in range(steps + 1) for j in range(steps + 1 - i)]) / steps
    points = np.einsum("kb,fbj->fkj", grid, vertices[faces]).reshape(-1, 3)
    return points, np.repeat(normals(vertices, faces), len(grid), 0)


def test_names_units_and_size():
    assert HEAD.blendshapes.names == CONTROL_NAMES
    assert HEAD.unit == "m" and 6000 < HEAD.num_vertices < 8000
    assert len(PEOPLE) >= 12 and PEOPLE[0] == "neutral"
    assert HEAD.colors.shape == (HEAD.num_vertices, 3)
    assert (ASSETS / "mannequin.npz").stat().st_size < 1.2e6
    assert 0.2 < np.ptp(NEUTRAL[:, 1]) / 100 < 0.35
    for name in LANDMARKS:
        assert len(HEAD.region(name)) == 1
    for name in AREAS:
        assert len(HEAD.region(name)) > 20


def test_faces_front_and_left_is_positive_x():
    nose, left = NEUTRAL[HEAD.region("nose_tip")[0]], NEUTRAL[HEAD.region("eye_left_outer")[0]]
    assert nose[2] == pytest.approx(NEUTRAL[:, 2].max(), abs=0.4)
    assert left[0] > 3 and NEUTRAL[HEAD.region("ear_left")[0], 0] > 5
    assert NEUTRAL[HEAD.region("chin")[0], 1] < NEUTRAL[HEAD.region("lip_lower_mid")[0], 1] < nose[1] < left[1]


def test_surface_is_clean():
    faces = HEAD.faces
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert np.unique(edges, axis=0, return_counts=True)[1].max() == 2
    assert len(np.unique(directed, axis=0)) == len(directed), "two faces run along an edge in the same direction"
    a, b, c = (NEUTRAL[faces[:, k]] for k in range(3))
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).min() > 1e-7
    assert len(np.unique(faces)) == HEAD.num_vertices


def test_mirror_symmetry():
    for person in PEOPLE:
        vertices = HEAD.template(person)
        distance, _ = cKDTree(vertices).query(vertices * [-1, 1, 1])
        assert distance.max() < 1e-7
    twin = cKDTree(NEUTRAL).query(NEUTRAL * [-1, 1, 1])[1]
    known = {tuple(sorted(face)) for face in HEAD.faces.tolist()}
    assert {tuple(sorted(face)) for face in twin[HEAD.faces].tolist()} == known
    for k, name in enumerate(CONTROL_NAMES):
        other = name.replace("Left", "#").replace("Right", "Left").replace("#", "Right")
        mirrored = HEAD.blendshapes.deltas[k][twin] * [-1, 1, 1]
        assert np.abs(mirrored - HEAD.blendshapes.deltas[CONTROL_NAMES.index(other)]).max() < 2e-6, name


def test_every_shape_is_visible():
    reach = np.linalg.norm(HEAD.blendshapes.deltas, axis=2).max(1) * 100
    assert reach.min() > 0.15, CONTROL_NAMES[reach.argmin()]
    for name in ("browDownLeft", "browInnerUp", "browOuterUpRight"):
        assert np.linalg.norm(posed({name: 1}) - NEUTRAL, axis=1)[HEAD.region("brows")].max() > 0.2


def test_identities_differ():
    for i, one in enumerate(PEOPLE):
        for other in PEOPLE[:i]:
            apart = np.linalg.norm(HEAD.template(one) - HEAD.template(other), axis=1)[HEAD.region("skin")] * 100
            assert apart.max() > 0.3, (one, other)


@pytest.mark.parametrize("person", PEOPLE)
def test_closed_lips_stay_sealed(person: str):
    assert len(contact_pairs()) == 29
    assert widest_gap(posed({}, person)) <= 0.02
    for jaw in (0.15, 0.3, 0.6, 1.0):
        assert opening(posed({"jawOpen": jaw}, person)) > 3 * jaw
        assert widest_gap(posed({"jawOpen": jaw, "mouthClose": jaw}, person)) <= 0.021


def test_only_openers_part_the_lips():
    for name in MOUTH_SHAPES:
        gap = widest_gap(posed({name: 1}))
        if name in ("mouthFunnel", "jawOpen", "mouthUpperUpLeft", "mouthLowerDownRight"):
            assert gap > 0.3, name
        elif name not in LIP_OPENERS and name != "mouthClose":
            assert gap <= 0.021, name
    everything = {n: 1.0 for n in MOUTH_SHAPES if n not in LIP_OPENERS}
    assert widest_gap(posed(everything)) <= 0.03


def test_lower_lip_meets_the_upper_teeth():
    vertices = posed({"mouthRollLower": 0.8, "jawOpen": 0.1})
    teeth = HEAD.faces[np.isin(HEAD.faces, HEAD.region("teeth_upper")).all(1)]
    points, _ = surface(vertices, teeth)
    distance, _ = cKDTree(points).query(vertices[np.union1d(HEAD.region("lip_lower"), HEAD.region("inner_mouth"))])
    assert distance.min() < 0.1


@pytest.mark.parametrize("person", PEOPLE)
def test_eyeballs_stay_behind_the_lids(person: str):
    lids = HEAD.region("lids")
    # The back of the rim is meant to lie inside the eyeball: leave out what starts there.
    for side, sign in (("left", 1), ("right", -1)):
        ball = HEAD.template(person)[HEAD.region(f"eye_{side}")].astype(float) * 100
        fit = np.linalg.lstsq(np.c_[2 * ball, np.ones(len(ball))], (ball**2).sum(1), rcond=None)[0]
        centre, radius = fit[:3], np.sqrt(fit[3] + (fit[:3] ** 2).sum())
        rest = np.linalg.norm(posed({}, person) - centre, axis=1)
        outside = lids[(rest[lids] > radius) & (np.sign(HEAD.template(person)[lids, 0]) == sign)]
        faces = HEAD.faces[np.isin(HEAD.faces, outside).all(1)]
        assert len(faces) > 250
        for blink in (0, 0.25, 0.5, 0.75, 1):
            for down in (0, 0.5, 1):
                points, _ = surface(posed({"eyeBlink": blink, "eyeLookDown": down}, person), faces, 2)
                assert np.linalg.norm(points - centre, axis=1).min() > radius, (blink, down)
        for name in ("eyeWide", "eyeSquint", "eyeLookUp", "cheekSquint"):
            points, _ = surface(posed({name: 1}, person), faces, 2)
            assert np.linalg.norm(points - centre, axis=1).min() > radius, name


def test_blink_closes_the_eye():
    """Seen from the front no eyeball is left: the lower edge of the upper lid has come down to the lower lid."""
    left = HEAD.region("lids")[NEUTRAL[HEAD.region("lids"), 0] > 0]
    faces = HEAD.faces[np.isin(HEAD.faces, left).all(1)]
    points, _ = surface(posed({"eyeBlink": 1}), faces, 8)
    tree = cKDTree(points[:, :2])
    ball = NEUTRAL[HEAD.region("eye_left")]
    open_ = cKDTree(surface(NEUTRAL, faces, 8)[0][:, :2]).query(ball[:, :2])[0]
    seen = ball[:, 2] > ball[:, 2].max() - 0.3
    assert open_[seen].max() > 0.3
    assert tree.query(ball[seen, :2])[0].max() < 0.06


def test_gaze_turns_the_eyeball():
    ball = HEAD.region("eye_left")
    pupil = ball[NEUTRAL[ball, 2].argmax()]
    for name, axis, sign in (
        ("eyeLookUpLeft", 1, 1),
        ("eyeLookDownLeft", 1, -1),
        ("eyeLookInLeft", 0, -1),
        ("eyeLookOutLeft", 0, 1),
    ):
        move = (posed({name: 1}) - NEUTRAL)[pupil]
        assert sign * move[axis] > 0.5 and abs(move[1 - axis]) < 1e-3


def test_no_face_turns_over():
    """Outside the corners of eyes and mouth and the hidden mouth bag, no triangle turns by more than 90 degrees."""
    hidden = np.isin(HEAD.faces, HEAD.region("inner_mouth")).any(1)
    corners = np.concatenate([NEUTRAL[HEAD.region(n)] for n in LANDMARKS if "corner" in n or n.startswith("eye")])
    near_corner = cKDTree(corners).query(NEUTRAL[HEAD.faces].mean(1))[0] < 0.45
    faces = HEAD.faces[~hidden & ~near_corner]
    rest = normals(NEUTRAL, faces)
    for name in CONTROL_NAMES:
        weights = {name: 1.0, "jawOpen": 1.0} if name == "mouthClose" else {name: 1.0}
        turned = (rest * normals(posed(weights), faces)).sum(1)
        assert (turned > 0).all(), (name, int((turned <= 0).sum()))
    for person in PEOPLE:
        assert ((rest * normals(posed({}, person), faces)).sum(1) > 0).all(), person


@pytest.mark.parametrize("jaw", [0.0, 0.25, 0.5, 1.0])
def test_teeth_and_tongue_stay_in_the_mouth(jaw: float):
    vertices = posed({"jawOpen": jaw})
    # Without the strip on which the lips lie upon each other: pressed together, its rims look to both sides.
    walls = HEAD.faces[
        np.isin(HEAD.faces, HEAD.region("inner_mouth")).all(1) | np.isin(HEAD.faces, HEAD.region("lips")).all(1)
    ]
    wall, outward = surface(vertices, walls)
    for part in ("teeth_upper", "teeth_lower", "tongue"):
        points, _ = surface(vertices, HEAD.faces[np.isin(HEAD.faces, HEAD.region(part)).all(1)], 3)
        distance, nearest = cKDTree(wall).query(points)
        depth = ((points - wall[nearest]) * outward[nearest]).sum(1)
        assert depth[np.abs(depth) > 0.5 * distance].min(initial=0.0) > -0.02, part


def test_lower_teeth_follow_the_jaw():
    lower, upper = HEAD.region("teeth_lower"), HEAD.region("teeth_upper")
    move = posed({"jawOpen": 1}) - NEUTRAL
    assert move[lower, 1].max() < -1.5 and np.abs(move[upper]).max() < 1e-6
    assert (posed({"tongueOut": 1})[HEAD.region("tongue"), 2].max()) > NEUTRAL[HEAD.region("lips"), 2].max() + 0.5
