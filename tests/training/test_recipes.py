"""Recipes say what they mean: the paper's numbers, one change per ablation, a checkpoint that goes on elsewhere."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from small_run import configure, saved, write_corpus

from diffspeaker3d.config import CONF_DIR
from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.errors import InputError
from diffspeaker3d.generation.pipeline import SpeechAnimator
from diffspeaker3d.models import load_checkpoint
from diffspeaker3d.training.assemble import build_model
from diffspeaker3d.training.module import TIMESTEPS
from diffspeaker3d.training.run import train
from diffspeaker3d.training.state import LAST


def recipe(name: str, *more: str) -> DictConfig:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose("train", overrides=[f"experiment={name}", "out=x", *more], return_hydra_config=True)


@pytest.mark.parametrize(
    ("name", "width", "clips_per_step", "steps", "model"),
    [
        ("vocaset_wav2vec2", 512, 32, 81_000, "wav2vec2-base-960h"),
        ("vocaset_hubert", 512, 32, 90_000, "hubert-base-ls960"),
        ("biwi_wav2vec2", 1024, 128, 21_000, "wav2vec2-base-960h"),
        ("biwi_hubert", 1024, 64, 30_000, "hubert-base-ls960"),
    ],
)
def test_the_papers_recipes(name: str, width: int, clips_per_step: int, steps: int, model: str) -> None:
    """Numbers of the published configurations: an epoch is 9 (VOCASET) or 192 * 20 / clips per step (BIWI) steps."""
    cfg = recipe(name)
    assert (cfg.denoiser.width, cfg.denoiser.feedforward, cfg.denoiser.layers, cfg.denoiser.heads) == (
        width,
        2 * width,
        1,
        4,
    )
    assert cfg.data.batch_size * cfg.trainer.devices * cfg.trainer.accumulate_grad_batches == clips_per_step
    assert (
        cfg.trainer.max_steps == steps and cfg.trainer.gradient_clip_val is None and cfg.trainer.precision == "32-true"
    )
    assert (cfg.optimizer.lr, cfg.optimizer.weight_decay, cfg.rate, cfg.ema_decay, cfg.draws) == (
        1e-4,
        0.01,
        "constant",
        0.0,
        1,
    )
    assert (cfg.schedule.kind, cfg.schedule.beta_start, cfg.schedule.beta_end, cfg.schedule.zero_terminal_snr) == (
        "scaled_linear",
        0.00085,
        0.012,
        False,
    )
    assert (cfg.motion_scale, cfg.calibrate, cfg.timesteps, cfg.data.crop_seconds, cfg.data.augment) == (
        1,
        False,
        "uniform",
        None,
        False,
    )
    assert cfg.audio_encoder.name_or_path.endswith(model) and cfg.audio_encoder.alignment == "endpoints"
    assert list(cfg.audio_encoder.trainable) == ["feature_projection.*", "encoder.*"]
    assert dict(cfg.loss.weights) == {"vertex": 1.0, "velocity": 1.0}


def test_without_decay_the_average_is_the_model(corpus: Path, tmp_path: Path) -> None:
    """ema_decay=0, the paper's way: what is exported is what was trained."""
    train(configure(corpus, tmp_path / "run", "ema_decay=0"))
    state = saved(tmp_path / "run" / LAST)["state_dict"]
    names = [name.removeprefix("model.") for name in state if name.startswith("model.")]
    assert names and all(torch.equal(state[f"model.{name}"], state[f"average.module.{name}"]) for name in names)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("no_self_bias", {"denoiser.self_bias": False}),
        ("no_cross_bias", {"denoiser.cross_bias": False}),
        ("no_condition_tokens", {"denoiser.tokens": []}),
        ("raw_scale", {"motion_scale": 1}),
        ("one_step", {"timesteps": "last", "steps": 1}),
        ("no_biases", {"denoiser.self_bias": False, "denoiser.cross_bias": False}),
    ],
)
def test_an_ablation_changes_one_thing_and_trains(name: str, changed: dict, corpus: Path, tmp_path: Path) -> None:
    whole, without = (flat(recipe(stem)) for stem in ("ablation", f"ablation_{name}"))
    different = {key: value for key, value in without.items() if whole.get(key) != value and key != "name"}
    assert different == changed and set(whole) <= set(without)
    settings = [f"{'+' if key.startswith('denoiser.') else ''}{key}={value}" for key, value in changed.items()]
    model, config = load_checkpoint(train(configure(corpus, tmp_path / "run", "trainer.max_steps=1", *settings)))
    switches = {key.removeprefix("denoiser."): value for key, value in changed.items() if key.startswith("denoiser.")}
    assert config["model"]["denoiser"].items() >= switches.items(), "inference must do without it, too"
    assert config["sampling"]["steps"] == changed.get("steps", 2)
    assert name != "raw_scale" or model.motion.scale == 1


