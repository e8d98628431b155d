"""Losses: hand-made values, indifference to padding, exactness of the Gram factor."""

import numpy as np
import pytest
import torch
from torch import Tensor

from diffspeaker3d.errors import InputError
from diffspeaker3d.losses import ControlLoss, VertexLoss, gram_factor, masked_mean, region_weights, viseme_cross_entropy
from diffspeaker3d.models import ControlMotion, VertexMotion
from diffspeaker3d.topology import Blendshapes, Topology

NAMES = ("jawOpen", "mouthClose", "mouthFunnel", "browInnerUp")
ALL = {"state": 1.0, "state_velocity": 0.5, "vertex": 1.0, "vertex_velocity": 0.5, "viseme": 0.3}


def topology() -> Topology:
    deltas = np.random.default_rng(0).standard_normal((4, 9, 3)).astype(np.float32) * 0.01
    return Topology(
        "nine",
        np.array([[0, 1, 2]], np.int32),
        9,
        regions={"lips": np.array([1, 4], np.int32)},
        blendshapes=Blendshapes(NAMES, deltas),
    )


def states(dim: int, batch: int = 2, length: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(length) < torch.tensor([[length], [7]])
    return (
        torch.randn(batch, length, dim, generator=generator),
        torch.randn(batch, length, dim, generator=generator),
        mask,
    )


def padded(values: Tensor) -> Tensor:
    """Ten more frames of garbage."""
    return torch.cat([values, torch.full((values.shape[0], 10, *values.shape[2:]), 7, dtype=values.dtype)], 1)


def test_masked_mean_counts_real_frames_only() -> None:
    values = torch.tensor([[[1.0], [3.0], [float("nan")]]])
    assert float(masked_mean(values, torch.tensor([[True, True, False]]))) == 2.0


def test_vertex_loss_by_hand() -> None:
    target = torch.zeros(1, 3, 3)
    prediction = torch.zeros(1, 3, 3)
    prediction[0, 1, 0] = 3.0
    mask = torch.tensor([[True, True, True]])
    terms = VertexLoss({"vertex": 1.0, "velocity": 2.0})(prediction, target, mask, VertexMotion(1))
    assert float(terms["vertex"]) == pytest.approx(9 / 9)
    assert float(terms["velocity"]) == pytest.approx(18 / 6)
    assert float(terms["loss"]) == pytest.approx(7.0)


def test_vertex_loss_ignores_padding_and_its_edge() -> None:
    loss, motion = VertexLoss({"vertex": 1.0, "velocity": 1.0}), VertexMotion(9)
    prediction, target, mask = states(27)
    plain = loss(prediction, target, mask, motion)
    garbage = loss(prediction.masked_fill(~mask[..., None], 1e3), target, mask, motion)
    longer = loss(padded(prediction), padded(target), torch.nn.functional.pad(mask, (0, 10)), motion)
    for name, value in plain.items():
        torch.testing.assert_close(garbage[name], value)
        torch.testing.assert_close(longer[name], value)


def test_constant_offset_has_no_velocity() -> None:
    _, target, mask = states(27)
    terms = VertexLoss({"vertex": 1.0, "velocity": 1.0})(target + 0.5, target, mask, VertexMotion(9))
    assert float(terms["velocity"]) == pytest.approx(0.0, abs=1e-9) and float(terms["vertex"]) == pytest.approx(
        0.25, abs=1e-5
    )


def test_regions_weigh_and_keep_the_mean() -> None:
    weights = region_weights(topology(), {"lips": 5.0})
    assert weights.mean() == pytest.approx(1.0) and weights[1] == pytest.approx(5 * weights[0])
    loss = VertexLoss({"vertex": 1.0}, topology(), {"lips": 5.0})
    target, mask = torch.zeros(1, 4, 27), torch.ones(1, 4, dtype=torch.bool)
    errors = []
    for vertex in (0, 1):
        prediction = target.clone()
        prediction[..., 3 * vertex] = 1.0
        errors.append(float(loss(prediction, target, mask, VertexMotion(9))["vertex"]))
    assert errors[1] == pytest.approx(5 * errors[0])
    with pytest.raises(InputError, match="lips"):
        VertexLoss({"vertex": 1.0}, topology(), {"nose": 2.0})


@pytest.mark.parametrize("regions", [{}, {"lips": 4.0}])
def test_gram_factor_is_the_exact_vertex_distance(regions: dict[str, float]) -> None:
    head = topology()
    assert head.blendshapes is not None
    per_vertex = region_weights(head, regions)
    factor = gram_factor(head.blendshapes.deltas, per_vertex)
    w = np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32)
    squared = (head.blendshapes.displacements(w) ** 2).sum(-1)
    want = (squared * per_vertex).sum(-1) / per_vertex.sum()
    got = (torch.from_numpy(w) @ factor.T).square().sum(-1)
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_dependent_shapes_have_a_factor() -> None:
    deltas = np.random.default_rng(0).standard_normal((2, 5, 3))
    factor = gram_factor(np.concatenate([deltas, deltas[:1]]), np.ones(5))
    assert float((factor @ torch.tensor([1.0, 0.0, -1.0])).abs().max()) < 1e-6


