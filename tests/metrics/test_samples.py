"""Diversity, coverage and the Fréchet distance against closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffspeaker3d.errors import InputError
from diffspeaker3d.metrics import (
    MotionFeatures,
    coverage_error,
    describe_region,
    diversity,
    frechet_distance,
    region_hash,
)


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    samples = [np.full((3, 2, 3), x) for x in (0.0, 1.0, 3.0)]
    assert diversity(samples) == pytest.approx(np.sqrt(3) * (1 + 3 + 2) / 3)
    assert diversity([samples[0]] * 4) == 0
    with pytest.raises(InputError, match="at least two samples, got 1"):
        diversity(samples[:1])


def test_coverage_takes_the_best_the_mean_and_the_mean_face() -> None:
    samples = [np.zeros((3, 2, 3)) for _ in range(2)]
    samples[0][:, 0, 0], samples[1][:, 0, 0] = 1.0, -3.0
    error = coverage_error(samples, np.zeros((3, 2, 3)), np.array([0]))
    assert (error.best, error.mean, error.of_mean) == (1.0, 5.0, 1.0)


def test_frechet_distance_of_gaussians_has_a_closed_form() -> None:
    rng = np.random.default_rng(0)
    clouds = rng.normal(size=(200_000, 3))
    clouds = (clouds - clouds.mean(0)) @ np.linalg.inv(
        np.linalg.cholesky(np.cov(clouds, rowvar=False))
    ).T  # exactly white
    assert frechet_distance(clouds, clouds) == pytest.approx(0, abs=1e-9)
    scaled = clouds * [1, 2, 3] + [0, 0, 5]
    assert frechet_distance(clouds, scaled) == pytest.approx(25 + 0 + 1 + 4, rel=1e-6)
    assert frechet_distance(scaled, clouds) == pytest.approx(frechet_distance(clouds, scaled))
    with pytest.raises(InputError, match="two rows of equal width"):
        frechet_distance(clouds[:1], clouds)


def test_motion_features_are_whitened_positions_and_speeds() -> None:
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(200, 5, 3)).cumsum(0) for _ in range(3)]
    features = MotionFeatures.fit(clips, num_components=4)
    together = np.concatenate([features(c) for c in clips])
    assert together.shape == (3 * 199, 8)
    np.testing.assert_allclose(together.std(0), 1, rtol=1e-6)
    plain = features(clips[0]) * features.scale
    np.testing.assert_allclose(plain[1:, 4:], np.diff(plain[:, :4], axis=0), atol=1e-9)
    with pytest.raises(InputError, match="too few for 16"):
        MotionFeatures.fit([clips[0][:5]])


def test_regions_are_known_by_content(shared: Path) -> None:
    text = (shared / "data" / "biwi" / "lve.txt").read_text()
    indices = np.array([int(x) for x in text.split(",")])
    assert describe_region("lips", indices[::-1]).startswith(
        "BIWI lips (CodeTalker lve.txt): 4996 vertices, sha256 e1e480069d38"
    )
    assert describe_region("lips", indices[1:]).startswith("lips: 4995 vertices")
    assert region_hash(np.array([3, 1, 3])) == region_hash(np.array([1, 3]))
