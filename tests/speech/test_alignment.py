"""Forced alignment: texts as they are spoken, words nobody lists, and phones where the sound has them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from diffspeaker3d.audio import SAMPLE_RATE, load_audio, resample
from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.alignment import Alignment, align, spoken_words, transcribe
from diffspeaker3d.speech.alignment.pauses import levels, pieces
from diffspeaker3d.speech.alignment.pronunciation import letters_to_sounds, pronounce
from diffspeaker3d.speech.phones import phone_visemes
from diffspeaker3d.speech.synthesis.voices import Prosody, Speakers, Voice

SENTENCE = "Please bring the big brown map from the bedroom, and put both apples in my bag."
LABIALS = {"p", "b", "m"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("We can’t -- really? WELL-KNOWN!", "we can't really well known"),
        (
            "It cost $3.50 in 1984, i.e. 25% of 1,250,000.",
            "it cost three dollars fifty in nineteen eighty four that is twenty five percent of one million two hundred fifty thousand",
        ),
        ("Dr. Who [laughs] of the U.S.A. on the 21st", "doctor who of the u s a on the twenty first"),
        (
            "the 1980s, 007 & 3.14, 1905, 2000",
            "the nineteen eighties zero zero seven and three point one four nineteen oh five two thousand",
        ),
        ("Café naïve", "cafe naive"),
        ("東京 …", ""),
    ],
)
def test_a_written_text_becomes_the_words_that_are_spoken(text, words):
    assert spoken_words(text) == words.split()


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("blimpy", "B L IH M P IY"),
        ("vub", "V AH B"),
        ("phome", "F OW M"),
        ("btw", "B IY T IY D AH B AH L Y UW"),
        ("knobbed", "N AA B D"),
        ("quax", "K W AE K S"),
        ("bomb", "B AA M"),
    ],
)
def test_unknown_words_keep_their_consonants(word, phones):
    assert letters_to_sounds(word) == phones


def test_known_words_with_endings_are_not_guessed():
    known = {"blick": "B L IH K", "thunder": "TH AH N D ER", "bird": "B ER D", "boss": "B AO S"}.get
    assert pronounce("blick's", known) == "B L IH K S"
    assert pronounce("boss's", known) == "B AO S IH Z"
    assert pronounce("thunderbird", known) == "TH AH N D ER B ER D"


def test_pieces_cover_the_recording_and_are_cut_where_it_is_quiet():
    rng = np.random.default_rng(0)
    waveform = rng.normal(0.0, 0.1, 40 * SAMPLE_RATE)
    silences = [(8.0, 8.4), (16.0, 17.0), (27.0, 27.5)]
    for start, end in silences:
        waveform[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] *= 1e-3
    found = pieces(waveform, 20.0)
    assert found[0][0] == 0.0 and found[-1][1] == 40.0 and all(a[1] == b[0] for a, b in itertools.pairwise(found))
    assert max(end - start for start, end in found) <= 20.0
    cuts = [end for _, end in found[:-1]]
    assert cuts[0] == pytest.approx(16.5, abs=0.02) and all(any(a <= cut <= b for a, b in silences) for cut in cuts)


@pytest.fixture(scope="module")
def spoken() -> tuple[np.ndarray, list]:
    """A sentence by flite's rms (a human's statistics), with the phones that it made it from."""
    pytest.importorskip("pocketsphinx")
    result = Speakers().speak_all([(SENTENCE, Voice("flite", "rms"), Prosody(1.0, 1.0, 1.0))])[0]
    if isinstance(result, InputError):
        pytest.skip(f"no flite here: {result}")
    samples, rate, phones = result
    return resample(samples, rate, SAMPLE_RATE), phones


@pytest.fixture(scope="module")
def aligned(spoken) -> Alignment:
    return align(spoken[0], SENTENCE)


def labials(phones) -> list:
    return [p for p in phones if phone_visemes(p.name) == ("PP",)]


def test_lip_closures_are_found_where_the_voice_made_them(spoken, aligned):
    true, found = labials(spoken[1]), labials(aligned.phones)
    assert [p.name for p in found] == [p.name for p in true] and len(true) == 14
    error = np.array([0.5 * (f.start + f.end - t.start - t.end) for f, t in zip(found, true, strict=True)])
    assert np.median(abs(error)) < 0.015 and abs(error).max() < 0.05 and abs(np.median(error)) < 0.010


def test_phones_cover_the_sound_without_overlap(spoken, aligned):
    assert aligned.notes == () and aligned.score > -16.0
    assert aligned.phones[0].start == 0.0 and aligned.phones[-1].end == pytest.approx(len(spoken[0]) / SAMPLE_RATE)
    assert all(
        a.end == pytest.approx(b.start) and a.end > a.start
        for a, b in zip(aligned.phones, aligned.phones[1:], strict=False)
    )
    assert [w.name for w in aligned.words] == spoken_words(SENTENCE)
    assert {p.name[-1] for p in aligned.phones} >= {"1"}, "stressed vowels are marked"


def test_the_same_sound_is_aligned_the_same_whatever_came_before(spoken, aligned):
    align(spoken[0][: 2 * SAMPLE_RATE], "please bring the big brown")
    assert align(spoken[0], SENTENCE) == aligned


@pytest.mark.parametrize("where", ["middle", "end"])
def test_words_nobody_said_are_left_out_and_named(spoken, aligned, where):
    text = SENTENCE.replace("brown", "brown vegetarian") if where == "middle" else SENTENCE + " vegetarian"
    found = align(spoken[0], text)
    assert len(found.notes) == 1 and "vegetarian" in found.notes[0]
    assert [p.name for p in labials(found.phones)] == [p.name for p in labials(aligned.phones)]


def test_long_recordings_are_aligned_piece_by_piece(spoken, aligned):
    gap = np.zeros(SAMPLE_RATE // 2, np.float32)
    repeats, step = 7, (len(spoken[0]) + len(gap)) / SAMPLE_RATE
    found = align(
        np.concatenate([part for _ in range(repeats) for part in (spoken[0], gap)]), " ".join([SENTENCE] * repeats)
    )
    assert found.notes == () and len(found.words) == repeats * len(aligned.words)
    start = np.array([w.start for w in found.words]).reshape(repeats, -1) - step * np.arange(repeats)[:, None]
    error = np.abs(start - [w.start for w in aligned.words])
    assert error.max() < 0.12 and np.median(error) < 0.011


def test_what_cannot_be_aligned_says_so(spoken):
    with pytest.raises(InputError, match="no English words"):
        align(spoken[0], "…")
    with pytest.raises(InputError, match="too short"):
        align(spoken[0][:100], "please")
    with pytest.raises(InputError, match="no words were recognised"):
        transcribe(np.zeros(SAMPLE_RATE, np.float32))
    with pytest.raises(InputError, match="not what is said"):
        align(np.zeros(SAMPLE_RATE, np.float32), "please")


@pytest.mark.parametrize(("name", "drop"), [("a", 5.0), ("b", 6.0), ("c", 12.0), ("d", 2.0)])
def test_on_real_recordings_closures_lie_in_the_dips_of_the_energy(shared, name, drop):
    pytest.importorskip("pocketsphinx")
    stem = shared / "data" / "speech" / f"speech_{name}"
    waveform, text = load_audio(stem.with_suffix(".wav")), stem.with_suffix(".txt").read_text("utf-8")
    found, level = align(waveform, text), levels(waveform)
    assert len(found.words) >= len(text.split()) - 1
    stops = [level[int(p.start * 100) : int(p.end * 100) + 1].min() for p in found.phones if p.name in ("p", "b")]
    vowels = [level[int(50 * (p.start + p.end))] for p in found.phones if p.name[0] in "aeiou"]
    assert np.median(vowels) - np.median(stops) > drop
