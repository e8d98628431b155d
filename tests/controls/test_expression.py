"""Blinks, gaze and brows: rates and limits of people, independent of the articulation."""

import numpy as np

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.controls.expression import (
    GAZE_DEGREES,
    GAZE_LIMIT_DEGREES,
    LIP_CHANNELS,
    expressions,
)
from diffspeaker3d.controls.style import Manner, draw_style, style_vector
from diffspeaker3d.speech.phones import Phone

FPS = 30.0
K = {name: index for index, name in enumerate(CONTROL_NAMES)}


def blink_onsets(controls: np.ndarray) -> np.ndarray:
    shut = controls[:, K["eyeBlinkLeft"]] > 0.6
    return np.flatnonzero(shut[1:] & ~shut[:-1])


def test_blinks_a_minute_are_those_of_people_talking() -> None:
    rates = [60 * len(blink_onsets(expressions([], 60.0, FPS, seed=s))) / 60 for s in range(20)]
    assert all(9 <= rate <= 33 for rate in rates) and 15 < np.mean(rates) < 26


def test_a_blink_closes_fast_and_opens_slowly() -> None:
    lids = expressions([], 120.0, FPS, seed=1)[:, K["eyeBlinkLeft"]]
    onsets = blink_onsets(expressions([], 120.0, FPS, seed=1))
    assert lids.max() == 1.0 and (lids > 0.9).sum() >= 0.5 * len(onsets)
    rises, falls = np.diff(lids)[np.diff(lids) > 0.1], -np.diff(lids)[np.diff(lids) < -0.1]
    assert np.mean(rises) > 1.3 * np.mean(falls)
    assert (lids > 0.5).mean() < 0.1


def test_blinks_prefer_pauses() -> None:
    phones = [Phone("sil" if k % 4 == 3 else "aa", 0.5 * k, 0.5 * k + 0.5) for k in range(240)]
    near, random = [], []
    for seed in range(5):
        onsets = blink_onsets(expressions(phones, 120.0, FPS, seed=seed)) / FPS
        near.append(np.mean(np.abs((onsets - 1.75 + 1.0) % 2.0 - 1.0) < 0.15))
        random.append(0.15)
    assert np.mean(near) > 1.6 * np.mean(random)


def test_gaze_is_conjugate_and_small() -> None:
    for seed in range(5):
        controls = expressions([], 60.0, FPS, Manner.from_style(style_vector({"gaze_range": 2.0})), seed=seed)
        np.testing.assert_array_equal(controls[:, K["eyeLookOutLeft"]], controls[:, K["eyeLookInRight"]])
        np.testing.assert_array_equal(controls[:, K["eyeLookInLeft"]], controls[:, K["eyeLookOutRight"]])
        across = controls[:, K["eyeLookOutLeft"]] - controls[:, K["eyeLookInLeft"]]
        up = controls[:, K["eyeLookUpLeft"]] - controls[:, K["eyeLookDownLeft"]]
        degrees = GAZE_DEGREES * np.hypot(across, up)
        assert degrees.max() < GAZE_LIMIT_DEGREES + 1.5 and degrees.max() > 3.0
        assert np.median(degrees) < 1.5  # mostly at the listener


def test_brows_rise_on_stress() -> None:
    phones = [Phone("aa1" if k % 6 == 3 else "d", 0.2 * k, 0.2 * k + 0.2) for k in range(300)]
    brows = np.mean([expressions(phones, 60.0, FPS, seed=s)[:, K["browInnerUp"]] for s in range(60)], 0)
    phase = np.arange(len(brows)) % 36
    assert brows[np.abs(phase - 21) < 3].mean() > 1.2 * brows[np.abs((phase - 3 + 18) % 36 - 18) < 3].mean()


def test_seeded_and_silent_about_the_mouth() -> None:
    first, again, other = (expressions([], 5.0, FPS, seed=s) for s in (4, 4, 5))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert not first[:, list(LIP_CHANNELS)].any() and first.min() >= 0.0 and first.max() <= 1.0
    assert expressions([], 0.0, FPS).shape == (0, len(CONTROL_NAMES))


def test_drawn_manners_are_neutral_in_three_of_ten() -> None:
    rng = np.random.default_rng(0)
    styles = np.array([draw_style(rng) for _ in range(2000)])
    assert 0.27 < (~styles.any(1)).mean() < 0.33
    moving = styles[styles.any(1)]
    assert np.abs(styles).max() <= 2.0 and (moving.std(0) > 0.4).all() and (np.abs(moving.mean(0)) < 0.35).all()
