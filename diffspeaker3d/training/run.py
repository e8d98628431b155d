"""A training run: configuration and corpus to a checkpoint folder."""

from __future__ import annotations

import functools
import json
import logging
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from diffspeaker3d.errors import InputError, missing_extra

try:  # before anything that loads it, too
    from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
    from lightning.pytorch.callbacks import EarlyStopping
    from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
except ModuleNotFoundError as error:
    raise missing_extra("training", "lightning", "train") from error

from diffspeaker3d import __version__
from diffspeaker3d.data.augment import Augmentation
from diffspeaker3d.data.clips import Voices
from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.data.loader import ClipDataModule
from diffspeaker3d.data.prepared import open_corpus
from diffspeaker3d.files import atomic_path
from diffspeaker3d.models import AudioEncoder, DiffSpeaker, save_checkpoint
from diffspeaker3d.training.assemble import build_model
from diffspeaker3d.training.callbacks import Export, Progress, StopAtNonFiniteLoss, plain_worker_errors
from diffspeaker3d.training.features import FeatureFolder, heard
from diffspeaker3d.training.module import SpeechTraining
from diffspeaker3d.training.preview import Preview
from diffspeaker3d.training.state import DirectCheckpointIO, LastCheckpoint, newest_state

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint"  # the exported model, in the run's folder
CALIBRATION_CLIPS = 64
WARM_UP = 0.03
FREE = ("out", "save_every", "export_every", "preview_every")  # what may change when a run goes on


