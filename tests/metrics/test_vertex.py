"""LVE, FDD, MVE, jitter and pooling against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffspeaker3d.errors import InputError
from diffspeaker3d.metrics import (
    confidence_interval,
    jitter,
    lip_vertex_error,
    mean_vertex_error,
    pool,
    upper_face_dynamics_deviation,
)

LIPS = np.array([1, 2])
UPPER = np.array([0, 3])


def zeros(frames: int = 2) -> np.ndarray:
    return np.zeros((frames, 4, 3))


def test_lip_vertex_error_is_the_worst_lip_vertex_squared() -> None:
    pred = zeros()
    pred[0, 1], pred[0, 2] = (3, 0, 4), (1, 0, 0)  # squared distances 25 and 1
    pred[1, 2] = (0, 2, 1)  # 5
    pred[:, 0] = 100  # not a lip
    assert lip_vertex_error(pred, zeros(), LIPS) == (25 + 5) / 2


def test_upper_face_dynamics_deviation_is_recorded_minus_predicted_spread() -> None:
    template = np.full((4, 3), 7.0)
    target, pred = zeros(4) + 7, zeros(4) + 7
    target[:, 0, 0] += [0, 2, 0, 2]  # squared displacements 0 4 0 4: std 2
    target[:, 3, 1] += [1, 1, 1, 1]  # std 0
    pred[:, 0, 0] += [0, 1, 0, 1]  # std 0.5
    pred[:, 3, 2] += [0, 3, 0, 3]  # std 4.5
    assert upper_face_dynamics_deviation(pred, target, template, UPPER) == ((2 - 0.5) + (0 - 4.5)) / 2
    assert upper_face_dynamics_deviation(pred, target, template, UPPER, absolute=True) == 1.5


def test_mean_vertex_error_is_a_plain_length() -> None:
    pred = zeros()
    pred[0, 0], pred[1, 3] = (3, 4, 0), (0, 0, 2)
    assert mean_vertex_error(pred, zeros()) == (5 + 2) / 8


def test_jitter_is_the_third_difference_per_second_cubed() -> None:
    times = np.arange(200.0)
    cubic = np.zeros((200, 4, 3))
    cubic[:, 0, 0] = times**3  # third difference 6 everywhere
    assert jitter(cubic, fps=2.0) == pytest.approx(6 * 8 / 4)
    cubic[:, 0, 0] = 5 * times**2 - times
    assert jitter(cubic, fps=2.0) == pytest.approx(0, abs=1e-6)
    assert jitter(cubic[:3], fps=2.0) == 0


def test_pieces_of_long_clips_make_no_difference() -> None:
    rng = np.random.default_rng(0)
    pred, target = rng.normal(size=(2, 300, 4, 3))
    distance = np.linalg.norm(pred - target, axis=-1)
    assert lip_vertex_error(pred, target, LIPS) == pytest.approx((distance[:, LIPS] ** 2).max(1).mean())
    assert mean_vertex_error(pred, target) == pytest.approx(distance.mean())
    spread = [(x[:, UPPER] ** 2).sum(-1).std(0) for x in (target, pred)]
    assert upper_face_dynamics_deviation(pred, target, np.zeros((4, 3)), UPPER) == pytest.approx(
        (spread[0] - spread[1]).mean()
    )
    assert jitter(pred, 1.0) == pytest.approx(np.linalg.norm(np.diff(pred, 3, axis=0), axis=-1).mean())


def test_tensors_give_what_arrays_give() -> None:
    pred, target = torch.randn(2, 9, 4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert lip_vertex_error(pred, target, LIPS) == lip_vertex_error(
        pred.detach().numpy(), target.detach().numpy(), LIPS
    )
    assert isinstance(mean_vertex_error(pred, target), float)


def test_moving_what_is_not_lips_leaves_the_lip_error() -> None:
    rng = np.random.default_rng(0)
    pred, target = rng.normal(size=(2, 5, 4, 3))
    before = lip_vertex_error(pred, target, LIPS)
    pred[:, UPPER] += 10
    assert lip_vertex_error(pred, target, LIPS) == before


def test_unequal_clips_weigh_by_frames_or_alike() -> None:
    assert pool([1.0, 4.0], [30, 10]) == 1.75
    assert pool([1.0, 4.0], [30, 10], "clips") == 2.5
    assert pool([1.0, float("nan"), 4.0], [30, 99, 10]) == 1.75 and np.isnan(pool([float("nan")], [1]))
    with pytest.raises(InputError, match="unknown 'frame'; known: frames, clips"):
        pool([1.0], [1], "frame")


def test_the_confidence_interval_is_that_of_the_mean() -> None:
    mean, half = confidence_interval([1.0, 2.0, 3.0, 4.0])
    assert mean == 2.5 and half == pytest.approx(1.96 * np.sqrt(5 / 3) / 2)
    assert confidence_interval([2.0])[0] == 2.0 and np.isnan(confidence_interval([2.0])[1])


def test_unequal_shapes_are_refused() -> None:
    with pytest.raises(InputError, match=r"prediction \(3, 4, 3\) and target \(2, 4, 3\)"):
        lip_vertex_error(zeros(3), zeros(2), LIPS)
    with pytest.raises(InputError, match="region lips is empty"):
        lip_vertex_error(zeros(), zeros(), LIPS[:0])
