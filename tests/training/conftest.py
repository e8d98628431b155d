"""A small corpus, and what an uninterrupted run on it ends with."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_run import configure, saved, write_corpus

from diffspeaker3d.training.run import train
from diffspeaker3d.training.state import LAST


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Folder of a corpus."""
    return write_corpus(tmp_path / "corpus").root


@pytest.fixture
def whole(corpus: Path, tmp_path: Path) -> dict:
    """The end of a run of two epochs of three batches, in the folder `whole`."""
    train(configure(corpus, tmp_path / "whole"))
    return saved(tmp_path / "whole" / LAST)
