"""The corpus on disk: valid, deterministic, resumable, growing, with voices, sentences and heads kept apart."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from diffspeaker3d.audio import SAMPLE_RATE, num_motion_frames
from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.controls.style import STYLE_NAMES
from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.data.sources.synthetic.build import build_corpus
from diffspeaker3d.data.sources.synthetic.sentences import sentences
from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.synthesis import voices

pytestmark = pytest.mark.filterwarnings("error")


def rebuild(corpus: Corpus, root: Path, num_clips: int = 8) -> Corpus:
    return build_corpus(root, num_clips=num_clips, seed=5, engines=["espeak"], workers=1, fps=30.0, held_out=0.15)


def test_what_is_written_is_a_corpus(espeak_corpus: Corpus) -> None:
    loaded = Corpus.load(espeak_corpus.root)
    assert loaded == espeak_corpus and len(loaded.clips) == 70 and not loaded.skipped
    assert loaded.motion == "controls" and loaded.styles == STYLE_NAMES
    assert loaded.topology_hash == loaded.topology.hash
    for clip in loaded.clips:
        motion, info = loaded.load_motion(clip), soundfile.info(loaded.audio_path(clip))
        assert motion.shape == (clip.num_frames, len(CONTROL_NAMES)) and motion.dtype == np.float16
        assert (info.samplerate, info.channels, info.subtype, info.frames) == (
            SAMPLE_RATE,
            1,
            "PCM_16",
            clip.num_samples,
        )
        assert clip.num_frames == num_motion_frames(clip.num_samples, SAMPLE_RATE, loaded.fps)
        assert clip.subject in loaded.topology.templates
        with np.load(loaded.phones_path(clip), allow_pickle=False) as phones:
            assert (phones["start"][1:] >= phones["end"][:-1] - 1e-6).all()
            assert phones["end"][-1] == pytest.approx(clip.num_samples / SAMPLE_RATE, abs=0.01)


def test_held_out_voices_sentences_and_heads_are_never_trained(espeak_corpus: Corpus) -> None:
    test, others = espeak_corpus.split("test"), espeak_corpus.split("train", "val")
    assert {c.split for c in espeak_corpus.clips} == {"train", "val", "test"}
    speakers = [{c.id.rpartition("-")[0] for c in clips if not c.sentence.startswith("(")} for clips in (test, others)]
    assert not speakers[0] & speakers[1]
    assert not {c.subject for c in test} & {c.subject for c in others}
    training_text = " ".join(c.sentence for c in espeak_corpus.split("train"))
    assert not any(line in training_text for line in (*sentences("val"), *sentences("test")))
    assert 0.1 < np.mean([not np.any(c.style) for c in espeak_corpus.clips]) < 0.5


def test_a_corpus_grows_and_resumes_to_the_same_bytes(espeak_corpus: Corpus, scratch: Path) -> None:
    small = rebuild(espeak_corpus, scratch)
    assert [c.sha256 for c in small.clips] == [c.sha256 for c in espeak_corpus.clips[:8]]
    manifest = (scratch / "manifest.json").read_bytes()
    small.motion_path(small.clips[2]).unlink()
    small.audio_path(small.clips[4]).write_bytes(b"RIFF torn")
    untouched = small.audio_path(small.clips[0]).stat().st_mtime_ns
    assert rebuild(espeak_corpus, scratch) == small
    (scratch / "manifest.json").write_text("{", "utf-8")
    assert rebuild(espeak_corpus, scratch) == small
    assert (scratch / "manifest.json").read_bytes() == manifest
    assert small.audio_path(small.clips[0]).stat().st_mtime_ns == untouched


def test_asking_for_fewer_clips_keeps_the_rest(espeak_corpus: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    manifest = espeak_corpus.root / "manifest.json"
    before, written = manifest.read_bytes(), manifest.stat().st_mtime_ns
    few = rebuild(espeak_corpus, espeak_corpus.root, 3)
    assert few.clips == espeak_corpus.clips[:3] and few.provenance["num_clips"] == 3
    assert manifest.read_bytes() == before and manifest.stat().st_mtime_ns == written
    assert rebuild(espeak_corpus, espeak_corpus.root, 70) == espeak_corpus
    assert "to make" not in caplog.text, "nothing is planned anew"


def test_other_rules_move_the_same_sounds_anew(
    espeak_corpus: Corpus, scratch: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = rebuild(espeak_corpus, scratch)
    stated = json.loads((scratch / "generator.json").read_text("utf-8"))
    (scratch / "generator.json").write_text(json.dumps(stated | {"motion_version": "of yesterday"}), "utf-8")
    for clip in wanted.clips:
        np.save(wanted.motion_path(clip), np.zeros((clip.num_frames, len(CONTROL_NAMES)), np.float16))
    wanted.phones_path(wanted.clips[1]).write_bytes(b"torn")  # this one has to be spoken again
    made = {wanted.audio_path(clip): wanted.audio_path(clip).stat().st_mtime_ns for clip in wanted.clips}
    assert rebuild(espeak_corpus, scratch) == wanted, "the same bytes as when it is spoken and moved in one go"
    spoken = [path for path, before in made.items() if path.stat().st_mtime_ns != before]
    assert spoken == [wanted.audio_path(wanted.clips[1])] and "made again" in caplog.text
    assert json.loads((scratch / "generator.json").read_text("utf-8")) == stated
    (scratch / "generator.json").write_text("[1", "utf-8")
    with pytest.raises(InputError, match="damaged"):
        rebuild(espeak_corpus, scratch)


def test_another_corpus_is_not_mixed_in(espeak_corpus: Corpus) -> None:
    before = (espeak_corpus.root / "manifest.json").read_bytes()
    with pytest.raises(InputError, match="choose another root"):
        build_corpus(espeak_corpus.root, num_clips=3, seed=6, engines=["espeak"])
    assert (espeak_corpus.root / "manifest.json").read_bytes() == before


def test_a_foreign_manifest_is_not_overwritten(scratch: Path, espeak_corpus: Corpus) -> None:
    scratch.mkdir()
    (scratch / "manifest.json").write_text(json.dumps({"name": "vocaset"}), "utf-8")
    with pytest.raises(InputError, match="another corpus"):
        rebuild(espeak_corpus, scratch)


@pytest.mark.parametrize("arguments", [{"num_clips": 0}, {"num_clips": 1, "fps": 0}, {"num_clips": 1, "held_out": 0.9}])
def test_senseless_numbers(scratch: Path, arguments: dict[str, float]) -> None:
    with pytest.raises(InputError, match="num_clips >= 1"):
        build_corpus(scratch, **arguments)  # type: ignore[arg-type]


def test_engines_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="known: auto, espeak, flite, festival"):
        voices.resolve_engines(["mbrola"])
    monkeypatch.setattr(voices.espeak, "library_paths", lambda: None)
    monkeypatch.setattr(voices.flite, "installed_voices", lambda: ())
    monkeypatch.setattr(voices.festival, "installed_voices", lambda: ())
    with pytest.raises(InputError, match="pip install"):
        voices.resolve_engines("auto")
    with pytest.raises(InputError, match="flite is not installed"):
        voices.resolve_engines(["flite"])
