"""The autoregressive baseline goes through the same loop, resumes bit for bit, and its checkpoint animates like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from small_run import configure, equal, saved, write_corpus
from test_resume import Stopped, stop_at

from diffspeaker3d.audio import load_audio
from diffspeaker3d.config import CONF_DIR
from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.generation.pipeline import SpeechAnimator
from diffspeaker3d.generation.styles import Styles
from diffspeaker3d.models import AutoregressiveModel, load_checkpoint
from diffspeaker3d.training.assemble import build_model
from diffspeaker3d.training.run import train
from diffspeaker3d.training.state import LAST

BASELINE = "denoiser=faceformer"


def test_it_trains_resumes_and_animates(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = train(configure(corpus, tmp_path / "whole", BASELINE))
    whole, out = saved(tmp_path / "whole" / LAST), tmp_path / "stopped"
    with monkeypatch.context() as accident, pytest.raises(Stopped):
        stop_at(accident, 4)
        train(configure(corpus, out, BASELINE))
    train(configure(corpus, out, BASELINE))
    assert equal(saved(out / LAST), whole)

    model, config = load_checkpoint(checkpoint)
    assert isinstance(model.denoiser, AutoregressiveModel) and config["provenance"]["steps"] == 6
    found = Corpus.load(corpus)
    clip = found.split("val")[0]
    animation = SpeechAnimator.from_pretrained(checkpoint)(found.audio_path(clip), style=clip.style, template="bob")
    style = torch.tensor([Styles({}, model.style_names).vector(clip.style)])
    waveform = torch.from_numpy(load_audio(found.audio_path(clip)))[None]
    with torch.inference_mode():
        features = model.audio_encoder(waveform, torch.tensor([waveform.shape[1]]), torch.tensor([clip.num_frames]))
        motion = model.motion.decode(model.denoiser.generate(features, {"style": style}))
    expected = found.topology.template("bob") + motion.reshape(-1, 4, 3).numpy()
    np.testing.assert_allclose(animation.vertices, expected, atol=1e-6)
    assert np.abs(motion.numpy()).max() > 0, "six steps move the face"


def test_seeds_and_steps_change_nothing(corpus: Path, tmp_path: Path) -> None:
    animator = SpeechAnimator.from_pretrained(
        train(configure(corpus, tmp_path / "run", BASELINE, "trainer.max_steps=2", "draws=3"))
    )
    sound = Corpus.load(corpus).audio_path(Corpus.load(corpus).clips[0])
    np.testing.assert_array_equal(animator(sound, seed=0).vertices, animator(sound, seed=7, steps=3).vertices)


def test_it_goes_on_to_another_corpus(corpus: Path, tmp_path: Path) -> None:
    """Its network from the checkpoint; its styles anew, and on another topology what its two maps cannot keep."""
    first = train(configure(corpus, tmp_path / "first", BASELINE, "trainer.max_steps=2"))
    other = write_corpus(tmp_path / "other", vertices=5)
    model = build_model(configure(other.root, tmp_path / "second", f"init={first}"), other)[1]
    source, fresh = load_checkpoint(first)[0].state_dict(), model.state_dict()
    new = {
        name for name in fresh if fresh[name].shape != source[name].shape or not torch.equal(fresh[name], source[name])
    }
    assert new == {
        "motion.scale",
        "denoiser.conditions.style.weight",
        "denoiser.input.weight",
        "denoiser.output.weight",
        "denoiser.output.bias",
    }
    assert torch.equal(model.denoiser.audio.weight, source["denoiser.audio.weight"])


@pytest.mark.parametrize(
    ("name", "other", "width"),
    [("faceformer", "mannequin", 192), ("faceformer_vocaset", "vocaset", 64), ("faceformer_biwi", "biwi", 128)],
)
def test_its_recipes_differ_from_ours_in_the_network_only(name: str, other: str, width: int) -> None:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        baseline, ours = (
            compose("train", overrides=[f"experiment={experiment}", "out=x"]) for experiment in (name, other)
        )
    assert {key for key in ours if baseline[key] != ours[key]} - {"trainer"} == {"name", "denoiser"}
    assert {key for key in ours.trainer if baseline.trainer[key] != ours.trainer[key]} <= {"max_steps"}
    assert baseline.denoiser._target_.endswith("AutoregressiveModel") and baseline.denoiser.width == width
