"""Folders of recordings become a corpus: every layout, every failure named, nothing done twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

from diffspeaker3d.audio import SAMPLE_RATE, resample
from diffspeaker3d.config import CONF_DIR
from diffspeaker3d.controls.arkit import CONTROL_NAMES, close_lips
from diffspeaker3d.data.corpus import Corpus, read_phones
from diffspeaker3d.data.prepared import open_corpus
from diffspeaker3d.data.sources import speech
from diffspeaker3d.data.sources.recordings import Recording, find_recordings, split_recordings
from diffspeaker3d.data.sources.speech import build_speech_corpus
from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.phones import phone_visemes
from diffspeaker3d.speech.synthesis.voices import Prosody, Speakers, Voice

TEXTS = ["My mother bought apples.", "Bob keeps a big map.", "Please pump up the boat."]


@pytest.fixture(scope="module")
def sounds() -> list[np.ndarray]:
    """The three texts, spoken."""
    pytest.importorskip("pocketsphinx")
    spoken = Speakers().speak_all([(text, Voice("flite", "rms"), Prosody(1.0, 1.0, 1.0)) for text in TEXTS])
    if isinstance(spoken[0], InputError):
        pytest.skip(f"no flite here: {spoken[0]}")
    return [resample(s[0], s[1], SAMPLE_RATE) for s in spoken if not isinstance(s, InputError)]


def write(path: Path, sound: np.ndarray, text: str | None, suffix: str = ".txt") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path.with_suffix(".wav"), sound, SAMPLE_RATE)
    if text is not None:
        path.with_suffix(suffix).write_text(text, "utf-8")


@pytest.fixture
def raw(tmp_path, sounds) -> Path:
    """LJSpeech, LibriTTS and plain recordings, one with another's text, one broken, one without text."""
    folder = tmp_path / "raw"
    write(folder / "lj" / "wavs" / "LJ001-0001", sounds[0], None)
    (folder / "lj" / "metadata.csv").write_text(f"LJ001-0001|raw 1 text|{TEXTS[0]}\nLJ001-0002|gone|gone\n", "utf-8")
    write(folder / "84" / "121" / "84_121_000001_000000", sounds[1], TEXTS[1], ".normalized.txt")
    write(folder / "ann" / "boat", sounds[2], TEXTS[2])
    write(folder / "ann" / "swapped", sounds[0], "Nineteen hungry crocodiles waited underneath.")
    write(folder / "ann" / "mute", sounds[0], None)
    (folder / "ann" / "broken.wav").write_bytes(b"RIFF nothing")
    (folder / "ann" / "broken.txt").write_text("hello", "utf-8")
    return folder


def test_layouts_are_recognised(raw):
    found, lacking = find_recordings(raw)
    assert {(r.id, r.text, r.speaker) for r in found} >= {
        ("lj-wavs-LJ001-0001", TEXTS[0], "lj"), ("84-121-84_121_000001_000000", TEXTS[1], "84"), ("ann-boat", TEXTS[2], "ann"),
    }  # fmt: skip
    assert set(lacking) == {"ann/mute.wav", "lj/metadata.csv"} and "no transcript" in lacking["ann/mute.wav"]
    assert lacking["lj/metadata.csv"] == "1 line without a sound in wavs/ or beside it, the first is 'LJ001-0002'"
    with pytest.raises(InputError, match="no such folder"):
        find_recordings(raw / "absent")
    (raw / "empty").mkdir()
    with pytest.raises(InputError, match="not one transcribed recording"):
        find_recordings(raw / "empty")


def test_equal_names_stay_apart_and_hidden_or_foreign_files_out(tmp_path):
    raw = tmp_path / "raw"
    for name in ("a/ann/x.wav", "b/ann/x.wav", "a-ann/x.wav", "b/x.wav", "b/x.flac", "b/._x.wav", ".git/y.wav"):
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(b"sound")
        (raw / name).with_suffix(".txt").write_text(f"says {name}", "utf-8")
    (tmp_path / "else.wav").write_bytes(b"sound")
    (raw / "metadata.csv").write_text(f"{tmp_path}/else.wav|text|text\n../else|text|text\n{'n' * 5000}|t|t\n", "utf-8")
    found, lacking = find_recordings(raw)
    assert len({r.id.casefold() for r in found}) == len(found) == 5
    assert {r.audio.relative_to(raw).as_posix() for r in found} == {
        "a/ann/x.wav", "b/ann/x.wav", "a-ann/x.wav", "b/x.wav", "b/x.flac",
    }  # fmt: skip
    assert all(r.text == f"says {r.audio.relative_to(raw).as_posix()}" for r in found if r.audio.parent.name == "ann")
    assert {r.speaker for r in found if r.audio.parent.name == "ann"} == {"a-ann", "b-ann"}
    assert list(lacking) == ["metadata.csv"] and lacking["metadata.csv"].startswith("3 lines without a sound")


