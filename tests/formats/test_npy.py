"""Bare vertices and their sidecar: exact, and loud when one of the two is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import npy, save


def test_round_trip_is_exact(shaped: Animation, tmp_path: Path) -> None:
    files = save(shaped, tmp_path / "a.npy")
    assert [f.name for f in files] == ["a.npy", "a.npy.json"]
    back = npy.read(tmp_path / "a.npy")
    assert np.array_equal(np.load(tmp_path / "a.npy", allow_pickle=False), np.concatenate(list(shaped.chunks())))
    assert np.array_equal(back.template, shaped.template) and back.topology.hash == shaped.topology.hash
    assert np.array_equal(back.weights, shaped.weights) and back.weight_names == shaped.weight_names
    assert back.fps == shaped.fps and back.provenance == shaped.provenance


def test_a_lost_sidecar_is_named(free: Animation, tmp_path: Path) -> None:
    save(free, tmp_path / "a.npy")
    (tmp_path / "a.npy.json").unlink()
    with pytest.raises(InputError, match=r"a\.npy\.json"):
        npy.read(tmp_path / "a.npy")
