"""A training run: configuration and corpus to a checkpoint folder."""

from __future__ import annotations

import functools
import json
import logging
import math
import warnings
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from omegaconf import DictConfig, OmegaConf

from diffspeaker3d import __version__
from diffspeaker3d.arkit import CONTROL_NAMES
from diffspeaker3d.data.augment import Augmentation
from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.data.datamodule import ClipDataModule
from diffspeaker3d.data.prepared import open_corpus
from diffspeaker3d.data.statistics import motion_statistics
from diffspeaker3d.data.synthetic import PRESETS, VISEMES
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.models import DiffSpeaker, build, save_checkpoint
from diffspeaker3d.training.callbacks import Export, LastCheckpoint, Progress, StopAtNonFiniteLoss, newest_state
from diffspeaker3d.training.module import SpeechTraining

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint"  # the exported model, in the run's folder
QUIETEST_SCALE = 0.02  # a control that hardly moves is not blown up to unit variance
CALIBRATION_CLIPS = 64
WARM_UP = 0.03
# Controls that are learned as one group each: neighbours in CONTROL_NAMES, so that they are slices.
CONTROL_GROUPS = {
    "eyes": CONTROL_NAMES[:14], "mouth": CONTROL_NAMES[14:41], "brows_cheeks_nose": CONTROL_NAMES[41:51], "tongue": CONTROL_NAMES[51:],
}  # fmt: skip


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
    data = datamodule(cfg, corpus)
    config, model = build_model(cfg, corpus)
    module = training_module(cfg, corpus, model, data)
    export = functools.partial(write_checkpoint, folder=out / CHECKPOINT, config=config, half=cfg.half)
    callbacks = [LastCheckpoint(out, cfg.save_every), StopAtNonFiniteLoss(), Export(export, cfg.export_every), Progress(cfg.trainer.log_every_n_steps)]
    trainer = Trainer(
        **dict(cfg.trainer), callbacks=callbacks, logger=loggers(out), default_root_dir=out, use_distributed_sampler=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    log.info("%s: %d training clips, %.1f M parameters%s", corpus.name, len(data.train_clips), sum(p.numel() for p in model.parameters()) / 1e6, f", going on from {state}" if state else "")
    trainer.fit(module, datamodule=data, ckpt_path=state, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    log.info("%s: the trained checkpoint", out / CHECKPOINT)
    return out / CHECKPOINT


def claim(out: Path, cfg: DictConfig) -> Path | None:
    """Mark the folder as this run's, and find the state to go on from; another run's folder is refused."""
    settings = json.dumps({k: v for k, v in OmegaConf.to_container(cfg, resolve=True).items() if k not in ("out", "save_every", "export_every")}, indent=1, sort_keys=True)  # type: ignore[union-attr]
    path = out / "run.json"
    if path.is_file() and path.read_text("utf-8") != settings:
        raise InputError(f"{out}: holds a run with other settings (run.json there); choose another out=, or remove it")
    with atomic_path(path) as temporary:
        temporary.write_text(settings, "utf-8")
    return newest_state(out)


def datamodule(cfg: DictConfig, corpus: Corpus) -> ClipDataModule:
    """Batches as configured."""
    augment = corpus.name == "synthetic" if cfg.data.augment == "auto" else bool(cfg.data.augment)
    return ClipDataModule(
        corpus.root, batch_size=cfg.data.batch_size, crop_seconds=cfg.data.crop_seconds, num_workers=cfg.data.num_workers,
        seed=cfg.seed, augment=Augmentation() if augment else None, pin_memory=cfg.trainer.accelerator == "gpu",
    )  # fmt: skip


def build_model(cfg: DictConfig, corpus: Corpus) -> tuple[dict[str, Any], DiffSpeaker]:
    """The checkpoint configuration and a fresh model: sizes come from the corpus and from the encoder."""
    encoder_node = OmegaConf.to_container(cfg.audio_encoder, resolve=True) | {"fps": corpus.fps}  # type: ignore[operator]
    encoder = build(encoder_node)
    motion_node = _motion_node(corpus)
    motion = build(motion_node)
    sizes = {"motion_dim": motion.dim, "audio_dim": encoder.width, "style_dim": len(corpus.styles), "period": round(corpus.fps)}
    denoiser_node = OmegaConf.to_container(cfg.denoiser, resolve=True) | sizes  # type: ignore[operator]
    has_phones = (corpus.root / "phones").is_dir()
    num_visemes = (len(VISEMES) if has_phones else 0) if cfg.num_visemes == "auto" else int(cfg.num_visemes)
    topology_hash = corpus.topology_hash if corpus.motion == "vertices" else ""  # controls drive any head that has the shapes
    rest: dict[str, Any] = {"fps": corpus.fps, "style_names": list(corpus.styles), "topology": corpus.topology_name, "topology_hash": topology_hash, "num_visemes": num_visemes}
    model = DiffSpeaker(encoder, build(denoiser_node), motion, **rest)
    schedule = {k: v for k, v in OmegaConf.to_container(cfg.schedule, resolve=True).items() if k != "_target_"}  # type: ignore[union-attr]
    config = {
        "model": {"_target_": "diffspeaker3d.models.DiffSpeaker", "audio_encoder": encoder_node, "denoiser": denoiser_node, "motion": motion_node, **rest},
        "schedule": schedule,
        "sampling": {"steps": cfg.steps},
        "styles": dict(PRESETS) if corpus.name == "synthetic" else {},
        "provenance": {"name": cfg.name, "corpus": corpus.name, "seed": cfg.seed, "trained_with": __version__},
    }
    return config, model


def _motion_node(corpus: Corpus) -> dict[str, Any]:
    statistics = motion_statistics(corpus)
    if corpus.motion == "vertices":
        return {"_target_": "diffspeaker3d.models.VertexMotion", "num_vertices": corpus.topology.num_vertices, "scale": statistics.scale[0]}
    scale = [max(s, QUIETEST_SCALE) for s in statistics.scale]
    groups = {name: list(members) for name, members in CONTROL_GROUPS.items()}
    return {"_target_": "diffspeaker3d.models.ControlMotion", "names": list(CONTROL_NAMES), "mean": statistics.mean, "scale": scale, "groups": groups}


def training_module(cfg: DictConfig, corpus: Corpus, model: DiffSpeaker, data: ClipDataModule) -> SpeechTraining:
    """The Lightning module with calibrated losses."""
    losses = instantiate(cfg.loss)(topology=corpus.topology, num_groups=len(model.motion.groups))
    clips = range(0, len(data.train_clips), max(len(data.train_clips) // CALIBRATION_CLIPS, 1))
    losses.calibrate((model.motion.encode(torch.from_numpy(data.train_clips[i]["motion"])) for i in clips), model.motion)
    return SpeechTraining(
        model, instantiate(cfg.schedule), losses, instantiate(cfg.optimizer), rate=rate_schedule(cfg.rate, cfg.trainer.max_steps),
        draws=cfg.draws, ema_decay=cfg.ema_decay, steps=cfg.steps, seed=cfg.seed,
    )  # fmt: skip


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


def write_checkpoint(module: LightningModule, folder: Path, config: dict[str, Any], half: bool) -> None:
    """Export the averaged weights with a card that says what is known about them."""
    assert isinstance(module, SpeechTraining)
    provenance = config["provenance"] | {"steps": module.global_step}
    card = f"# {provenance['name']}\n\nTrained by diffspeaker3d {__version__}: `{json.dumps(provenance)}`\n"
    save_checkpoint(folder, module.averaged, config | {"provenance": provenance}, card, half=half)


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
