"""Two alphabets, one set of visemes; labels that follow time."""

import numpy as np
import pytest

from diffspeaker3d.controls.targets import BREATH, GESTURES, TRAIL, load_rules
from diffspeaker3d.speech.phones import VISEMES, VOWELS, Phone, phone_stress, phone_visemes, segments, viseme_frames

# Symbols heard from espeak-ng 1.52 over its English accents, and those of flite and festival.
ESPEAK = [
    "p",
    "b",
    "t",
    "d",
    "k",
    "ɡ",
    "m",
    "n",
    "ŋ",
    "f",
    "v",
    "θ",
    "ð",
    "s",
    "z",
    "ʃ",
    "ʒ",
    "h",
    "l",
    "ɹ",
    "w",
    "j",
    "tʃ",
    "dʒ",
    "ɾ",
    "ʔ",
    "x",
    "ɬ",
    "r",
    "aɪ",
    "aʊ",
    "eɪ",
    "oʊ",
    "əʊ",
    "ɔɪ",
    "iə",
    "eə",
    "ʊə",
    "aɪɚ",
    "aɪə",
    "oːɹ",
    "ɔːɹ",
    "ɑːɹ",
    "ɪɹ",
    "ɛɹ",
    "ʊɹ",
    "əl",
    "ən",
    "æ",
    "aː",
    "a",
    "ɑː",
    "ɑ",
    "ɒ",
    "ɐ",
    "ʌ",
    "ə",
    "ɚ",
    "ɜː",
    "ɝ",
    "ɛ",
    "e",
    "eː",
    "ɪ",
    "ᵻ",
    "i",
    "iː",
    "ʊ",
    "u",
    "uː",
    "ʉː",
    "o",
    "oː",
    "ɔ",
    "ɔː",
    "ɛː",
    "ææ",
    "ˈɛ",
    "ˌʌ",
    "ˈiː",
    "ˈoʊ",
    "ˌaɪ",
    "n̩",
    "l̩",
    "ʍ",
    "ɡʲ",
    "ʰ",
]
ARPABET = [
    "aa",
    "ae",
    "ah",
    "ao",
    "aw",
    "ax",
    "ay",
    "b",
    "ch",
    "d",
    "dh",
    "eh",
    "er",
    "ey",
    "f",
    "g",
    "hh",
    "ih",
    "iy",
    "jh",
    "k",
    "l",
    "m",
    "n",
    "ng",
    "ow",
    "oy",
    "p",
    "pau",
    "r",
    "s",
    "sh",
    "t",
    "th",
    "uh",
    "uw",
    "v",
    "w",
    "y",
    "z",
    "zh",
]


@pytest.mark.parametrize("name", [*ESPEAK, *ARPABET])
def test_every_symbol_has_a_known_viseme(name: str) -> None:
    assert set(phone_visemes(name)) <= set(VISEMES)


def test_alphabets_agree() -> None:
    pairs = "p:p m:m f:f v:v θ:th ð:dh ʃ:sh tʃ:ch dʒ:jh ɹ:r w:w j:y ŋ:ng h:hh iː:iy uː:uw æ:ae ɑː:aa ɔː:ao aɪ:ay oʊ:ow eɪ:ey aʊ:aw ɔɪ:oy ɜː:er"
    for pair in pairs.split():
        ipa, arpabet = pair.split(":")
        assert (
            phone_visemes("ˈ" + ipa) == phone_visemes(ipa) == phone_visemes(arpabet.upper()) == phone_visemes(arpabet)
        )


def test_stress() -> None:
    assert [phone_stress(n) for n in ("ˈæ", "ˌæ", "æ", "AE1", "AE2", "AE0")] == [1, 2, 0, 1, 2, 0]


def test_inventory() -> None:
    assert len(VISEMES) == 24 == len(set(VISEMES)) and VISEMES[0] == "sil" and len(VOWELS) == 11
    targets = load_rules().targets
    assert set(targets) == {*VISEMES, BREATH, TRAIL}
    assert all(set(target.gestures) <= set(GESTURES) for target in targets.values())


def test_diphthongs_split_and_empty_phones_vanish() -> None:
    found = segments([Phone("ˈaɪ", 0.1, 0.3), Phone("t", 0.3, 0.3)])
    assert [(s.viseme, s.start, s.end, s.stress) for s in found] == [("aa", 0.1, 0.2, 1), ("ih", 0.2, 0.3, 1)]


def test_labels_follow_time() -> None:
    labels = viseme_frames([Phone("m", 0.1, 0.2), Phone("ɑː", 0.2, 0.4)], 15, 30.0)
    assert labels.dtype == np.int64
    assert [VISEMES[i] for i in labels] == ["sil"] * 3 + ["PP"] * 3 + ["aa"] * 6 + ["sil"] * 3
    assert viseme_frames([], 0, 30.0).shape == (0,)
    assert not viseme_frames([], 4, 30.0).any()


def test_a_closure_between_frames_is_not_lost() -> None:
    labels = viseme_frames([Phone("a", 0.0, 0.502), Phone("b", 0.502, 0.53), Phone("a", 0.53, 1.0)], 30, 30.0)
    assert labels[15] == VISEMES.index("PP") and (labels == VISEMES.index("PP")).sum() == 1
