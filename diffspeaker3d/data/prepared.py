"""From a `dataset` configuration to its prepared corpus: loaded, or made on first use (synthetic speech, recordings)."""

from __future__ import annotations

from omegaconf import DictConfig

from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.data.sources.speech import build_speech_corpus
from diffspeaker3d.data.sources.synthetic.build import build_corpus


def open_corpus(dataset: DictConfig) -> Corpus:
    """The corpus that `conf/dataset/<name>.yaml` describes.

    Raises:
        InputError: it has not been prepared, or it cannot be made here.
    """
    if dataset.name == "speech" and dataset.get("raw") is not None:
        return open_speech(dataset, dataset.raw, dataset.root, float(dataset.fps))
    if dataset.name != "synthetic":
        return Corpus.load(dataset.root)
    engines = dataset.engines if isinstance(dataset.engines, str) else list(dataset.engines)
    return build_corpus(
        dataset.root, num_clips=dataset.num_clips, seed=dataset.seed, engines=engines, fps=float(dataset.fps)
    )


def open_speech(dataset: DictConfig, raw: str, root: str, fps: float) -> Corpus:
    """The corpus of a folder of recordings: made, completed, or as it is."""
    return build_speech_corpus(
        raw,
        root,
        fps=fps,
        seed=dataset.seed,
        held_out=dataset.held_out,
        workers=dataset.workers,
        track=dataset.track,
    )
