"""Moments of the motion against NumPy on the whole corpus at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from corpora import write_corpus

from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.data.statistics import motion_statistics
from diffspeaker3d.errors import InputError


def displacements(corpus: Corpus) -> list[np.ndarray]:
    return [np.float64(corpus.load_motion(c)) - corpus.topology.template(c.subject).reshape(-1) for c in corpus.clips]


def test_vertices_have_one_scale_over_all_frames(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, [600, 256, 257, 1])  # around the chunk length
    moved = displacements(corpus)
    statistics = motion_statistics(corpus)
    assert statistics.num_frames == 600 + 256 + 257 + 1 and statistics.mean == [0.0]
    assert statistics.scale == pytest.approx([np.sqrt(np.square(np.concatenate(moved)).mean())], rel=1e-6)
    velocity = np.concatenate([np.diff(m, axis=0) for m in moved])
    assert statistics.mean_squared_velocity == pytest.approx([np.square(velocity).mean()], rel=1e-6)


def test_controls_have_mean_and_deviation_per_channel(tmp_path: Path) -> None:
    corpus = replace(write_corpus(tmp_path, [30, 10]), motion="controls")
    together = np.concatenate([np.float64(corpus.load_motion(c)) for c in corpus.clips])
    statistics = motion_statistics(corpus)
    np.testing.assert_allclose(statistics.mean, together.mean(0), rtol=1e-9)
    np.testing.assert_allclose(statistics.scale, together.std(0), rtol=1e-6)
    assert len(statistics.mean_squared_velocity) == 12


def test_the_cache_is_used_until_the_clips_change(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, [30, 10])
    first = motion_statistics(corpus)
    path = corpus.motion_path(corpus.clips[0])
    np.save(path, np.load(path) * 2)
    assert motion_statistics(corpus) == first, "same hashes, so not counted again"
    changed = replace(corpus, clips=tuple(replace(c, sha256="new") for c in corpus.clips))
    assert motion_statistics(changed) != first


def test_a_still_corpus_is_refused(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, [1, 1])
    with pytest.raises(InputError, match="nothing moves"):
        motion_statistics(corpus)
