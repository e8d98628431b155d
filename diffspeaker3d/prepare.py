"""Door: `python -m diffspeaker3d.prepare dataset=vocaset raw=DIR`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from diffspeaker3d.config import door
from diffspeaker3d.errors import InputError

if TYPE_CHECKING:
    from diffspeaker3d.config.schema import Prepare

log = logging.getLogger(__name__)


@door("prepare")
def main(typed: Prepare) -> None:
    from diffspeaker3d.config import as_config

    cfg = as_config(typed)
    if cfg.checkpoint is not None:
        _convert(cfg)
    elif cfg.encoder is not None:
        _fetch_encoder(cfg)
    elif cfg.get("dataset") is None:
        raise InputError(
            "dataset: is needed; known: vocaset, biwi, folder, synthetic, speech; or checkpoint=FILE converts official weights"
        )
    elif cfg.dataset.name == "synthetic":
        _synthesise(cfg)
    elif cfg.dataset.name == "speech":
        _align(cfg)
    else:
        _prepare(cfg)


def _prepare(cfg: DictConfig) -> None:
    """A raw corpus in `cfg.raw` into the checked layout in `cfg.root`."""
    from diffspeaker3d.data.build import BuildOptions, build_corpus
    from diffspeaker3d.data.plan import Plan, load_plan
    from diffspeaker3d.data.sources.base import Extras, Source
    from diffspeaker3d.data.sources.biwi import open_biwi
    from diffspeaker3d.data.sources.folder import open_folder
    from diffspeaker3d.data.sources.vocaset import open_vocaset

    dataset = cfg.dataset.name
    if cfg.raw is None:
        raise InputError(f"raw: is needed; give raw=DIR, the folder that holds the {dataset} files")
    raw, root = Path(cfg.raw), Path(cfg.root or cfg.dataset.root)
    if not raw.is_dir():
        raise InputError(f"{raw}: no such folder; give raw=DIR, the folder that holds the {dataset} files")
    if root.resolve() == raw.resolve():
        raise InputError(f"{root}: root and raw are the same folder; give root=DIR, another one")
    source: Source
    plan: Plan
    if dataset == "folder":
        source, plan = open_folder(raw, cfg.dataset.track)
    else:
        extras = Extras(_path(cfg.topology), _path(cfg.regions))
        plan = load_plan(cfg.splits or dataset)
        source = (
            open_vocaset(raw, plan, extras)
            if dataset == "vocaset"
            else open_biwi(raw, plan, extras, cfg.dataset.normalise)
        )
    options = BuildOptions(dataset, cfg.fps or cfg.dataset.fps, cfg.resample, cfg.tolerance)
    corpus = build_corpus(source, plan, root, options)
    log.info(
        "%s: %d clips, ready for: python -m diffspeaker3d.train dataset=%s dataset.root=%s",
        root,
        len(corpus.clips),
        dataset,
        root,
    )


def _synthesise(cfg: DictConfig) -> None:
    """The synthetic corpus, made by its own recipe."""
    from diffspeaker3d.data.sources.synthetic.build import build_corpus

    dataset = cfg.dataset
    engines: Any = dataset.engines if isinstance(dataset.engines, str) else list(dataset.engines)
    root = Path(cfg.root or dataset.root)
    corpus = build_corpus(
        root, num_clips=dataset.num_clips, seed=dataset.seed, engines=engines, fps=cfg.fps or dataset.fps
    )
    log.info("%s: %d clips", root, len(corpus.clips))


def _align(cfg: DictConfig) -> None:
    """Transcribed recordings into a corpus, by forced alignment and articulation."""
    from diffspeaker3d.data.prepared import open_speech

    raw, root = cfg.raw or cfg.dataset.raw, cfg.root or cfg.dataset.root
    if raw is None:
        raise InputError("raw: is needed; give raw=DIR, the folder that holds the recordings and their transcripts")
    corpus = open_speech(cfg.dataset, raw, root, float(cfg.fps or cfg.dataset.fps))
    for name, reason in list(corpus.skipped.items())[:10]:
        log.warning("left out: %s: %s", name, reason)
    log.info(
        "%s: %d clips, ready for: python -m diffspeaker3d.train dataset=speech dataset.root=%s",
        root,
        len(corpus.clips),
        root,
    )


def _convert(cfg: DictConfig) -> None:
    """Official weights into a checkpoint folder."""
    from diffspeaker3d.models.convert import convert_official

    if cfg.out is None:
        raise InputError("out: is needed; give out=DIR, where the converted checkpoint shall be")
    dataset = cfg.dataset.name if cfg.get("dataset") else "vocaset"
    convert_official(cfg.checkpoint, cfg.out, dataset=dataset, encoder=cfg.encoder or "wav2vec2")
    log.info("%s: converted; use checkpoint=%s", cfg.checkpoint, cfg.out)


def _fetch_encoder(cfg: DictConfig) -> None:
    """The weights that `audio_encoder=whisper_tiny` loads."""
    from diffspeaker3d.models.encoders.whisper_weights import prepare_whisper

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    out = _path(cfg.out) or cache / "diffspeaker3d" / "whisper-tiny.en.safetensors"
    prepare_whisper(str(cfg.encoder), out)
    log.info("%s: the encoder's weights; use audio_encoder=whisper_tiny audio_encoder.weights=%s", out, out)


def _path(value: str | None) -> Path | None:
    return None if value is None else Path(value)


if __name__ == "__main__":
    main()
