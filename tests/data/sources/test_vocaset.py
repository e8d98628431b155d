"""VOCASET from both layouts: the same corpus comes out, counted, checked, resumed; damage is named."""

from __future__ import annotations

import errno
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from raw_corpora import (
    SPEC,
    head,
    plan,
    talking,
    templates,
    voice,
    write_mesh,
    write_pickle,
    write_processed,
    write_release,
)

from diffspeaker3d.audio import load_audio
from diffspeaker3d.data.build import JOURNAL, BuildOptions, build_corpus
from diffspeaker3d.data.corpus import Corpus, style_matrix
from diffspeaker3d.data.plan import load_plan
from diffspeaker3d.data.sources.base import Extras
from diffspeaker3d.data.sources.vocaset import open_vocaset
from diffspeaker3d.errors import InputError

OPTIONS = BuildOptions("vocaset", fps=30.0)


def prepare(raw: Path, root: Path, sentences: int = 2, options: BuildOptions = OPTIONS) -> Corpus:
    wanted = plan(sentences)
    return build_corpus(open_vocaset(raw, wanted, Extras(), SPEC), wanted, root, options)


def test_the_split_tables_hold_the_published_counts() -> None:
    vocaset, biwi = load_plan("vocaset"), load_plan("biwi")
    usable = Counter(c.split for c in vocaset.clips if c.id not in vocaset.absent)
    assert usable == vocaset.expected == {"train": 314, "val": 40, "test": 39}
    assert Counter(c.split for c in biwi.clips) == biwi.expected == {"train": 192, "val": 24, "test": 24, "test_b": 32}
    assert len(vocaset.styles) == 8 and len(biwi.styles) == 6 and len(vocaset.absent) == 7
    seen, unseen = (c for c in (vocaset.clips[40], vocaset.clips[-1]))
    assert seen.id == "FaceTalk_170904_00128_TA_sentence01" and seen.style == 1 and unseen.style == [0.125] * 8
    for table in (vocaset, biwi):
        assert len({c.id for c in table.clips}) == len(table.clips), "splits are disjoint"


def test_both_layouts_give_the_same_corpus(tmp_path: Path) -> None:
    write_release(tmp_path / "release", plan(), templates(), head())
    write_processed(tmp_path / "processed", plan(), templates())
    one, two = prepare(tmp_path / "release", tmp_path / "a"), prepare(tmp_path / "processed", tmp_path / "b")
    assert one.clips == two.clips, "hashes, lengths and styles agree"
    corpus = Corpus.load(tmp_path / "a")
    assert corpus == one and not corpus.skipped and corpus.fps == 30.0
    assert corpus.provenance["source_fps"] == 60.0 and corpus.topology.unit == "m"
    for number, clip in enumerate(corpus.clips):
        expected = talking(templates()[clip.subject], 60.0, number)[::2].reshape(30, -1)
        assert np.array_equal(corpus.load_motion(clip), expected), "every second frame, in order, untouched"
        assert clip.num_frames == 30 and clip.num_samples == 16000
        sound = load_audio(corpus.audio_path(clip))
        assert np.sqrt(np.mean(sound**2)) == pytest.approx(12000 / 32768 / np.sqrt(2), rel=0.01)
    assert style_matrix(corpus, corpus.clips)[[0, 2, 4]].tolist() == [[1, 0], [0, 1], [0.5, 0.5]]


def test_what_the_release_lacks_is_listed_and_the_rest_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_processed(tmp_path / "raw", plan(), templates())
    (tmp_path / "raw" / "vertices_npy" / "ann_sentence02.npy").unlink()
    (tmp_path / "raw" / "wav" / "cat_sentence01.wav").unlink()
    with caplog.at_level("INFO"):
        corpus = prepare(tmp_path / "raw", tmp_path / "root")
    assert corpus.skipped == {
        "ann_sentence02": "no vertices_npy/ann_sentence02.npy",
        "cat_sentence01": "no wav/cat_sentence01.wav",
    }
    assert "train: 3 clips of 4 (1 fewer than a complete release)" in caplog.text
    assert "60 fps to 30 fps" in caplog.text and "missing cat_sentence01: no wav/" in caplog.text


