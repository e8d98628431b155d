"""Augmentation: lengths, labels and levels keep their promises for every kind of change."""

import numpy as np
import pytest

from diffspeaker3d.audio import SAMPLE_RATE
from diffspeaker3d.data.augment import Augmentation

ALL = {
    "clean": 0.0,
    "p_speed": 1.0,
    "p_eq": 1.0,
    "p_room": 1.0,
    "p_band": 1.0,
    "p_noise": 1.0,
    "p_codec": 1.0,
    "p_clip": 1.0,
}
NONE = dict.fromkeys(ALL, 0.0)


@pytest.fixture
def voice() -> np.ndarray:
    """Three seconds of tone bursts."""
    times = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    return (0.4 * np.sin(2 * np.pi * 220 * times) * (np.sin(2 * np.pi * 2 * times) > 0)).astype(np.float32)


def test_everything_at_once_keeps_length_range_and_dtype(voice: np.ndarray) -> None:
    for seed in range(20):
        changed, time_scale = Augmentation(**ALL)(voice, np.random.default_rng(seed), [voice[::-1]])
        assert changed.dtype == np.float32 and len(changed) == round(len(voice) * time_scale)
        assert np.isfinite(changed).all() and np.abs(changed).max() <= 1.0
        assert 1 / 1.26 <= time_scale <= 1 / 0.79


def test_same_seed_same_sound_and_input_untouched(voice: np.ndarray) -> None:
    before = voice.copy()
    first = Augmentation()(voice, np.random.default_rng(3))
    second = Augmentation()(voice, np.random.default_rng(3))
    assert first[1] == second[1] and np.array_equal(first[0], second[0]) and np.array_equal(voice, before)


def test_speed_moves_events_by_the_time_scale() -> None:
    click = np.zeros(2 * SAMPLE_RATE, np.float32)
    click[12_000:12_100] = 0.5
    only_speed = Augmentation(**(NONE | {"p_speed": 1.0}), gain_db=(0.0, 0.0))
    for seed in range(10):
        changed, time_scale = only_speed(click, np.random.default_rng(seed))
        assert abs(time_scale - 1.0) > 1e-4
        heard = np.flatnonzero(np.abs(changed) > 0.25)
        assert abs(heard.mean() / 12_049.5 - time_scale) < 1e-3
        assert changed.max() == pytest.approx(0.5, rel=0.2)


def test_nothing_chosen_is_the_identity(voice: np.ndarray) -> None:
    changed, time_scale = Augmentation(**NONE, gain_db=(0.0, 0.0))(voice, np.random.default_rng(0))
    assert time_scale == 1.0
    np.testing.assert_allclose(changed, voice, atol=1e-5)


def test_clean_share() -> None:
    short = np.full(800, 0.1, np.float32)
    rng = np.random.default_rng(0)
    same = [np.array_equal(Augmentation()(short, rng)[0], short) for _ in range(600)]
    assert 0.24 < np.mean(same) < 0.36


@pytest.mark.parametrize("crowd", [True, False])
def test_noise_has_the_asked_level(voice: np.ndarray, crowd: bool) -> None:
    babble = [np.random.default_rng(9).standard_normal(5_000).astype(np.float32)] if crowd else []
    noisy = Augmentation(**(NONE | {"p_noise": 1.0}), snr_db=(12.0, 12.0), gain_db=(0.0, 0.0))
    for seed in range(6):
        difference = noisy(voice, np.random.default_rng(seed), babble)[0] - voice
        assert 20 * np.log10(np.std(voice) / np.std(difference)) == pytest.approx(12.0, abs=0.5)


def test_a_silent_clip_is_not_given_the_voices_of_others() -> None:
    class Overheard(list[np.ndarray]):
        def __getitem__(self, index):  # type: ignore[no-untyped-def]
            raise AssertionError("a voice of others was read")

    noisy = Augmentation(**(NONE | {"p_noise": 1.0}), gain_db=(0.0, 0.0))
    crowd = Overheard([np.ones(SAMPLE_RATE, np.float32)])
    silence, speech = np.zeros(SAMPLE_RATE, np.float32), np.full(SAMPLE_RATE, 0.1, np.float32)
    for seed in range(12):
        assert noisy(silence, np.random.default_rng(seed), crowd)[0].any()
    with pytest.raises(AssertionError, match="was read"):
        for seed in range(12):
            noisy(speech, np.random.default_rng(seed), crowd)


def test_telephone_band_removes_what_a_line_does_not_carry() -> None:
    hiss = 0.1 * np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE).astype(np.float32)
    line = Augmentation(**(NONE | {"p_band": 1.0}), gain_db=(0.0, 0.0))
    for seed in range(5):
        spectrum = np.abs(np.fft.rfft(line(hiss, np.random.default_rng(seed))[0])) ** 2
        hertz = np.fft.rfftfreq(2 * SAMPLE_RATE, 1 / SAMPLE_RATE)
        assert spectrum[hertz < 20].mean() < 0.01 * spectrum[(hertz > 600) & (hertz < 2500)].mean()


def test_silence_survives() -> None:
    changed, _ = Augmentation(**ALL)(np.zeros(SAMPLE_RATE, np.float32), np.random.default_rng(1))
    assert np.isfinite(changed).all() and np.abs(changed).max() < 0.05