def test_control_loss_ignores_padding() -> None:
    loss, motion = ControlLoss(ALL, topology(), NAMES), ControlMotion(NAMES, [0.3, 0.5, 0.1, 0.2], [0.2, 0.5, 0.1, 0.2])
    prediction, target, mask = states(4)
    logits, visemes = states(5)[0], torch.randint(0, 5, (2, 12), generator=torch.Generator().manual_seed(0))
    plain = loss(prediction, target, mask, motion, logits, visemes)
    long_mask = torch.nn.functional.pad(mask, (0, 10))
    longer = loss(padded(prediction), padded(target), long_mask, motion, padded(logits), padded(visemes))
    assert set(plain) == {*ALL, "loss"}
    for name, value in plain.items():
        torch.testing.assert_close(longer[name], value)


def test_vertex_term_is_blind_to_what_moves_nothing() -> None:
    """With sealed lips a larger closure target changes no vertex; the state term still sees it."""
    loss, motion = ControlLoss({"state": 1.0, "vertex": 1.0}, topology(), NAMES), ControlMotion(NAMES)
    target = torch.tensor([[[0.5, 1.2, 0.0, 0.1]]])
    terms = loss(target + torch.tensor([0.0, 0.3, 0.0, 0.0]), target, torch.ones(1, 1, dtype=torch.bool), motion)
    assert float(terms["vertex"]) == 0.0
    assert float(terms["state"]) == pytest.approx(3 * 0.09 / 4, abs=1e-6)  # closure weighted 1 + 2


def test_calibration_makes_velocity_terms_relative() -> None:
    motion = ControlMotion(
        NAMES, [0.3, 0.5, 0.1, 0.2], [0.2, 0.5, 0.1, 0.2], groups={"mouth": NAMES[:3], "brows": NAMES[3:]}
    )
    clips = [
        torch.randn(n, 4, generator=torch.Generator().manual_seed(n)) * torch.tensor([1, 1, 1, 0.01]) for n in (40, 80)
    ]
    loss = ControlLoss(ALL, topology(), NAMES, num_groups=2, closure_weight=0.0)
    loss.calibrate([*clips, clips[0][:1]], motion)  # a clip of one frame has no velocity
    target = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    mask = torch.arange(80) < torch.tensor([[40], [80]])
    terms = loss(torch.zeros_like(target), target, mask, motion)
    assert float(terms["state_velocity"]) == pytest.approx(2.0, rel=0.01)  # one per group, however slow
    assert float(terms["vertex_velocity"]) == pytest.approx(1.0, rel=0.01)
    vertex = VertexLoss({"velocity": 1.0})
    vertex.calibrate([target[1].repeat(1, 3)], VertexMotion(4))
    assert float(vertex.velocity_power) == pytest.approx(float((target[1, 1:] - target[1, :-1]).square().mean()))


def test_a_group_that_counts_less_leaves_the_other_terms_alone() -> None:
    motion = ControlMotion(NAMES, groups={"mouth": NAMES[:3], "brows": NAMES[3:]})
    target, mask = torch.zeros(1, 6, 4), torch.ones(1, 6, dtype=torch.bool)
    moved = target.clone()
    moved[..., 3] = torch.arange(6.0)
    whole, half = (
        ControlLoss(ALL, topology(), NAMES, groups=groups, num_groups=2) for groups in (None, {"brows": 0.5})
    )
    plain, halved = whole(moved, target, mask, motion), half(moved, target, mask, motion)
    for name in ("state", "state_velocity"):
        assert float(halved[name]) == pytest.approx(0.5 * float(plain[name])) and float(plain[name]) > 0
    torch.testing.assert_close(halved["vertex"], plain["vertex"])
    with pytest.raises(InputError, match="unknown motion groups lids; known: mouth, brows"):
        ControlLoss(ALL, topology(), NAMES, groups={"lids": 0.5}, num_groups=2)(moved, target, mask, motion)


def test_viseme_cross_entropy_skips_padding_and_unknown() -> None:
    logits = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, True, True, False]])
    got = viseme_cross_entropy(logits, torch.tensor([[2, -100, 0, 1]]), mask)
    want = -(logits.log_softmax(-1)[0, 0, 2] + logits.log_softmax(-1)[0, 2, 0]) / 2
    torch.testing.assert_close(got, want)


def test_gradients_are_finite_and_unknown_terms_refused() -> None:
    prediction, target, mask = states(4)
    prediction.requires_grad_()
    ControlLoss({"vertex": 1.0, "state": 1.0}, topology(), NAMES)(prediction, target, mask, ControlMotion(NAMES))[
        "loss"
    ].backward()
    assert prediction.grad is not None and prediction.grad.isfinite().all()
    assert prediction.grad[1, 7:].eq(0).all()
    with pytest.raises(InputError, match="known: vertex, velocity"):
        VertexLoss({"lips": 1.0})
    with pytest.raises(InputError, match="lacks the blendshapes tongueUp"):
        ControlLoss(ALL, topology(), (*NAMES, "tongueUp"))