def test_ten_kinds_of_damage_give_ten_clear_lines(tmp_path: Path) -> None:
    raw, wanted = tmp_path / "raw", plan(6)
    write_processed(raw, wanted, templates())
    motion, sound = (lambda c: raw / "vertices_npy" / f"{c}.npy"), (lambda c: raw / "wav" / f"{c}.wav")

    def change(clip: str, function: object) -> None:
        np.save(motion(clip), function(np.load(motion(clip))))  # type: ignore[operator]

    def poison(vertices: np.ndarray) -> np.ndarray:
        vertices[6, 5] = np.nan  # every second frame is kept: the fourth of the corpus
        return vertices

    order = np.random.default_rng(0).permutation(162)
    change("ann_sentence01", poison)
    change("ann_sentence02", lambda v: v[:, :-3])
    change("ann_sentence03", lambda v: v[:40])
    change("ann_sentence04", lambda v: v * 1000)
    change("ann_sentence05", lambda v: np.repeat(v[:1], 60, 0))
    change("ann_sentence06", lambda v: v.reshape(60, 162, 3)[:, order].reshape(60, -1))
    soundfile.write(sound("bob_sentence01"), np.zeros(22000), 22000)
    sound("bob_sentence02").write_bytes(b"RIFF nothing")
    motion("bob_sentence03").write_bytes(motion("bob_sentence03").read_bytes()[:5000])
    motion("bob_sentence04").unlink()
    expected = {
        "ann_sentence01": "not a number in frame 3", "ann_sentence02": "wrong vertex count: 161, the topology has 162",
        "ann_sentence03": "length: 1.00 s of sound, 0.67 s of motion",
        "ann_sentence04": "unit: the motion is 1e+03 times the size of its template (millimetres for metres?)",
        "ann_sentence05": "frozen: no vertex moves", "ann_sentence06": "vertex order: edges agree",
        "bob_sentence01": "silent: no sound, but the mouth moves", "bob_sentence02": "not a sound file",
        "bob_sentence03": "not a readable array", "bob_sentence04": "no vertices_npy/bob_sentence04.npy",
    }  # fmt: skip
    corpus = prepare(raw, tmp_path / "root", 6)
    assert corpus.skipped.keys() == expected.keys() and len(corpus.clips) == 8
    for clip, words in expected.items():
        assert words in corpus.skipped[clip] and "\n" not in corpus.skipped[clip], clip


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_processed(tmp_path / "raw", plan(), templates())
    complete = prepare(tmp_path / "raw", tmp_path / "whole")
    wanted = plan()
    source = open_vocaset(tmp_path / "raw", wanted, Extras(), SPEC)
    read: list[str] = []
    original = source.motion

    def killed_at_the_fourth(clip: object) -> np.ndarray:
        read.append(clip.id)  # type: ignore[attr-defined]
        if len(read) == 4:
            raise KeyboardInterrupt
        return original(clip)  # type: ignore[arg-type]

    monkeypatch.setattr(source, "motion", killed_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        build_corpus(source, wanted, tmp_path / "root", OPTIONS)
    assert not (tmp_path / "root" / "manifest.json").exists()
    with (tmp_path / "root" / JOURNAL).open("a") as journal:
        journal.write('{"id": "cut o')  # a kill in the middle of a line
    (tmp_path / "root" / "motion" / "ann_sentence02.npy").write_bytes(b"torn")
    again = build_corpus(source, wanted, tmp_path / "root", OPTIONS)
    assert read[4:] == ["ann_sentence02", "bob_sentence02", "cat_sentence01", "cat_sentence02"]
    assert again.clips == complete.clips
    build_corpus(source, wanted, tmp_path / "root", OPTIONS)
    assert len(read) == 8, "a finished corpus is not read again"
    build_corpus(source, wanted, tmp_path / "root", BuildOptions("vocaset", fps=20.0))
    assert len(read) == 14, "other options prepare anew"


def test_a_full_disk_stops_the_run_and_blames_no_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_processed(tmp_path / "raw", plan(), templates())
    save, saved = np.save, []

    def full_after_two(path: Path, *arguments: object, **options: object) -> None:
        saved.append(path)
        if len(saved) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(path, *arguments, **options)

    monkeypatch.setattr(np, "save", full_after_two)
    with pytest.raises(InputError, match=r"bob_sentence01\.npy: the disk is full"):
        prepare(tmp_path / "raw", tmp_path / "root")
    monkeypatch.undo()
    assert sorted(p.name for p in (tmp_path / "root" / "motion").iterdir()) == [
        "ann_sentence01.npy",
        "ann_sentence02.npy",
    ]
    assert len(prepare(tmp_path / "raw", tmp_path / "root").clips) == 6


def test_a_reordered_template_or_mesh_is_named_as_such(tmp_path: Path) -> None:
    vertices, faces = head()
    order = np.random.default_rng(1).permutation(len(vertices))
    write_processed(tmp_path / "raw", plan(), templates() | {"bob": templates()["bob"][order]})
    with pytest.raises(InputError, match="template bob its vertices are in another order"):
        prepare(tmp_path / "raw", tmp_path / "root")
    write_pickle(tmp_path / "raw" / "templates.pkl", templates())
    write_mesh(tmp_path / "raw" / "templates" / "FLAME_sample.ply", vertices, faces[:, [1, 0, 2]])
    from dataclasses import replace

    from diffspeaker3d.topology import Topology

    pinned = replace(SPEC, hash=Topology("flame", faces, len(vertices)).hash)
    with pytest.raises(InputError, match="in another order than flame"):
        open_vocaset(tmp_path / "raw", plan(), Extras(), pinned)
    write_pickle(tmp_path / "raw" / "templates.pkl", {name: face * 1000 for name, face in templates().items()})
    with pytest.raises(InputError, match=r"no human head \(millimetres for metres\?\)"):
        prepare(tmp_path / "raw", tmp_path / "root")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    with pytest.raises(InputError, match=r"neither vertices_npy/.* nor data_verts.npy, subj_seq_to_idx.pkl"):
        prepare(tmp_path / "raw", tmp_path / "root")
    write_release(tmp_path / "raw", plan(), templates(), head())
    (tmp_path / "raw" / "FLAME_sample.ply").unlink()
    with pytest.raises(InputError, match="the faces of flame are needed: put FLAME_sample"):
        prepare(tmp_path / "raw", tmp_path / "root")
    write_mesh(tmp_path / "FLAME_sample.ply", *head())
    source = open_vocaset(tmp_path / "raw", plan(), Extras(topology=tmp_path / "FLAME_sample.ply"), SPEC)
    with pytest.raises(InputError, match="60 to 25 is no whole-number decimation; choose fps=60"):
        build_corpus(source, plan(), tmp_path / "root", BuildOptions("vocaset", fps=25.0))
    resampled = build_corpus(source, plan(), tmp_path / "root", BuildOptions("vocaset", fps=25.0, resample=True))
    assert {c.num_frames for c in resampled.clips} == {25}


def test_sound_in_wide_integers_keeps_its_level(tmp_path: Path) -> None:
    write_release(tmp_path / "raw", plan(), templates(), head())
    wide = {
        s: {f"sentence{n:02d}": {"audio": voice(22000).astype(np.int64), "sample_rate": 22000} for n in (1, 2)}
        for s in ("ann", "bob", "cat")
    }
    write_pickle(tmp_path / "raw" / "raw_audio_fixed.pkl", wide)
    corpus = prepare(tmp_path / "raw", tmp_path / "root")
    assert np.abs(load_audio(corpus.audio_path(corpus.clips[0]))).max() == pytest.approx(12000 / 32768, rel=0.05)


def test_the_real_flame_mesh_and_regions(shared: Path, tmp_path: Path) -> None:
    """At the true size, with the true faces and region files."""
    from diffspeaker3d.geometry.mesh_file import read_mesh

    flame = shared / "data" / "flame"
    mesh = read_mesh(flame / "FLAME_sample.ply")
    vertices, faces = mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32)
    full = load_plan("vocaset")
    few = type(full)(full.clips[:2] + full.clips[-1:], full.styles, full.expected, full.absent)
    write_release(tmp_path / "raw", few, {c.subject: vertices for c in few.clips}, (vertices, faces))
    extras = Extras(flame / "FLAME_sample.ply", flame)
    corpus = build_corpus(open_vocaset(tmp_path / "raw", few, extras), few, tmp_path / "root", OPTIONS)
    assert [c.id for c in corpus.clips] == [c.id for c in few.clips] and corpus.topology_hash == "5c7f6c2fff95217c"
    sizes = {name: len(indices) for name, indices in corpus.topology.regions.items()}
    assert sizes["lips"] == sizes["lips_selftalk"] == 250 and sizes["lips_facediffuser"] == 428
    assert sizes["upper_face"] == 827 and sizes["upper_face_facediffuser"] == 1501
    manifest = json.loads((tmp_path / "root" / "manifest.json").read_text())
    assert any("FLAME_masks.pkl of selftalk" in line for line in manifest["provenance"]["regions"])
