"""A transcript seals p b m, brings the lip to the teeth in f v, parts open vowels, and leaves the rest alone."""

from __future__ import annotations

import numpy as np
import pytest

from diffspeaker3d.controls.arkit import CONTROL_NAMES, close_lips
from diffspeaker3d.controls.lipsync import SHUT, TEETH_ROLL, LipRule, follow_heard, guide_controls
from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.phones import VISEMES, Phone
from diffspeaker3d.speech.transcript import read_transcript

FPS = 30.0
CLOSE, JAW, ROLL = (CONTROL_NAMES.index(n) for n in ("mouthClose", "jawOpen", "mouthRollLower"))


def controls(closure: float, jaw: float = 0.5, frames: int = 30) -> np.ndarray:
    motion = np.random.default_rng(0).uniform(0.0, 0.3, (frames, len(CONTROL_NAMES))).astype(np.float32)
    motion[:, CLOSE], motion[:, JAW] = closure, jaw
    return motion


def test_nothing_to_say_changes_nothing():
    motion = controls(0.3)
    for phones in ([], [Phone("sil", 0.0, 1.0)], [Phone("s", 0.2, 0.4), Phone("uw1", 0.4, 0.6)]):
        assert np.array_equal(guide_controls(motion, phones, FPS), motion)


@pytest.mark.parametrize("name", ["p", "b", "m", "M", "ˈm"])
@pytest.mark.parametrize("length", [0.004, 0.03, 0.12])
def test_lips_are_sealed_in_every_bilabial_however_short(name, length):
    motion = controls(-0.1)
    kept = motion.copy()
    guided = guide_controls(motion, [Phone(name, 0.51, 0.51 + length)], FPS)
    weights = close_lips(guided)
    inside = np.flatnonzero((np.arange(30) / FPS >= 0.51) & (np.arange(30) / FPS <= 0.51 + length))
    middle = round((0.51 + 0.5 * length) * FPS)
    for frame in {middle, *inside.tolist()}:
        assert weights[frame, CLOSE] == weights[frame, JAW] and weights[frame, JAW] <= 0.2
    far = np.abs(np.arange(30) / FPS - 0.51) > 0.2
    assert np.array_equal(guided[far], motion[far])
    untouched = [i for i in range(len(CONTROL_NAMES)) if i not in (CLOSE, JAW)]
    assert np.array_equal(guided[:, untouched], motion[:, untouched]) and np.array_equal(motion, kept)


def test_the_lip_meets_the_teeth_in_f_without_becoming_a_p():
    guided = guide_controls(controls(1.2), [Phone("f", 0.4, 0.5)], FPS)
    assert guided[12:16, CONTROL_NAMES.index("mouthFunnel")].max() <= 0.15 + 1e-6
    assert (guided[12:16, ROLL] >= TEETH_ROLL - 1e-6).all() and (guided[12:16, CLOSE] <= 0.6 + 1e-6).all()


def test_open_vowels_are_open_between_two_closures():
    phones = [Phone("p", 0.2, 0.3), Phone("ah1", 0.3, 0.4), Phone("p", 0.4, 0.5), Phone("iy", 0.5, 0.6)]
    guided = guide_controls(controls(1.2), phones, FPS)
    assert guided[[7, 13], CLOSE].min() >= 1.0 and guided[10:12, CLOSE].min() < 0.1
    assert guided[17, CLOSE] == np.float32(1.2), "a close vowel is the model's affair"


def test_an_open_vowel_drops_a_jaw_that_stayed_shut_and_leaves_one_that_did_not():
    vowel = [Phone("aa1", 0.3, 0.6)]
    shut, open_wide = (
        guide_controls(controls(1.1, jaw=0.0), vowel, FPS),
        guide_controls(controls(0.0, jaw=0.7), vowel, FPS),
    )
    assert shut[12:15, JAW].min() > 0.2 and shut[:9, JAW].max() == 0.0
    assert (open_wide[:, JAW] == np.float32(0.7)).all()


def test_controls_may_stand_in_any_order_or_be_absent():
    motion, phones = controls(0.0), [Phone("p", 0.2, 0.3), Phone("f", 0.5, 0.6)]
    order = np.random.default_rng(1).permutation(len(CONTROL_NAMES))
    shuffled = guide_controls(motion[:, order], phones, FPS, tuple(CONTROL_NAMES[i] for i in order))
    assert np.array_equal(shuffled, guide_controls(motion, phones, FPS)[:, order])
    few = guide_controls(motion[:, [JAW, CLOSE]], phones, FPS, ("jawOpen", "mouthClose"))
    assert np.array_equal(few, guide_controls(motion, phones, FPS)[:, [JAW, CLOSE]])


