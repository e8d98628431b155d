"""One small corpus of real espeak speech for all tests of the generator."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.data.sources.synthetic.build import build_corpus
from diffspeaker3d.speech.phones import Phone

FPS = 30.0


def clip_arrays(corpus: Corpus, clip: ClipRecord) -> tuple[np.ndarray, list[Phone]]:
    """Controls (T, K) float64 and phones of a clip."""
    with np.load(corpus.phones_path(clip), allow_pickle=False) as data:
        phones = [
            Phone(str(n), float(a), float(b)) for n, a, b in zip(data["names"], data["start"], data["end"], strict=True)
        ]
    return np.asarray(corpus.load_motion(clip), np.float64), phones


@pytest.fixture(scope="session")
def espeak_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Seventy clips, all kinds and all splits."""
    if find_spec("espeakng_loader") is None:
        pytest.skip("needs espeakng-loader (extra [synth])")
    root = tmp_path_factory.mktemp("synthetic") / "corpus"
    return build_corpus(root, num_clips=70, seed=5, engines=["espeak"], workers=2, fps=FPS, held_out=0.15)


@pytest.fixture
def clips(espeak_corpus: Corpus) -> Iterator[tuple[ClipRecord, np.ndarray, list[Phone]]]:
    """(record, controls, phones) of every clip."""
    return ((clip, *clip_arrays(espeak_corpus, clip)) for clip in espeak_corpus.clips)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder for a corpus that does not exist yet."""
    return tmp_path / "corpus"
