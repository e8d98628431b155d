"""Similarities: exact from landmarks, found from nothing."""

from __future__ import annotations

import numpy as np
import pytest

from diffspeaker3d.geometry.similarity import find_similarity, fit_similarity
from diffspeaker3d.topology import Topology


def rotation(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def test_landmarks_give_the_exact_similarity() -> None:
    points = np.random.default_rng(1).normal(size=(5, 3))
    turned = 3.7 * points @ rotation(2).T + (1, -2, 3)
    found = fit_similarity(points, turned)
    assert np.allclose(found(points), turned) and found.scale == pytest.approx(3.7)
    assert np.allclose(found.inverse(turned), points)


def test_a_reflection_is_never_returned() -> None:
    points = np.random.default_rng(1).normal(size=(20, 3))
    assert np.linalg.det(fit_similarity(points, points * (-1, 1, 1)).rotation) == pytest.approx(1)


@pytest.mark.parametrize(
    "axes", [np.eye(3), np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]), np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])]
)
def test_unknown_axes_and_scale_are_found(axes: np.ndarray, mannequin: Topology) -> None:
    skin = mannequin.template()[mannequin.region("skin")].astype(float)
    other = mannequin.template("olga")[mannequin.region("skin")].astype(float)
    tilt = np.array([[1, 0, 0], [0, np.cos(0.15), -np.sin(0.15)], [0, np.sin(0.15), np.cos(0.15)]])
    found, left = find_similarity(1000 * other @ (axes @ tilt).T + 50, skin)
    assert found.scale == pytest.approx(0.001, rel=0.1) and left < 0.004
    assert np.trace(found.rotation @ axes @ tilt) > 1 + 2 * np.cos(0.12)  # within seven degrees
