"""The motion file holds everything exactly and refuses what it did not write."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import load_animation, save


def test_round_trip_is_exact(shaped: Animation, tmp_path: Path) -> None:
    save(shaped, tmp_path / "a.npz")
    back = load_animation(tmp_path / "a.npz")
    assert np.array_equal(np.asarray(back.vertices), np.concatenate(list(shaped.chunks())))
    assert np.array_equal(back.topology.faces, shaped.topology.faces) and back.topology.hash == shaped.topology.hash
    assert np.array_equal(back.template, shaped.template) and back.fps == shaped.fps
    assert np.array_equal(back.waveform, shaped.waveform) and back.sample_rate == 16000
    assert np.array_equal(back.weights, shaped.weights) and back.weight_names == shaped.weight_names
    assert back.provenance == shaped.provenance and back.topology.unit == "m"


def test_numpy_alone_reads_it_and_vertices_stay_on_disk(free: Animation, tmp_path: Path) -> None:
    save(free, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as data:
        assert np.array_equal(data["vertices"], np.asarray(free.vertices))
        assert "weights" not in data and "waveform" not in data
    back = load_animation(tmp_path / "a.npz")
    assert isinstance(back.vertices, np.memmap) and back.topology.unit == "mm"


def test_compressed_copies_open_too(free: Animation, tmp_path: Path) -> None:
    save(free, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as data:
        np.savez_compressed(tmp_path / "b.npz", **dict(data))
    assert np.array_equal(np.asarray(load_animation(tmp_path / "b.npz").vertices), np.asarray(free.vertices))


@pytest.mark.parametrize(
    "damage", ["truncated", "text", "empty", "nan", "missing", "version", "faces", "pickle", "absent"]
)
def test_broken_files_are_refused_in_one_line(damage: str, free: Animation, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    save(free, path)
    arrays = dict(np.load(path))
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-3000])
    elif damage == "text":
        path.write_text("hello")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "absent":
        path.unlink()
    else:
        if damage == "nan":
            arrays["vertices"][3, 5, 1] = np.nan
        elif damage == "missing":
            del arrays["template"]
        elif damage == "version":
            arrays["format_version"] = np.array(9)
        elif damage == "faces":
            arrays["faces"][0, 0] = 10**6
        elif damage == "pickle":
            arrays["vertices"] = np.array([{}], dtype=object)
        np.savez(path, **arrays)
    with pytest.raises(InputError, match=r"a\.npz") as refused:
        load_animation(path)
    assert "\n" not in str(refused.value)


def test_a_flipped_bit_in_the_vertices_fails_verification(free: Animation, tmp_path: Path) -> None:
    from diffspeaker3d.formats import npz

    path = tmp_path / "a.npz"
    npz.write(free, path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    raw = bytearray(path.read_bytes())
    at = raw.find(np.asarray(free.vertices[0], np.float32).tobytes())
    raw[at + 2] ^= 0x40
    path.write_bytes(raw)
    with pytest.raises(InputError, match="frame 0"):
        npz.verify(free, path)
