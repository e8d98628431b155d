"""Baselines recover what they can in principle, and only that."""

from __future__ import annotations

import numpy as np
import pytest

from diffspeaker3d.errors import InputError
from diffspeaker3d.metrics.baselines import (
    CONTEXT_FRAMES,
    Baseline,
    Clip,
    in_context,
    mean_face,
    nearest_neighbour,
    ridge_regression,
)


def clips(count: int = 4) -> list[Clip]:
    """Motion that is a fixed linear function of the sound one frame earlier, plus a constant."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 9)) * 1e-3
    made = []
    for _ in range(count):
        features = rng.normal(size=(80, 6)).astype(np.float32)
        earlier = np.concatenate([features[:1], features[:-1]])
        made.append((features, (earlier @ mixing + 2e-3).astype(np.float32)))
    return made


def error(predict: Baseline, clip: Clip) -> float:
    return float(np.sqrt(np.mean((predict(clip[0]) - clip[1]) ** 2)))


def test_the_mean_face_is_the_mean_whatever_is_heard() -> None:
    data = clips()
    face = mean_face(data)
    np.testing.assert_allclose(
        face(data[0][0][:3]), np.repeat(np.concatenate([m for _, m in data]).mean(0)[None], 3, 0), rtol=1e-5
    )


def test_ridge_finds_a_linear_law_on_unheard_clips() -> None:
    data = clips()
    still = error(mean_face(data[:3]), data[3])
    assert error(ridge_regression(data[:3], strength=1e-6), data[3]) < 0.02 * still
    assert error(ridge_regression(data[:3], strength=1e6), data[3]) == pytest.approx(
        error(mean_face(data[:3]), data[3]), rel=1e-2
    )


def test_the_nearest_neighbour_repeats_what_it_has_heard() -> None:
    data = clips()
    predict = nearest_neighbour(data)
    for features, motion in data:
        np.testing.assert_allclose(predict(features), motion, rtol=1e-3, atol=1e-6)
    few = nearest_neighbour(data, max_frames=50)
    kept = {tuple(row) for row in few(data[0][0]).tolist()}
    assert len(kept) <= 50
    assert nearest_neighbour(data, max_frames=50)(data[1][0]).tolist() == few(data[1][0]).tolist(), "seeded"


def test_context_is_the_neighbouring_frames() -> None:
    rows = in_context(np.arange(10.0)[:, None])
    assert rows[5].tolist() == list(range(5 - CONTEXT_FRAMES, 6 + CONTEXT_FRAMES)) and rows[0, 0] == 0


def test_nothing_to_learn_from_is_said() -> None:
    for fit in (mean_face, nearest_neighbour, ridge_regression):
        with pytest.raises(InputError, match="no training frame"):
            fit([])