def test_motion_stays_smooth():
    fine = guide_controls(controls(0.0, frames=240), [Phone("m", 0.5, 0.6)], 240.0)
    assert np.abs(np.diff(fine[:, CLOSE])).max() < 1.25 * 1.6 / (0.035 * 240.0)


def test_transcripts_come_as_words_or_as_a_file(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfHello there.")
    assert (
        read_transcript("Hello there.")
        == read_transcript(tmp_path / "a.txt")
        == read_transcript(str(tmp_path / "a.txt"))
    )
    with pytest.raises(InputError, match=r"b\.txt: cannot be read"):
        read_transcript(str(tmp_path / "b.txt"))
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="not UTF-8"):
        read_transcript(tmp_path / "c.txt")


RULE = LipRule(temperature=1.0, low=0.2, high=0.5)


def heard(frames: int = 30, **likely: tuple[int, int, float]) -> np.ndarray:
    """Probabilities (T, 24): a vowel everywhere, but (first, stop, p) of the named visemes."""
    visemes = np.zeros((frames, len(VISEMES)))
    for name, (first, stop, p) in likely.items():
        visemes[first:stop, VISEMES.index(name)] = p
    visemes[:, VISEMES.index("eh")] = 1.0 - visemes.sum(1)
    return visemes


def apart(motion: np.ndarray) -> np.ndarray:
    return motion[:, JAW] * (1.0 - np.clip(motion[:, CLOSE], 0.0, 1.0))


def test_heard_bilabials_seal_as_far_as_they_are_sure() -> None:
    """Nothing below `low`, a seal at `high`, between them a part of it that grows with the probability."""
    motion = controls(-0.05)
    least = []
    for p in (0.1, 0.2, 0.3, 0.4, 0.5, 0.9):
        followed = follow_heard(motion, heard(PP=(14, 16, p)), FPS, RULE)
        least.append(float(apart(followed)[14:16].min()))
    assert least[0] == 0.5 and least == sorted(least, reverse=True)
    assert SHUT < least[2] < 0.5 and least[4] == least[5] == 0.0


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0])
def test_lips_meet_and_part_with_a_persons_speed(fps: float) -> None:
    """They begin before the sound, never fall from over four millimetres (of 36) to nothing within 1/30 s."""
    motion = controls(-0.05, jaw=0.6, frames=60)
    followed = follow_heard(motion, heard(60, PP=(30, 33, 1.0)), fps, RULE)
    gap = apart(followed)
    assert (gap[30:33] < SHUT).all() and gap[29] < 0.6 and gap[33] < 0.6
    before = gap[:-1][gap[1:] < SHUT]
    assert (before <= 4.0 / 36.0 * 30.0 / fps + 1e-6).all()
    free = np.r_[0 : 30 - int(0.1 * fps) - 1, 33 + int(0.1 * fps) : 60]
    np.testing.assert_allclose(gap[free], 0.6, atol=1e-5)


def test_a_calibrated_head_is_less_sure() -> None:
    """Dividing logits by two takes the square root of the odds: .8 against .2 becomes two thirds."""
    motion, surer = controls(-0.05), LipRule(temperature=1.0, low=0.6, high=0.8)
    visemes = heard(PP=(14, 16, 0.8))
    cooler = follow_heard(motion, visemes, FPS, LipRule(temperature=2.0, low=0.6, high=0.8))
    assert apart(follow_heard(motion, visemes, FPS, surer))[14] == 0.0
    assert apart(cooler)[14] == pytest.approx(0.5 * (1 - 1.25 * (2 / 3 - 0.6) / 0.2), abs=1e-5)


def test_everything_but_the_lips_is_the_models_own() -> None:
    motion = controls(0.3)
    followed = follow_heard(motion, heard(PP=(3, 9, 0.7), sil=(20, 30, 0.9)), FPS, RULE)
    others = [i for i in range(len(CONTROL_NAMES)) if i not in (CLOSE, JAW)]
    assert np.array_equal(followed[:, others], motion[:, others]) and followed.dtype == np.float32
    assert len(follow_heard(motion[:0], heard(0), FPS, RULE)) == 0