def test_ablation_runs_of_all_names_and_seeds_have_folders_of_their_own() -> None:
    names = [path.stem for path in (CONF_DIR / "experiment").glob("ablation*.yaml")]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        runs = [compose("train", overrides=[f"experiment={name}", f"seed={seed}"]) for name in names for seed in (0, 1)]
    assert len({run.out for run in runs}) == 2 * len(names) == 14
    assert all(run.name in run.out and str(run.seed) in run.out for run in runs)


def flat(node: DictConfig) -> dict:
    """Dotted name -> value, hydra's own left out."""
    found: dict = {}

    def walk(tree: dict, prefix: str) -> None:
        for key, value in tree.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{key}.")
            else:
                found[f"{prefix}{key}"] = value

    walk({k: v for k, v in OmegaConf.to_container(node, resolve=False).items() if k != "hydra"}, "")
    return found


def test_how_noise_levels_are_drawn() -> None:
    share = torch.rand(100_000, generator=torch.Generator().manual_seed(0))
    assert abs(TIMESTEPS["rising"](share).mean() - 2 / 3) < 0.01
    assert abs(TIMESTEPS["uniform"](share).mean() - 1 / 2) < 0.01
    assert TIMESTEPS["last"](share).eq(1).all()


@pytest.fixture
def trained(corpus: Path, tmp_path: Path) -> Path:
    """A checkpoint of a small run."""
    return train(configure(corpus, tmp_path / "first"))


def test_finetuning_takes_the_network_and_nothing_of_the_other_corpus(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On a head of the same topology: all weights but styles; sizes come from the checkpoint, not from the defaults."""
    other = write_corpus(tmp_path / "other", count=5)
    cfg = configure(other.root, tmp_path / "second", "denoiser.width=64", f"init={trained}", "trainer.max_steps=1")
    with caplog.at_level(logging.INFO):
        model = build_model(cfg, other)[1]
    source, fresh = load_checkpoint(trained)[0].state_dict(), model.state_dict()
    assert {name for name in fresh if not torch.equal(fresh[name], source[name])} == {
        "motion.scale",
        "denoiser.conditions.style.weight",
    }
    assert "new: denoiser.conditions.style.weight, motion.scale" in caplog.text
    checkpoint = train(cfg)
    assert load_checkpoint(checkpoint)[1]["provenance"]["init"] == "small"
    sound = other.audio_path(other.clips[0])
    assert SpeechAnimator.from_pretrained(checkpoint)(sound).vertices.shape == (20, 4, 3)


def test_finetuning_on_another_topology_begins_its_maps_anew(trained: Path, tmp_path: Path) -> None:
    """Of the default checkpoint's kind: blendshape controls there, vertices here."""
    other = write_corpus(tmp_path / "other", vertices=5)
    cfg = configure(other.root, tmp_path / "second", f"init={trained}", "trainer.max_steps=1")
    model, source = build_model(cfg, other)[1], load_checkpoint(trained)[0]
    assert model.denoiser.input.weight.shape == (16, 15)
    assert torch.equal(model.denoiser.audio.weight, source.denoiser.audio.weight)
    train(cfg)


def test_a_checkpoint_that_is_none_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such checkpoint"):
        train(configure(corpus, tmp_path / "run", "init=nowhere"))
    assert recipe("finetune", "init=x").dataset.name == "folder"


def test_training_stops_early_when_validation_no_longer_improves(corpus: Path, tmp_path: Path) -> None:
    """A rate of nothing: val/loss never falls, two validations later it is over, and the checkpoint is there."""
    early = "early_stopping={patience: 2, min_delta: 1e-6}"
    checkpoint = train(configure(corpus, tmp_path / "run", "optimizer.lr=1e-20", "trainer.max_steps=60", early))
    assert saved(tmp_path / "run" / LAST)["global_step"] == 9  # epochs of three steps: the first sets the mark
    assert Corpus.load(corpus) and load_checkpoint(checkpoint)[0]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("timesteps=often", "known: rising, uniform, last"),
        ("motion_scale=big", "a positive number"),
        ("rate=step", "known: cosine, constant"),
    ],
)
def test_unknown_values_name_the_known(corpus: Path, tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(configure(corpus, tmp_path / "run", setting))
