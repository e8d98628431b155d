"""BIWI from raw scans and from the CodeTalker layout."""

from __future__ import annotations

import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from raw_corpora import SPEC, head, plan, talking, templates, voice, write_obj, write_processed, write_vl

from diffspeaker3d.data.build import BuildOptions, build_corpus
from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.data.sources.base import Extras
from diffspeaker3d.data.sources.biwi import open_biwi, read_vl, surface_area, to_unit_area, turned
from diffspeaker3d.errors import InputError

BIWI_SPEC = replace(SPEC, topology="biwi", mesh="BIWI.ply")
OPTIONS = BuildOptions("biwi", fps=25.0)


def write_scans(raw: Path) -> None:
    """Scans as the sensor sees them: millimetres, y down, off centre; vertex counts in 4 and in 8 bytes."""
    for number, clip in enumerate(plan().clips):
        neutral = turned(templates()[clip.subject]) * 1000 + np.float32([3, 5, 700])
        write_obj(raw / "rigid_scans" / f"{clip.subject}.obj", neutral, head()[1])
        folder = raw / "faces" / clip.subject / clip.sentence
        motion = talking(templates()[clip.subject], 25.0, number)
        for index, frame in enumerate(motion, start=1):
            write_vl(folder / f"frame_{index}.vl", turned(frame) * 1000 + np.float32([3, 5, 700]), 4 + 4 * (number % 2))
        sound = raw / "audio" / clip.subject / f"{clip.sentence}.wav"
        sound.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(sound, voice(44100, number), 44100)


def prepare(raw: Path, root: Path, normalise: str = "unit_area") -> Corpus:
    return build_corpus(open_biwi(raw, plan(), Extras(), normalise, BIWI_SPEC), plan(), root, OPTIONS)


def test_raw_scans_have_unit_area_frame_by_frame(tmp_path: Path) -> None:
    write_scans(tmp_path / "raw")
    corpus = prepare(tmp_path / "raw", tmp_path / "root")
    assert not corpus.skipped and len(corpus.clips) == 6 and corpus.topology.unit == "unit area"
    for clip in corpus.clips:
        motion = np.asarray(corpus.load_motion(clip)).reshape(25, -1, 3)
        for frame in (motion[0], motion[3], corpus.topology.templates[clip.subject]):
            assert surface_area(frame, head()[1]) == pytest.approx(1.0, abs=1e-4)
            np.testing.assert_allclose(frame.mean(0), 0, atol=1e-5)
        assert motion[0][:, 1].argmax() == templates()[clip.subject][:, 1].argmax(), "the top of the head is up"


def test_metres_keep_all_motion(tmp_path: Path) -> None:
    write_scans(tmp_path / "raw")
    corpus = prepare(tmp_path / "raw", tmp_path / "root", "metres")
    clip = corpus.clips[3]
    moved = np.asarray(corpus.load_motion(clip)).reshape(25, -1, 3) - corpus.topology.templates[clip.subject]
    expected = talking(templates()[clip.subject], 25.0, 3) - templates()[clip.subject]
    np.testing.assert_allclose(moved, expected, atol=1e-6)
    assert corpus.topology.unit == "m"


def test_raw_scans_and_their_codetalker_layout_agree(tmp_path: Path) -> None:
    write_scans(tmp_path / "raw")
    normal = {s: to_unit_area(turned(t) * 1000, head()[1]) for s, t in templates().items()}
    write_processed(tmp_path / "processed", plan(), normal, "BIWI.ply", 25.0, 44100)
    for number, clip in enumerate(plan().clips):
        frames = [to_unit_area(turned(f) * 1000, head()[1]) for f in talking(templates()[clip.subject], 25.0, number)]
        np.save(tmp_path / "processed" / "vertices_npy" / f"{clip.id}.npy", np.float64(frames).reshape(25, -1))
    one, two = prepare(tmp_path / "raw", tmp_path / "a"), prepare(tmp_path / "processed", tmp_path / "b")
    for a, b in zip(one.clips, two.clips, strict=True):
        np.testing.assert_allclose(one.load_motion(a), two.load_motion(b), atol=2e-6)
        assert two.load_motion(b).dtype == np.float32 and replace(a, sha256="") == replace(b, sha256="")


