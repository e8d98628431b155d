"""What a stranger sees: no inside through closed lips or skin, no pinched lips, eyes that are awake. Centimetres."""

import numpy as np
import pytest

from diffspeaker3d.controls.arkit import CONTROL_NAMES, close_lips
from diffspeaker3d.rendering.camera import look
from diffspeaker3d.rendering.rasteriser import rasterise
from diffspeaker3d.topology import load_topology

HEAD = load_topology()
PEOPLE = tuple(HEAD.templates)
MOUTH_SHAPES = tuple(n for n in CONTROL_NAMES if n.startswith(("mouth", "jaw", "cheek", "nose")))
SEALED = (
    {},
    {"jawOpen": 0.7, "mouthClose": 0.7},
    {"mouthPucker": 1},
    {"mouthSmile": 1, "mouthPress": 0.5},
    {"mouthRollLower": 1, "mouthRollUpper": 0.5},
    {"mouthFrown": 1, "mouthShrugLower": 1},
)
VIEWS = tuple((yaw, pitch) for pitch in (-25.0, 3.0, 30.0) for yaw in (0.0, 20.0, 40.0, 70.0))
SIZE, HALF = 160, 4.5  # pixels of a picture of the mouth, half its width in cm
NEAR = 3.0  # cm: skin farther behind is another part of the head
BAG = np.isin(HEAD.faces, HEAD.region("inner_mouth"))
INSIDE = BAG.all(1) | np.isin(HEAD.faces, np.union1d(HEAD.region("teeth"), HEAD.region("tongue"))).all(1)


def posed(weights: dict[str, float] | np.ndarray, person: str = "neutral") -> np.ndarray:
    row = np.zeros(len(CONTROL_NAMES), np.float32) if isinstance(weights, dict) else weights
    for name, value in weights.items() if isinstance(weights, dict) else ():
        for full in (name,) if name in CONTROL_NAMES else (f"{name}Left", f"{name}Right"):
            row[CONTROL_NAMES.index(full)] = value
    return 100 * (HEAD.template(person) + HEAD.blendshapes.displacements(row))


def seen(vertices: np.ndarray, faces: np.ndarray, view: tuple[float, float]) -> tuple[np.ndarray, ...]:
    """Per pixel around the mouth: the face one sees or -1, its depth in cm (greater is nearer), whether from behind."""
    right, up, towards = look(*view)
    place = ((vertices - vertices[HEAD.region("lips")].mean(0)) * (SIZE / 2 / HALF)).astype(np.float32)
    x, y, near = place @ right + SIZE / 2, SIZE / 2 - place @ up, place @ towards + 20 * SIZE
    found = rasterise(x, y, near, faces, (SIZE, SIZE), cull=False)
    a, b, c = (np.stack([x, y], 1)[faces[:, k]] for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (c - a)[:, 0] * (b - a)[:, 1]
    return found.face, found.nearness * (2 * HALF / SIZE), (found.face >= 0) & (area[found.face] > 0)


@pytest.mark.parametrize("person", PEOPLE)
def test_nothing_is_seen_between_closed_lips(person: str):
    for weights in SEALED:
        vertices = posed(weights, person)
        for view in VIEWS:
            face = seen(vertices, HEAD.faces, view)[0]
            assert not INSIDE[face[face >= 0]].any(), (weights, view)


def through_the_skin(vertices: np.ndarray) -> int:
    """Pixels in which the mouth bag lies in front of skin that faces the viewer, or is seen from its outside."""
    count = 0
    for view in VIEWS:
        face, depth, behind = seen(vertices, HEAD.faces, view)
        bare, skin, away = seen(vertices, HEAD.faces[~BAG.any(1) & ~INSIDE], view)
        bag = (face >= 0) & BAG.all(1)[face]
        count += (bag & (behind | ((bare >= 0) & ~away & (depth - skin < NEAR)))).sum()
    return int(count)


def test_the_mouth_bag_stays_behind_the_skin():
    for name in MOUTH_SHAPES:
        weights = {name: 1.0, "jawOpen": 1.0} if name == "mouthClose" else {name: 1.0}
        assert through_the_skin(posed(weights)) <= 3, name


@pytest.mark.parametrize("person", PEOPLE)
def test_it_stays_there_when_shapes_come_together(person: str):
    generator = np.random.default_rng(PEOPLE.index(person))
    controls = generator.uniform(0, 0.6, len(CONTROL_NAMES)) * (generator.random(len(CONTROL_NAMES)) < 0.2)
    assert through_the_skin(posed(close_lips(controls.astype(np.float32)), person)) <= 6


def test_pucker_and_funnel_pinch_nothing():
    """No edge of the lips collapses or tears, and their middle looks ahead: a nipple or a groove there looks to the sides."""
    lips = HEAD.faces[np.isin(HEAD.faces, HEAD.region("lips")).all(1)]
    edges = np.unique(np.sort(np.concatenate([lips[:, [0, 1]], lips[:, [1, 2]], lips[:, [2, 0]]]), 1), axis=0)
    rest = np.linalg.norm(np.diff(posed({})[edges], axis=1)[:, 0], axis=1)
    for weights in ({"mouthPucker": 1}, {"mouthFunnel": 1}, {"mouthPucker": 0.5, "mouthFunnel": 0.5, "jawOpen": 0.2}):
        vertices = posed(weights)
        stretch = np.linalg.norm(np.diff(vertices[edges], axis=1)[:, 0], axis=1) / rest
        assert stretch.min() > 0.1 and stretch.max() < 4.5, (weights, stretch.min(), stretch.max())
        a, b, c = (vertices[lips[:, k]] for k in range(3))
        normals = np.cross(b - a, c - a)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        sideways = np.abs(normals[np.abs(vertices[lips].mean(1)[:, 0]) < 0.15, 0])
        assert len(sideways) > 8 and sideways.max() < 0.25, (weights, sideways.max())


@pytest.mark.parametrize("person", PEOPLE)
def test_the_eyes_are_awake(person: str):
    """Straight ahead the upper lid covers a millimetre or two of the iris, the lower one touches it."""
    vertices, lids = posed({}, person), HEAD.region("lids")
    ball = vertices[HEAD.region("eye_left")]
    centre = ball[ball[:, 2].argmax()]
    iris = 1.42 * np.sin(0.435)  # where the dark ring ends
    near = vertices[lids[(np.abs(vertices[lids, 0] - centre[0]) < 0.25) & (vertices[lids, 2] > centre[2] - 0.3)]]
    above, below = near[near[:, 1] > centre[1]], near[near[:, 1] < centre[1]]
    covered, touching = iris - (above[:, 1].min() - centre[1]), iris - (centre[1] - below[:, 1].max())
    assert 0.07 < covered < 0.2, covered
    assert -0.05 < touching < 0.1, touching
    assert 0.95 < above[:, 1].min() - below[:, 1].max() < 1.2
