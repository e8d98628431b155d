"""The model of a run: its sizes come from the corpus and the encoder, its first weights from chance or a checkpoint."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from diffspeaker3d import __version__
from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.controls.groups import CONTROLS_OF
from diffspeaker3d.controls.lipsync import LipRule
from diffspeaker3d.controls.style import PRESETS, STYLE_NAMES
from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.data.statistics import motion_statistics
from diffspeaker3d.errors import InputError
from diffspeaker3d.models import DiffSpeaker, build, load_checkpoint, read_config
from diffspeaker3d.speech.phones import VISEMES

log = logging.getLogger(__name__)

QUIETEST_SCALE = 0.02  # a control that hardly moves is not blown up to unit variance
# Lips should differ little from seed to seed; chance that the sound does not ask for is error there (docs/voice.md).
TEMPERATURE = {"mouth": 0.5, "tongue": 0.5}
# What belongs to a corpus, not to speech: never taken from another, or (with the second) only where the size is the same.
OF_THE_CORPUS = ("motion.", "denoiser.conditions.style.")
OF_THE_TOPOLOGY = ("denoiser.input.", "denoiser.output.", "viseme_head.")


def build_model(cfg: DictConfig, corpus: Corpus) -> tuple[dict[str, Any], DiffSpeaker]:
    """The checkpoint configuration and the model that training begins with.

    Raises:
        InputError: parts that do not fit, or a checkpoint in `init` that cannot be read.
    """
    encoder_node, denoiser_node = _network_nodes(cfg)
    encoder_node |= {"fps": corpus.fps}
    encoder = build(encoder_node)
    motion_node = _motion_node(corpus, cfg.motion_scale)
    motion = build(motion_node)
    denoiser_node |= {
        "motion_dim": motion.dim,
        "audio_dim": encoder.width,
        "conditions": {"style": len(corpus.styles)},
        "period": round(corpus.fps),
    }
    has_phones = (corpus.root / "phones").is_dir()
    num_visemes = (len(VISEMES) if has_phones else 0) if cfg.num_visemes == "auto" else int(cfg.num_visemes)
    topology_hash = (
        corpus.topology_hash if corpus.motion == "vertices" else ""
    )  # controls drive any head that has the shapes
    rest: dict[str, Any] = {
        "fps": corpus.fps,
        "style_names": list(corpus.styles),
        "topology": corpus.topology_name,
        "topology_hash": topology_hash,
        "num_visemes": num_visemes,
    }
    model = DiffSpeaker(encoder, build(denoiser_node), motion, **rest)
    provenance = {"name": cfg.name, "corpus": corpus.name, "seed": cfg.seed, "trained_with": __version__}
    if cfg.init is not None:
        provenance |= {"init": take_weights(model, cfg.init)}
    schedule = {k: v for k, v in _plain(cfg.schedule).items() if k != "_target_"}
    config: dict[str, Any] = {
        "model": {
            "_target_": "diffspeaker3d.models.DiffSpeaker",
            "audio_encoder": encoder_node,
            "denoiser": denoiser_node,
            "motion": motion_node,
            **rest,
        },
        "schedule": schedule,
        "sampling": {"steps": cfg.steps},
        "provenance": provenance,
    }
    if corpus.styles == STYLE_NAMES:
        config["styles"] = dict(PRESETS)
        # Sparse events that nothing in the sound announces: a small model samples too few of them (docs/voice.md).
        config["procedural"] = ["lids", "gaze", "brows"]
        if model.denoiser.draws_noise:
            config["sampling"]["temperature"] = dict(TEMPERATURE)
    if corpus.motion == "controls" and num_visemes:
        config["lips"] = asdict(LipRule())
    return config, model


def take_weights(model: DiffSpeaker, folder: str | Path) -> str:
    """Copy a checkpoint's weights into a model: all of the network but what belongs to the other corpus.

    Args:
        model: has the checkpoint's audio encoder and denoiser sizes.
        folder: the checkpoint.

    Returns:
        str: the checkpoint's name, for provenance.

    Raises:
        InputError: no checkpoint, or a weight of the network that is missing or has another size.
    """
    trained, config = load_checkpoint(folder)
    source, fresh = trained.state_dict(), []
    manners = trained.style_names == model.style_names == STYLE_NAMES  # mean the same in every corpus; speakers do not
    own = OF_THE_CORPUS[:1] if manners else OF_THE_CORPUS
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            fits = name in source and source[name].shape == tensor.shape
            if name.startswith(own) or (name.startswith(OF_THE_TOPOLOGY) and not fits):
                fresh.append(name)
            elif fits:
                tensor.copy_(source[name])
            else:
                theirs = tuple(source[name].shape) if name in source else "nothing"
                raise InputError(f"init={folder}: {name} has shape {tuple(tensor.shape)} here and {theirs} there")
    log.info("weights of %s; new: %s", folder, ", ".join(fresh))
    return str(config.get("provenance", {}).get("name", Path(folder).name))


def _network_nodes(cfg: DictConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """Audio encoder and denoiser as configured, or as the checkpoint in `init` has them."""
    if cfg.init is None:
        return _plain(cfg.audio_encoder), _plain(cfg.denoiser)
    node = read_config(cfg.init).get("model") or {}
    if "audio_encoder" not in node or "denoiser" not in node:
        raise InputError(f"init={cfg.init}: is not a checkpoint of this program")
    return dict(node["audio_encoder"]), dict(node["denoiser"])


def _plain(node: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _motion_node(corpus: Corpus, motion_scale: str | float) -> dict[str, Any]:
    """The motion space, of unit variance (`auto`) or divided by a number."""
    if motion_scale != "auto" and not (isinstance(motion_scale, int | float) and motion_scale > 0):
        raise InputError(f"motion_scale={motion_scale}: auto, or a positive number")
    statistics = motion_statistics(corpus)
    if not all(math.isfinite(s) for s in statistics.scale):
        broken = [clip.id for clip in corpus.split("train") if not np.isfinite(corpus.load_motion(clip)).all()]
        raise InputError(
            f"{corpus.root}: the motion of clip {', '.join(broken[:4])} is not finite; prepare the corpus again"
        )
    if corpus.motion == "vertices":
        scale = statistics.scale[0] if motion_scale == "auto" else float(motion_scale)
        return {
            "_target_": "diffspeaker3d.models.VertexMotion",
            "num_vertices": corpus.topology.num_vertices,
            "scale": scale,
        }
    scales = [max(s, QUIETEST_SCALE) if motion_scale == "auto" else float(motion_scale) for s in statistics.scale]
    groups = {name: list(members) for name, members in CONTROLS_OF.items()}
    return {
        "_target_": "diffspeaker3d.models.ControlMotion",
        "names": list(CONTROL_NAMES),
        "mean": statistics.mean,
        "scale": scales,
        "groups": groups,
    }