def test_nobody_and_nothing_is_in_two_splits():
    many = [Recording(f"{s}-{i}", Path(), f"text {i % 7}", f"s{s}") for s in range(20) for i in range(5)]
    places = split_recordings(many, 0.1)
    by_speaker = {s: {places[r.id] for r in many if r.speaker == s} for s in {r.speaker for r in many}}
    assert all(len(p) == 1 for p in by_speaker.values())
    assert sorted(p.pop() for p in by_speaker.values()) == ["test"] * 2 + ["train"] * 16 + ["val"] * 2
    few = split_recordings(many[:15], 0.1)
    assert all(len({few[r.id] for r in many[:15] if r.text == text}) == 1 for text in {r.text for r in many[:15]})
    assert set(few.values()) == {"train", "val", "test"}


def test_a_corpus_with_sealed_lips_and_named_failures_that_is_not_made_twice(raw, tmp_path, monkeypatch):
    root = tmp_path / "corpus"
    corpus = build_speech_corpus(raw, root, workers=1)
    assert [c.id for c in corpus.clips] == ["84-121-84_121_000001_000000", "ann-boat", "lj-wavs-LJ001-0001"]
    assert set(corpus.skipped) == {"ann-broken", "ann-swapped", "ann/mute.wav", "lj/metadata.csv"}
    assert "transcript is heard" in corpus.skipped["ann-swapped"] or "not what is said" in corpus.skipped["ann-swapped"]
    assert "train" in {c.split for c in corpus.clips}
    jaw, close = CONTROL_NAMES.index("jawOpen"), CONTROL_NAMES.index("mouthClose")
    closures = 0
    for clip in corpus.clips:
        weights = close_lips(np.asarray(corpus.load_motion(clip), np.float32))
        for phone in read_phones(corpus.phones_path(clip)):
            if phone_visemes(phone.name) == ("PP",):
                frame = round(0.5 * (phone.start + phone.end) * corpus.fps)
                assert weights[frame, close] == pytest.approx(weights[frame, jaw])
                closures += 1
        assert np.isfinite(weights).all() and weights[:, jaw].max() > 0.2
    assert closures == 16

    def refuse(*_):
        raise AssertionError("aligned again")

    monkeypatch.setattr(speech, "_aligned", refuse)
    (raw / "ann" / "swapped.wav").unlink()
    again = build_speech_corpus(raw, root, workers=1)
    assert again.clips == corpus.clips == Corpus.load(root).clips
    faster = build_speech_corpus(raw, root, fps=60.0, workers=1)
    assert all(abs(f.num_frames - 2 * c.num_frames) <= 1 for f, c in zip(faster.clips, corpus.clips, strict=True))


def test_only_a_changed_transcript_is_aligned_again(raw, tmp_path, monkeypatch):
    root, asked, really = tmp_path / "corpus", [], speech._aligned
    monkeypatch.setattr(speech, "_aligned", lambda waveform, text: asked.append(text) or really(waveform, text))
    for name in ("mute", "swapped"):
        (raw / "ann" / f"{name}.txt").write_text(TEXTS[0], "utf-8")
    assert len(build_speech_corpus(raw / "ann", root, workers=1).clips) == 3
    (raw / "ann" / "mute.txt").write_text(TEXTS[0].upper(), "utf-8")
    asked.clear()
    assert len(build_speech_corpus(raw / "ann", root, workers=1).clips) == 3 and asked == [TEXTS[0].upper()]


def test_the_configuration_builds_it_on_first_use(raw, tmp_path):
    dataset = OmegaConf.merge(
        OmegaConf.load(CONF_DIR / "dataset" / "speech.yaml"),
        {"raw": str(raw / "84"), "root": str(tmp_path / "c"), "workers": 1},
    )
    assert len(open_corpus(dataset).clips) == 1
    dataset.raw = None
    assert len(open_corpus(dataset).clips) == 1, "prepared before: no recordings needed"


def test_senseless_requests_are_refused(raw, tmp_path):
    with pytest.raises(InputError, match="same folder"):
        build_speech_corpus(raw, raw)
    with pytest.raises(InputError, match="fps"):
        build_speech_corpus(raw, tmp_path / "x", fps=0.0)
    with pytest.raises(InputError, match="not one usable recording"):
        (raw / "84" / "121" / "84_121_000001_000000.normalized.txt").write_text("…", "utf-8")
        build_speech_corpus(raw / "84", tmp_path / "x", workers=1)
