"""Byte layout of the point caches, read by a second parser written from the format descriptions."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import point_cache, save


def test_pc2_layout(shaped: Animation, tmp_path: Path) -> None:
    save(shaped, tmp_path / "a.pc2")
    raw = (tmp_path / "a.pc2").read_bytes()
    frames, points = len(shaped), shaped.topology.num_vertices
    assert len(raw) == 32 + 12 * frames * points and raw[:12] == b"POINTCACHE2\0"
    assert struct.unpack("<iiffi", raw[12:32]) == (1, points, 0.0, 1.0, frames)
    assert np.array_equal(
        np.frombuffer(raw[32:], "<f4").reshape(frames, points, 3), np.concatenate(list(shaped.chunks()))
    )


def test_mdd_layout_in_metres(free: Animation, tmp_path: Path) -> None:
    save(free, tmp_path / "a.mdd")
    raw = (tmp_path / "a.mdd").read_bytes()
    frames, points = len(free), free.topology.num_vertices
    assert len(raw) == 8 + 4 * frames + 12 * frames * points and struct.unpack(">ii", raw[:8]) == (frames, points)
    assert np.allclose(np.frombuffer(raw[8 : 8 + 4 * frames], ">f4"), np.arange(frames) / 25, atol=1e-7)
    cached = np.frombuffer(raw[8 + 4 * frames :], ">f4").reshape(frames, points, 3)
    assert np.abs(cached - np.asarray(free.vertices) / 1000).max() < 1e-7


def test_the_obj_keeps_every_vertex_in_order(shaped: Animation, tmp_path: Path) -> None:
    assert [p.name for p in save(shaped, tmp_path / "a.pc2")] == ["a.pc2", "a.obj"]
    lines = [line.split() for line in (tmp_path / "a.obj").read_text().splitlines()]
    assert np.array_equal(np.array([p[1:] for p in lines if p[0] == "v"], np.float32), shaped.template)
    assert np.array_equal(np.array([p[1:] for p in lines if p[0] == "f"], int) - 1, shaped.topology.faces)


def test_a_cut_off_cache_is_noticed(shaped: Animation, tmp_path: Path) -> None:
    save(shaped, tmp_path / "a.pc2")
    (tmp_path / "a.pc2").write_bytes((tmp_path / "a.pc2").read_bytes()[:-4])
    with pytest.raises(InputError, match="bytes"):
        point_cache.verify(shaped, tmp_path / "a.pc2")