def train(cfg: DictConfig) -> Path:
    """Train as configured, from the last good state if the run's folder has one.

    Returns:
        Path: the checkpoint folder.

    Raises:
        InputError: no corpus, a folder that belongs to another run, or a loss that is not finite.
    """
    quiet_lightning()
    seed_everything(cfg.seed, verbose=False)
    out = Path(cfg.out)
    state = claim(out, cfg)
    corpus = open_corpus(cfg.dataset)
    config, model = build_model(cfg, corpus)
    data = datamodule(cfg, corpus, model.audio_encoder)
    module = training_module(cfg, corpus, model, data)
    export = functools.partial(write_checkpoint, folder=out / CHECKPOINT, config=config, corpus=corpus, half=cfg.half)
    trainer = Trainer(
        **dict(cfg.trainer),
        callbacks=callbacks(cfg, corpus, export),
        logger=loggers(out),
        plugins=[DirectCheckpointIO()],
        default_root_dir=out,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    log.info(
        "%s: %d training clips, %.1f M parameters%s",
        corpus.name,
        len(data.train_clips),
        sum(p.numel() for p in model.parameters()) / 1e6,
        f", going on from {state}" if state else "",
    )
    try:
        with plain_worker_errors():
            trainer.fit(module, datamodule=data, ckpt_path=state, weights_only=True)
    except SystemExit:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from None
    if (
        trainer.is_global_zero
    ):  # also when a run that was complete is started again: it may have been killed before this
        export(module)
    log.info("%s: the trained checkpoint", out / CHECKPOINT)
    return out / CHECKPOINT


def callbacks(cfg: DictConfig, corpus: Corpus, export: Callable[[LightningModule], None]) -> list[Callback]:
    """What watches the run."""
    out = Path(cfg.out)
    found: list[Callback] = [
        StopAtNonFiniteLoss(), LastCheckpoint(out, cfg.save_every), Export(export, cfg.export_every),
        Progress(cfg.trainer.log_every_n_steps), Preview(out, corpus, cfg.preview_every),
    ]  # fmt: skip
    if cfg.early_stopping is not None:
        found.append(EarlyStopping("val/loss", **cfg.early_stopping))
    return found


def claim(out: Path, cfg: DictConfig) -> Path | None:
    """Mark the folder as this run's, and find the state to go on from; another run's folder is refused."""
    values = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(values, dict)
    settings = json.dumps({k: v for k, v in values.items() if k not in FREE}, indent=1, sort_keys=True)
    path = out / "run.json"
    if path.is_file() and path.read_text("utf-8") != settings:
        raise InputError(f"{out}: holds a run with other settings (run.json there); choose another out=, or remove it")
    with atomic_path(path) as temporary:
        temporary.write_text(settings, "utf-8")
    return newest_state(out)


def datamodule(cfg: DictConfig, corpus: Corpus, encoder: AudioEncoder) -> ClipDataModule:
    """Batches as configured, with what a frozen encoder hears from disk where that is possible.

    Raises:
        InputError: `data.cache_features` asks for what is not possible, or `also` for a corpus that does not fit.
    """
    augment = (
        Augmentation() if (corpus.motion == "controls" if cfg.data.augment == "auto" else cfg.data.augment) else None
    )
    if cfg.data.cache_features is True and not encoder.frozen:
        raise InputError("data.cache_features=true: needs a frozen encoder (audio_encoder.trainable=none)")
    others = [(open_corpus(entry), entry.get("share")) for entry in cfg.also]
    views: list[FeatureFolder | None] = [None] * (1 + len(others))
    clean = None
    if cfg.data.cache_features and encoder.frozen:
        device = "cuda" if cfg.trainer.accelerator in ("auto", "gpu") and torch.cuda.is_available() else "cpu"
        corpora = (corpus, *(other for other, _ in others))
        found = [FeatureFolder(each, encoder, augment, cfg.data.views, cfg.seed) for each in corpora]
        crowd = Voices(*((each, each.split("train")) for each in corpora))
        for folder in found:
            folder.fill(("train",), device, crowd)
        clean = FeatureFolder(corpus, encoder)
        clean.fill(("val",), device)
        views = list(found)
    if encoder.frozen and cfg.init is None:
        encoder.calibrate(heard(corpus, encoder, CALIBRATION_CLIPS))
    return ClipDataModule(
        corpus,
        batch_size=cfg.data.batch_size,
        crop_seconds=cfg.data.crop_seconds,
        num_workers=cfg.data.num_workers,
        seed=cfg.seed,
        augment=None if views[0] else augment,
        pin_memory=cfg.trainer.accelerator == "gpu",
        features=views[0],
        clean_features=clean,
        also=[(other, share, view) for (other, share), view in zip(others, views[1:], strict=True)],
    )


def training_module(cfg: DictConfig, corpus: Corpus, model: DiffSpeaker, data: ClipDataModule) -> SpeechTraining:
    """The Lightning module with calibrated losses."""
    losses = instantiate(cfg.loss)(topology=corpus.topology, num_groups=len(model.motion.groups))
    clips = range(0, len(data.train_clips), max(len(data.train_clips) // CALIBRATION_CLIPS, 1)) if cfg.calibrate else ()
    losses.calibrate((model.motion.encode(finite_motion(data.train_clips[i])) for i in clips), model.motion)
    return SpeechTraining(
        model,
        instantiate(cfg.schedule),
        losses,
        instantiate(cfg.optimizer),
        rate=rate_schedule(cfg.rate, cfg.trainer.max_steps),
        draws=cfg.draws,
        ema_decay=cfg.ema_decay,
        steps=cfg.steps,
        seed=cfg.seed,
        timesteps=cfg.timesteps,
    )


def finite_motion(item: dict[str, Any]) -> torch.Tensor:
    """The motion (T, D) of a clip, checked: one bad clip would spoil what every loss is divided by."""
    motion = torch.from_numpy(item["motion"])
    if not motion.isfinite().all():
        raise InputError(
            f"clip {item['clip']}: its motion is not finite; prepare the corpus again, or take the clip out"
        )
    return motion


def rate_schedule(name: str, max_steps: int) -> functools.partial | None:
    """`cosine` to zero after a linear warm-up, or `constant` (None)."""
    if name == "constant":
        return None
    if name != "cosine":
        raise InputError(f"rate={name}: known: cosine, constant")
    warm_up = max(int(WARM_UP * max_steps), 1)

    def factor(step: int) -> float:
        return min((step + 1) / warm_up, 0.5 * (1 + math.cos(math.pi * min(step / max_steps, 1.0))))

    return functools.partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=factor)


def write_checkpoint(module: LightningModule, folder: Path, config: dict[str, Any], corpus: Corpus, half: bool) -> None:
    """Export the averaged weights with a card that says what is known about them."""
    assert isinstance(module, SpeechTraining)
    provenance = config["provenance"] | {"steps": module.global_step}
    card = f"# {provenance['name']}\n\nTrained by diffspeaker3d {__version__}: `{json.dumps(provenance)}`\n"
    save_checkpoint(folder, module.averaged, config | {"provenance": provenance}, card, half=half)
    if corpus.motion == "vertices":  # the head that goes with it; controls fit the package's own
        corpus.topology.save(folder / "topology.npz")


def loggers(out: Path) -> list[Logger]:
    """Curves as CSV, and for TensorBoard where it is installed."""
    found: list[Logger] = [CSVLogger(out, name="", version="logs")]
    try:
        found.append(TensorBoardLogger(out, name="", version="logs"))
    except ModuleNotFoundError:
        log.info("no tensorboard here: curves go to %s only", out / "logs" / "metrics.csv")
    return found


def quiet_lightning() -> None:
    """Lightning repeats itself under hydra, and warns of choices made here on purpose."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger(name).handlers.clear()
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