def test_another_normalisation_is_noted(tmp_path: Path) -> None:
    write_processed(tmp_path / "raw", plan(), templates(), "BIWI.ply", 25.0, 44100)
    source = open_biwi(tmp_path / "raw", plan(), Extras(), spec=BIWI_SPEC)
    assert "not CodeTalker's normalisation" in source.notes[0]


def test_a_scan_cut_short_is_named_and_left_out(tmp_path: Path) -> None:
    write_scans(tmp_path / "raw")
    scan = tmp_path / "raw" / "faces" / "ann" / "sentence01" / "frame_7.vl"
    scan.write_bytes(scan.read_bytes()[:100])
    corpus = prepare(tmp_path / "raw", tmp_path / "root")
    assert "frame_7.vl: 100 bytes do not hold 162 vertices (header says 162)" in corpus.skipped["ann_sentence01"]
    write_vl(scan, np.zeros((9, 3), np.float32))
    with pytest.raises(InputError, match="header says 9"):
        read_vl(scan.read_bytes(), 162, "frame_7.vl")


def test_scans_are_read_from_the_releases_archives(tmp_path: Path) -> None:
    write_scans(tmp_path / "raw")
    unpacked = prepare(tmp_path / "raw", tmp_path / "a")
    for folder in sorted((tmp_path / "raw" / "faces").glob("*/*")):
        with tarfile.open(folder.with_suffix(".tar"), "w") as archive:
            archive.add(folder, arcname=f"some/{folder.name}")
        shutil.rmtree(folder)
    assert prepare(tmp_path / "raw", tmp_path / "b").clips == unpacked.clips
    broken = tmp_path / "raw" / "faces" / "ann" / "sentence01.tar"
    broken.write_bytes(b"no archive at all" * 100)
    assert (
        "sentence01.tar: not a readable archive" in prepare(tmp_path / "raw", tmp_path / "c").skipped["ann_sentence01"]
    )


def test_a_scan_in_another_order_is_named(tmp_path: Path) -> None:
    write_scans(tmp_path / "raw")
    vertices, faces = head(1)
    write_obj(tmp_path / "raw" / "rigid_scans" / "bob.obj", vertices * 1000, faces[::-1])
    with pytest.raises(InputError, match=r"bob\.obj: its vertices or faces are in another order"):
        prepare(tmp_path / "raw", tmp_path / "root")
    with pytest.raises(InputError, match=r"neither vertices_npy/ .* nor faces/ and rigid_scans/"):
        prepare(tmp_path, tmp_path / "root")


def test_the_real_biwi_mesh_is_the_pinned_order(shared: Path) -> None:
    from diffspeaker3d.data.regions import collect_regions
    from diffspeaker3d.data.sources.base import BIWI
    from diffspeaker3d.geometry.mesh_file import read_mesh
    from diffspeaker3d.topology import Topology

    mesh = read_mesh(shared / "data" / "biwi" / "BIWI.ply")
    vertices, faces = mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32)
    topology = Topology("biwi", faces, len(vertices))
    assert (topology.num_vertices, topology.hash) == (BIWI.num_vertices, BIWI.hash)
    assert surface_area(vertices, faces) == pytest.approx(1.0, abs=1e-3)
    regions, used = collect_regions("biwi", BIWI.num_vertices, [shared / "data" / "biwi"])
    assert len(regions["lips"]) == 4996 and len(regions["upper_face"]) == 7784 and len(used) == 2
    gap = vertices[regions["lip_upper_mid"][0]] - vertices[regions["lip_lower_mid"][0]]
    assert 0 < gap[1] < 0.02 and abs(gap[0]) < 0.002, "one above the other, a few millimetres apart"
