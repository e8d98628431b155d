"""The text: enough of it, kept apart, and rich in lips."""

import re

import numpy as np

from diffspeaker3d.data.sources.synthetic.sentences import nonsense, sentences, shuffled_words


def test_our_sentences_are_many_and_disjoint() -> None:
    parts = [sentences(split) for split in ("train", "val", "test")]
    everything = [line for part in parts for line in part]
    assert len(everything) == len(set(everything)) >= 400
    assert all(len(part) >= 40 for part in parts)
    assert all(re.fullmatch(r"[A-Z][A-Za-z' ,;.!?-]+[.!?]", line) for line in everything)


def test_nonsense_is_rich_in_labials_and_rounding() -> None:
    rng = np.random.default_rng(0)
    text = " ".join(nonsense(rng) for _ in range(300)).lower()
    syllables = len(re.findall(r"[aeiou]+", text))
    assert len(re.findall("[bpm]", text)) > 0.3 * syllables
    assert len(re.findall("[fv]", text)) > 0.12 * syllables
    assert len(re.findall("oo|oh|aw|oy|ow|w|sh|ch", text)) > 0.4 * syllables


def test_shuffled_words_stay_in_their_split() -> None:
    rng = np.random.default_rng(1)
    known = {w.lower() for line in sentences("val") for w in re.findall(r"[A-Za-z]+", line)}
    for _ in range(20):
        assert {w.lower() for w in re.findall(r"[A-Za-z]+", shuffled_words(rng, "val"))} <= known
