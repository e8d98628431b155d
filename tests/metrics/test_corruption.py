"""What each metric sees: graded damage to a talking face must move it steadily, or not at all where it is said to be blind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from diffspeaker3d import metrics
from diffspeaker3d.topology import Topology

FPS = 30.0
FRAMES = 180
LIPS, UPPER = np.array([0, 1, 2, 3]), np.array([4, 5, 6])
TOPOLOGY = Topology(
    "face",
    np.array([[0, 1, 2], [4, 5, 6]], np.int32),
    8,
    {"lips": LIPS, "upper_face": UPPER, "lip_upper_mid": np.array([0]), "lip_lower_mid": np.array([1])},
)
TEMPLATE = np.zeros((8, 3))
LEVELS = (0.0, 0.25, 0.5, 1.0)


def syllables() -> np.ndarray:
    """Opening between 0 and 1 (T,): half a second each, of unequal size, sharp closures between them."""
    times = np.arange(FRAMES) / FPS
    size = 0.5 + 0.5 * np.cos(1.7 * np.floor(times * 2)) ** 2
    return np.sin(np.pi * 2 * times) ** 2 * size


def face(opening: np.ndarray, upper: np.ndarray) -> np.ndarray:
    vertices = np.repeat(TEMPLATE[None], FRAMES, 0)
    vertices[:, 1, 1] = -0.015 * opening
    vertices[:, 2, 1] = vertices[:, 3, 1] = -0.007 * opening
    vertices[:, UPPER, 1] = 0.004 * upper[:, None]
    return vertices


def talking() -> np.ndarray:
    times = np.arange(FRAMES) / FPS
    return face(syllables(), np.sin(2 * np.pi * 0.7 * times) + 1.5)


def amplitude(motion: np.ndarray, level: float) -> np.ndarray:
    return motion * (1 - 0.8 * level)


def lag(motion: np.ndarray, level: float) -> np.ndarray:
    return np.roll(motion, round(6 * level), 0)


def noise(motion: np.ndarray, level: float) -> np.ndarray:
    return motion + 0.002 * level * np.random.default_rng(0).normal(size=motion.shape)


def frozen_upper(motion: np.ndarray, level: float) -> np.ndarray:
    calm = motion.copy()
    calm[:, UPPER] = (1 - level) * motion[:, UPPER] + level * motion[:, UPPER].mean(0)
    return calm


def other_sound(motion: np.ndarray, level: float) -> np.ndarray:
    """A growing share of the seconds shows the motion of other seconds."""
    shuffled = motion.copy()
    count = round(level * 6)
    for second in range(count):
        source = (second + 3) % 6
        shuffled[second * 30 : (second + 1) * 30] = np.roll(motion, 7, 0)[source * 30 : (source + 1) * 30]
    return shuffled


def voice() -> np.ndarray:
    times = np.arange(FRAMES * 16000 // 30) / 16000
    return np.sin(2 * np.pi * 140 * times) * np.sin(np.pi * 2 * times) ** 4


TARGET = talking()
FEATURES = metrics.MotionFeatures.fit([TARGET], num_components=3)
BILABIAL = np.arange(FRAMES) % 15 == 0
VOWEL = np.arange(FRAMES) % 15 == 7
THRESHOLD = metrics.closure_threshold(TEMPLATE, TOPOLOGY)


def opening(motion: np.ndarray) -> np.ndarray:
    return metrics.mouth_opening(motion, TOPOLOGY)


# Lower is better for all; those where higher is better are negated.
METRICS: dict[str, Callable[[np.ndarray], float]] = {
    "LVE": lambda p: metrics.lip_vertex_error(p, TARGET, LIPS),
    "FDD": lambda p: metrics.upper_face_dynamics_deviation(p, TARGET, TEMPLATE, UPPER, absolute=True),
    "MVE": lambda p: metrics.mean_vertex_error(p, TARGET),
    "opening": lambda p: float(np.abs(opening(p) - opening(TARGET)).mean()),
    "MTM": lambda p: metrics.mean_temporal_misalignment(opening(p), opening(TARGET), FPS),
    "closure": lambda p: -metrics.bilabial_closure_recall(opening(p), BILABIAL, THRESHOLD).value,
    "false_closure": lambda p: metrics.false_closure(opening(p), VOWEL, 0.004).value,
    "jitter": lambda p: metrics.jitter(p, FPS),
    "frechet": lambda p: metrics.frechet_distance(FEATURES(TARGET), FEATURES(p)),
    "beats": lambda p: -metrics.beat_alignment(opening(p), voice(), 16000, FPS),
    "diversity": lambda p: metrics.diversity([p, TARGET]),
    "coverage": lambda p: metrics.coverage_error([p], TARGET, LIPS).best,
}  # fmt: skip
CORRUPTIONS = {
    "amplitude": amplitude,
    "lag": lag,
    "noise": noise,
    "frozen_upper": frozen_upper,
    "other_sound": other_sound,
}

# Damage that a metric does not see by its definition; whatever is not listed must grow with the damage.
BLIND: dict[str, set[str]] = {
    "LVE": {"frozen_upper"},
    "FDD": {"lag", "other_sound"},
    "MVE": set(),
    "opening": {"frozen_upper"},
    "DTW": {"frozen_upper"},
    "MTM": {"frozen_upper"},
    "closure": {"amplitude", "frozen_upper"},
    "false_closure": {"frozen_upper", "noise"},  # two millimetres of noise do not close an open mouth
    "jitter": {"amplitude", "lag", "frozen_upper", "other_sound"},  # less motion is less jerk: it only falls
    "frechet": {"lag", "other_sound"},
    "beats": {"amplitude", "frozen_upper"},
    "diversity": set(),
    "coverage": {"frozen_upper"},
}  # fmt: skip


@pytest.mark.parametrize("corruption", CORRUPTIONS)
@pytest.mark.parametrize("metric", METRICS)
def test_damage_is_seen_steadily_or_not_at_all(metric: str, corruption: str) -> None:
    values = np.array([METRICS[metric](CORRUPTIONS[corruption](TARGET, level)) for level in LEVELS])
    span = abs(METRICS[metric](noise(TARGET, 1.0)) - values[0]) + 1e-12  # what full noise does
    if corruption in BLIND[metric]:
        assert values.max() - values[0] < 0.5 * span
    else:
        assert (np.diff(values) >= -1e-9).all() and values[-1] > values[0] + 1e-12
