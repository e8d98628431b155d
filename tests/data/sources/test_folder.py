"""Anyone's own recordings: every accepted form of motion gives the same clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from raw_corpora import head, talking, templates, voice, write_mesh, write_obj

from diffspeaker3d.data.build import BuildOptions, build_corpus
from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.data.sources.folder import open_folder
from diffspeaker3d.errors import InputError

DESCRIPTION = """\
name: studio
fps: 60
unit: mm
templates: {ann: ann.ply, bob: meshes/bob.obj}
regions: {lips: lips.txt}
splits: {val: [ann_last], train: ["ann_*", bob_1]}
"""


def write_folder(raw: Path, description: str = DESCRIPTION) -> None:
    faces = head()[1]
    raw.mkdir()
    (raw / "corpus.yaml").write_text(description)
    (raw / "lips.txt").write_text("5, 3, 4,\n3")
    write_mesh(raw / "ann.ply", templates()["ann"] * 1000, faces)
    write_obj(raw / "meshes" / "bob.obj", templates()["bob"] * 1000, faces)
    motion = talking(templates()["ann"], 60.0) * 1000
    np.save(raw / "ann_flat.npy", motion.reshape(60, -1))
    np.save(raw / "ann_frames.npy", np.float64(motion))
    np.savez(raw / "ann_alembic.npz", vertices=motion)
    for number, frame in enumerate(motion):
        write_obj(raw / "ann_last" / f"frame{number}.obj", frame, faces)
    np.save(raw / "bob_1.npy", talking(templates()["bob"], 60.0) * 1000)
    np.save(raw / "bob_unused.npy", motion)
    for name in ("ann_flat", "ann_frames", "ann_alembic", "ann_last", "ann_lost", "bob_1"):
        soundfile.write(raw / f"{name}.flac", voice(48000), 48000)


def prepare(raw: Path, root: Path, fps: float | None = 30.0) -> Corpus:
    source, plan = open_folder(raw)
    return build_corpus(source, plan, root, BuildOptions("folder", fps))


def test_every_form_of_motion_gives_the_same_clip(tmp_path: Path) -> None:
    write_folder(tmp_path / "raw")
    corpus = prepare(tmp_path / "raw", tmp_path / "root")
    assert {c.id: c.split for c in corpus.clips} == {
        "ann_alembic": "train", "ann_flat": "train", "ann_frames": "train", "ann_last": "val", "bob_1": "train"
    }  # fmt: skip
    assert corpus.skipped == {"ann_lost": "no ann_lost.npy, .npz or folder of obj"}
    for clip in corpus.clips:
        expected = talking(templates()[clip.subject], 60.0)[::2].reshape(30, -1)
        np.testing.assert_allclose(corpus.load_motion(clip), expected, atol=1e-7)
    assert corpus.topology.unit == "m" and corpus.topology.name == "studio" and corpus.styles == ("ann", "bob")
    assert corpus.topology.regions["lips"].tolist() == [3, 4, 5]
    np.testing.assert_allclose(corpus.topology.templates["bob"], templates()["bob"], atol=1e-7)


def test_equal_names_in_several_folders_are_several_clips(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    write_folder(raw, DESCRIPTION.replace('train: ["ann_*", bob_1]', 'train: ["*take", "twice", "far"]'))
    for number, place in enumerate(("ann/s1", "ann/s2", "bob/s1")):
        who = place.split("/")[0]
        (raw / place).mkdir(parents=True)
        np.save(raw / place / "take.npy", talking(templates()[who], 60.0, number) * 1000)
        soundfile.write(raw / place / "take.wav", voice(16000, number), 16000)
        soundfile.write(raw / place / "._take.wav", voice(16000, 9), 16000)
    for kind in ("audio", "motion"):
        (raw / kind / "ann").mkdir(parents=True)
    soundfile.write(raw / "audio" / "ann" / "far.wav", voice(16000), 16000)
    np.save(raw / "motion" / "ann" / "far.npy", talking(templates()["ann"], 60.0) * 1000)
    for suffix in ("wav", "flac"):
        soundfile.write(raw / "ann" / f"twice.{suffix}", voice(16000), 16000)
    np.save(raw / "ann" / "twice.npy", talking(templates()["ann"], 60.0) * 1000)
    corpus = prepare(raw, tmp_path / "root")
    found = {c.id: c for c in corpus.clips if c.split == "train"}
    assert {i: c.subject for i, c in found.items()} == {
        "ann-s1-take": "ann", "ann-s2-take": "ann", "bob-s1-take": "bob", "far": "ann"
    }  # fmt: skip
    for number, name in enumerate(("ann-s1-take", "ann-s2-take", "bob-s1-take")):
        sound = soundfile.read(corpus.audio_path(found[name]), dtype="int16")[0]
        np.testing.assert_allclose(sound, voice(16000, number), atol=1)
    assert corpus.skipped["twice"] == "twice.flac and twice.wav in one folder: keep one of them"


def test_without_a_wanted_rate_the_recordings_own_is_kept(tmp_path: Path) -> None:
    write_folder(tmp_path / "raw")
    corpus = prepare(tmp_path / "raw", tmp_path / "root", fps=None)
    assert corpus.fps == 60.0 and corpus.clips[0].num_frames == 60


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("fps: 60\n", "", "lacks fps; keys: fps, unit, templates, splits"),
        ("fps: 60", "fps: sixty", "fps must be a positive number, got 'sixty'"),
        ("name: studio", "fsp: 30", "does not know fsp"),
        ("unit: mm", "unit: m", r"template ann is .* m across as m, no human head \(millimetres for metres\?\)"),
        ("ann.ply", "gone.ply", "gone.ply: no such file"),
        ("ann.ply", "lips.txt", "not a mesh file known here; known: .obj .ply"),
        ("lips.txt", "corpus.yaml", "not a list of vertex indices"),
        ('train: ["ann_*", bob_1]', "train: [zoe]", "no clip in split train"),
        ("bob: meshes/bob.obj", "zoe: meshes/bob.obj", "clip bob_1 begins with none of the subjects ann, zoe"),
        ("{lips: lips.txt}", "{lips: [", "not a yaml file"),
    ],
)
def test_a_wrong_description_is_one_line(tmp_path: Path, before: str, after: str, words: str) -> None:
    assert before in DESCRIPTION
    write_folder(tmp_path / "raw", DESCRIPTION.replace(before, after))
    with pytest.raises(InputError, match=words) as caught:
        prepare(tmp_path / "raw", tmp_path / "root")
    assert "\n" not in str(caught.value)


def test_meshes_of_two_orders_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "raw")
    vertices, faces = head(1)
    write_obj(tmp_path / "raw" / "meshes" / "bob.obj", vertices * 1000, faces[::-1])
    with pytest.raises(InputError, match=r"bob\.obj: its vertices or faces are in another order than ann\.ply"):
        prepare(tmp_path / "raw", tmp_path / "root")
