"""From a `dataset` configuration to its prepared corpus: loaded, or for synthetic speech made on first use."""

from __future__ import annotations

from omegaconf import DictConfig

from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.data.synthetic import build_corpus


def open_corpus(dataset: DictConfig) -> Corpus:
    """The corpus that `conf/dataset/<name>.yaml` describes.

    Raises:
        InputError: it has not been prepared, or the synthetic one cannot be made here.
    """
    if dataset.name != "synthetic":
        return Corpus.load(dataset.root)
    engines = dataset.engines if isinstance(dataset.engines, str) else list(dataset.engines)
    return build_corpus(dataset.root, num_clips=dataset.num_clips, seed=dataset.seed, engines=engines, fps=float(dataset.fps))
