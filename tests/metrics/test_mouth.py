"""The mouth over time, against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from diffspeaker3d.errors import InputError
from diffspeaker3d.metrics import (
    Rate,
    Share,
    beat_alignment,
    bilabial_closure_recall,
    closure_threshold,
    false_closure,
    lip_speeds,
    mean_temporal_misalignment,
    mouth_opening,
    other_speech,
    wrong_closures,
)
from diffspeaker3d.metrics.mouth import dtw_path
from diffspeaker3d.topology import Topology

FPS = 30.0


def mouth(unit: str = "m") -> Topology:
    regions = {"lip_upper_mid": np.array([0]), "lip_lower_mid": np.array([1])}
    return Topology("mouth", np.array([[0, 1, 2]], np.int32), 3, regions, unit)


def opened(opening: np.ndarray) -> np.ndarray:
    """A three-vertex face whose lips are `opening` apart."""
    vertices = np.zeros((len(opening), 3, 3))
    vertices[:, 0, 1] = opening
    return vertices


def test_opening_is_in_metres_whatever_the_unit() -> None:
    vertices = opened(np.array([0.0, 3.0, 5.0]))
    vertices[:, 0, 2] = 4.0
    assert mouth_opening(vertices, mouth()).tolist() == [4.0, 5.0, np.hypot(5, 4)]
    np.testing.assert_allclose(mouth_opening(vertices, mouth("mm")), [0.004, 0.005, np.hypot(5, 4) / 1000])
    with pytest.raises(InputError, match="has no region 'lip_upper_mid'"):
        mouth_opening(vertices, Topology("bare", np.array([[0, 1, 2]], np.int32), 3))


def test_the_cheapest_path_is_found() -> None:
    a, b = np.array([0.0, 1, 2, 2, 0]), np.array([0.0, 0, 1, 2, 0])
    path = dtw_path(np.abs(a[:, None] - b))
    assert path.tolist() == [[0, 0], [0, 1], [1, 2], [2, 3], [3, 3], [4, 4]]


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_misalignment_tells_the_lag_in_milliseconds(lag: int) -> None:
    times = np.arange(120)
    opening = 5 + np.sin(2 * np.pi * times / 24) * np.exp(-(((times - 60) / 30) ** 2))
    late = 5 + np.sin(2 * np.pi * (times - lag) / 24) * np.exp(-(((times - lag - 60) / 30) ** 2))
    assert mean_temporal_misalignment(late, opening, FPS) == pytest.approx(lag / FPS * 1000, abs=8)
    assert np.isnan(mean_temporal_misalignment(late, np.ones(120), FPS))


def test_every_bilabial_counts_once_and_may_come_a_frame_late() -> None:
    #                    m  m           p        b  (late)       m (never)
    bilabial = np.array([1, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1], bool)
    opening = np.array([9, 0, 9, 9, 9, 0, 9, 9, 9, 0, 9, 9, 9, 9, 9.0])
    assert bilabial_closure_recall(opening, bilabial, 0.5) == Share(3, 4)
    assert Share(3, 4).plus(Share(0, 1)).value == 0.6 and np.isnan(Share(0, 0).value)


def test_false_closures_are_vowels_with_closed_lips() -> None:
    opening = np.array([0, 0, 1, 2, 0.4])
    assert false_closure(opening, np.array([0, 1, 1, 1, 1], bool), 0.5) == Share(2, 4)


def test_other_speech_keeps_away_from_pauses_and_bilabials() -> None:
    silent, bilabial = np.zeros(40, bool), np.zeros(40, bool)
    silent[:5], bilabial[20:22] = True, True
    found = np.flatnonzero(other_speech(bilabial, silent, FPS))
    assert found.tolist() == [*range(8, 18), *range(24, 40)]
    assert other_speech(bilabial[:1], silent[:1], FPS).tolist() == [False]
    assert len(other_speech(bilabial[:0], silent[:0], FPS)) == 0


def test_wrong_closures_are_whole_closures_where_nothing_closes_lips() -> None:
    """Two of them: one frame, and three. The one that goes on into other frames is their own, but its frames count."""
    opening = np.array([9, 0, 9, 0, 0, 0, 9, 9, 0, 0, 9.0])
    elsewhere = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0], bool)
    share, rate = wrong_closures(opening, elsewhere, 10.0, 0.5)
    assert share == Share(5, 9) and rate == Rate(2, 0.9)
    assert rate.plus(Rate(1, 0.1)).value == pytest.approx(3.0) and np.isnan(Rate(0, 0.0).value)
    assert wrong_closures(np.ones(3), np.ones(3, bool), 10.0, 0.5)[1].events == 0


def test_lip_speeds_are_the_steepest_steps_around_a_seal() -> None:
    opening = np.array([9, 9, 8, 6, 2, 0, 0, 1, 5, 9, 9, 0, 9.0])
    bilabial = np.zeros(13, bool)
    bilabial[5:7] = True
    assert lip_speeds(opening, bilabial, 30.0, 0.5).tolist() == [[4 * 30, 4 * 30]]
    assert lip_speeds(opening, ~bilabial & False, 30.0, 0.5).shape == (0, 2)


def test_the_threshold_lies_half_a_millimetre_above_the_neutral_lips() -> None:
    assert closure_threshold(opened(np.array([0.002]))[0], mouth()) == pytest.approx(0.0025)
    assert closure_threshold(opened(np.array([2.0]))[0], mouth("mm")) == pytest.approx(0.0025)
    assert closure_threshold(opened(np.array([2.0]))[0], mouth("unit area")) == pytest.approx(2.004)


def test_beats_align_when_the_mouth_opens_on_the_syllables() -> None:
    seconds = np.arange(3 * 16000) / 16000
    voice = np.sin(2 * np.pi * 150 * seconds) * np.sin(np.pi * 2 * seconds) ** 4  # a syllable every half second
    frames = np.arange(90) / FPS
    on, off = np.sin(np.pi * 2 * frames) ** 2, np.cos(np.pi * 2 * frames) ** 2
    assert beat_alignment(on, voice, 16000, FPS) > 0.97
    assert beat_alignment(off, voice, 16000, FPS) < 0.1
    assert beat_alignment(on * 0, voice, 16000, FPS) == 0 and np.isnan(beat_alignment(on, voice * 0, 16000, FPS))
