"""The solver finds known weights fast; the viseme classes tell mouth poses apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.controls.blendshapes import VISEMES, drive, solve, unexplained, visemes
from diffspeaker3d.errors import InputError
from diffspeaker3d.topology import Blendshapes


@pytest.fixture(scope="module")
def local_shapes() -> Blendshapes:
    """52 overlapping local shapes over 5000 points, a centimetre each."""
    generator = np.random.default_rng(0)
    points = generator.normal(size=(5000, 3)) * 0.05
    centres = points[generator.choice(5000, 52, replace=False)]
    falloff = np.exp(-((points[None] - centres[:, None]) ** 2).sum(-1) / 0.04**2)
    directions = generator.normal(size=(52, 1, 3))
    directions *= 0.01 / np.linalg.norm(directions, axis=-1, keepdims=True)
    return Blendshapes(CONTROL_NAMES[:52], (falloff[..., None] * directions).astype(np.float32))


def test_known_weights_come_back_through_noise(local_shapes: Blendshapes) -> None:
    generator = np.random.default_rng(1)
    truth = np.clip(generator.normal(0.2, 0.35, (40, 52)), 0, 1).astype(np.float32)
    noisy = local_shapes.displacements(truth) + generator.normal(size=(40, 5000, 3)).astype(np.float32) * 1e-4
    found = solve(noisy, local_shapes)
    assert np.sqrt(((found - truth) ** 2).mean()) < 0.02
    assert found.min() >= 0 and found.max() <= 1


def test_the_answer_is_the_constrained_minimum(local_shapes: Blendshapes) -> None:
    """KKT: the gradient vanishes at free weights and pushes outward at those on a bound."""
    generator = np.random.default_rng(2)
    target = local_shapes.displacements(generator.normal(0.3, 0.8, (5, 52)))
    found = solve(target, local_shapes).astype(np.float64)
    flat = local_shapes.deltas.reshape(52, -1).astype(np.float64)
    gradient = (found @ flat - target.reshape(5, -1)) @ flat.T / (flat**2).sum(1)
    free = (found > 1e-6) & (found < 1 - 1e-6)
    assert np.abs(gradient[free]).max() < 1e-4
    assert gradient[found <= 1e-6].min() > -1e-4 and gradient[found >= 1 - 1e-6].max() < 1e-4


def test_animations_bring_their_own_shapes(tiny_animation: Animation) -> None:
    # 12 vertices give 36 equations for 53 unknowns: the weights are not unique, the motion is.
    found = solve(tiny_animation)
    again = tiny_animation.topology.blendshapes.displacements(found) + tiny_animation.template  # type: ignore[union-attr]
    assert np.abs(again - np.asarray(tiny_animation.vertices)).max() < 1e-5


def test_wrong_sizes_and_missing_shapes_are_refused(local_shapes: Blendshapes) -> None:
    with pytest.raises(InputError, match="does not fit shapes of 5000"):
        solve(np.zeros((2, 7, 3), np.float32), local_shapes)
    with pytest.raises(InputError, match="no shapes"):
        solve(np.zeros((2, 7, 3), np.float32))


def test_another_head_is_driven_by_names(tiny_animation: Animation) -> None:
    source = tiny_animation.topology
    assert source.blendshapes is not None and tiny_animation.weights is not None
    names = ("hat", "jawOpen", "mouthFunnel")
    deltas = np.random.default_rng(3).normal(size=(3, 12, 3)).astype(np.float32)
    other = dataclasses.replace(source, name="other", blendshapes=Blendshapes(names, deltas))
    found = drive(tiny_animation, other)
    jaw, funnel = (tiny_animation.weights[:, CONTROL_NAMES.index(n)] for n in names[1:])
    expected = found.template + jaw[:, None, None] * deltas[1] + funnel[:, None, None] * deltas[2]
    assert np.allclose(np.asarray(found.vertices), expected, atol=1e-5) and not found.weights[:, 0].any()  # type: ignore[index]
    assert found.waveform is tiny_animation.waveform and found.provenance == tiny_animation.provenance
    solved = dataclasses.replace(
        tiny_animation, weights=None, weight_names=(), vertices=np.asarray(tiny_animation.vertices)
    )
    back = drive(solved, source)
    assert np.abs(np.asarray(back.vertices) - np.asarray(tiny_animation.vertices)).max() < 1e-5
    with pytest.raises(InputError, match="share no blendshape name"):
        drive(tiny_animation, dataclasses.replace(other, blendshapes=Blendshapes(("a", "b", "c"), deltas)))
    with pytest.raises(InputError, match="has no blendshapes"):
        drive(tiny_animation, dataclasses.replace(other, blendshapes=None))


MOUTHS = {
    "sil": {},
    "PP": {"jawOpen": 0.1, "mouthClose": 0.1, "mouthPressLeft": 0.3, "mouthPressRight": 0.3},
    "FF": {"jawOpen": 0.1, "mouthRollLower": 0.75, "mouthUpperUpLeft": 0.25, "mouthUpperUpRight": 0.25},
    "CH": {"jawOpen": 0.1, "mouthFunnel": 0.6, "mouthPucker": 0.3, "tongueUp": 0.5},
    "aa": {"jawOpen": 0.7},
    "E": {"jawOpen": 0.42, "mouthStretchLeft": 0.3, "mouthStretchRight": 0.3},
    "ou": {"jawOpen": 0.14, "mouthPucker": 0.9, "mouthFunnel": 0.1},
    "nn": {"jawOpen": 0.2, "tongueUp": 1.0},
    "TH": {"jawOpen": 0.16, "tongueOut": 0.55, "tongueUp": 0.3},
}


def test_clear_mouths_get_their_class() -> None:
    weights = np.zeros((len(MOUTHS), len(CONTROL_NAMES)), np.float32)
    for row, pose in zip(weights, MOUTHS.values(), strict=True):
        for name, value in pose.items():
            row[CONTROL_NAMES.index(name)] = value
    found = visemes(weights, CONTROL_NAMES)
    assert [VISEMES[k] for k in found.argmax(1)] == list(MOUTHS)
    assert found.shape == (len(MOUTHS), 15) and np.allclose(found.sum(1), 1, atol=1e-6) and found.min() >= 0
    assert found[0, 0] == 1  # a resting face is silence, nothing else


def test_half_a_pose_is_half_silence() -> None:
    weights = np.zeros((1, len(CONTROL_NAMES)), np.float32)
    weights[0, CONTROL_NAMES.index("jawOpen")] = 0.35
    found = dict(zip(VISEMES, visemes(weights, CONTROL_NAMES)[0], strict=True))
    assert 0.3 < found["aa"] < 0.7 and 0.2 < found["sil"] < 0.7


def test_a_head_with_few_classes_uses_those() -> None:
    weights = np.zeros((1, len(CONTROL_NAMES)), np.float32)
    weights[0, CONTROL_NAMES.index("jawOpen")], weights[0, CONTROL_NAMES.index("tongueUp")] = 0.2, 1.0
    found = dict(zip(VISEMES, visemes(weights, CONTROL_NAMES, ("aa", "E", "ih", "oh", "ou"))[0], strict=True))
    assert sum(found[v] for v in ("aa", "E", "ih", "oh", "ou")) > 0.1 and found["nn"] == 0


def test_what_visemes_explain_is_not_done_twice() -> None:
    weights = np.zeros((3, len(CONTROL_NAMES)), np.float32)
    columns = [CONTROL_NAMES.index(n) for n in ("jawOpen", "mouthClose", "mouthPucker", "browInnerUp")]
    weights[:, columns] = [(0.72, 0, 0, 0.5), (0.3, 0.3, 0, 0), (0.14, 0, 0.95, 0)]
    rest = unexplained(weights, CONTROL_NAMES, visemes(weights, CONTROL_NAMES))
    assert rest[:, columns[:3]].max() < 0.08 and rest[0, columns[3]] == 0.5
    nothing = np.zeros((3, 15))
    kept = unexplained(weights, CONTROL_NAMES, nothing)
    assert np.allclose(kept[:, columns[0]], [0.72, 0, 0.14], atol=1e-6) and np.allclose(kept[2], weights[2], atol=1e-6)
