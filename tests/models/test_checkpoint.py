"""Checkpoints: what is saved comes back, and nothing else does."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from diffspeaker3d.errors import InputError
from diffspeaker3d.models import DiffSpeaker, build, checkpoint_hash, load_checkpoint, save_checkpoint

CONFIG: dict[str, Any] = {
    "model": {
        "_target_": "diffspeaker3d.models.DiffSpeaker",
        "audio_encoder": {"_target_": "diffspeaker3d.models.MelEncoder", "fps": 30, "width": 8, "num_mels": 10, "dilations": [1, 2]},
        "denoiser": {
            "_target_": "diffspeaker3d.models.Denoiser", "motion_dim": 6, "audio_dim": 8, "width": 16, "feedforward": 16, "conditions": {"style": 2},
        },
        "motion": {"_target_": "diffspeaker3d.models.VertexMotion", "num_vertices": 2, "scale": 0.25},
        "fps": 30, "style_names": ["anna", "ben"], "topology": "pair", "num_visemes": 3,
    },
    "schedule": {"kind": "cosine", "zero_terminal_snr": True},
}  # fmt: skip


def model() -> DiffSpeaker:
    torch.manual_seed(0)
    built: DiffSpeaker = build(CONFIG["model"]).eval()
    torch.nn.init.normal_(built.denoiser.output.weight)
    return built


def answers(network: DiffSpeaker) -> tuple[torch.Tensor, torch.Tensor]:
    """What the network makes of one batch: motion and viseme logits."""
    x_t, timestep, waveform, num_samples, num_frames, style = batch()
    with torch.no_grad():
        features = network.audio_encoder(waveform, num_samples, num_frames)
        logits = network.viseme_logits(features)
        assert logits is not None
        return network.denoiser(x_t, timestep, features, {"style": style}), logits


def batch() -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(2, 30, 6, generator=generator),
        torch.tensor([10, 900]),
        torch.randn(2, 16000, generator=generator),
        torch.tensor([16000, 9000]),
        torch.tensor([30, 16]),
        torch.eye(2),
    )


def test_round_trip_gives_the_same_output_and_configuration(tmp_path: Path) -> None:
    original = model()
    original.motion.scale.fill_(0.5)
    save_checkpoint(tmp_path / "c", original, CONFIG, "# card\n")
    loaded, config = load_checkpoint(tmp_path / "c")
    torch.testing.assert_close(answers(loaded), answers(original))
    assert float(loaded.motion.scale) == 0.5
    assert config["schedule"] == CONFIG["schedule"] and config["format_version"] == 2
    assert (tmp_path / "c" / "model_card.md").read_text() == "# card\n"
    assert len(checkpoint_hash(tmp_path / "c")) == 16


def test_half_size_storage_loads_as_float32_and_is_near(tmp_path: Path) -> None:
    original = model()
    original.motion.scale.fill_(0.123456789)
    save_checkpoint(tmp_path / "full", original, CONFIG, "")
    save_checkpoint(tmp_path / "half", original, CONFIG, "", half=True)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.7 * sizes[0]
    loaded, _ = load_checkpoint(tmp_path / "half")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.motion.scale, original.motion.scale)
    torch.testing.assert_close(answers(loaded)[0], answers(original)[0], atol=0.02, rtol=0.02)


def test_saving_again_replaces_and_leaves_no_litter(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", model(), CONFIG, "one")
    save_checkpoint(tmp_path / "c", model(), CONFIG, "two")
    assert (tmp_path / "c" / "model_card.md").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_text("x")
    with pytest.raises(InputError, match="not a checkpoint"):
        save_checkpoint(tmp_path / "photos", model(), CONFIG, "")
    assert (tmp_path / "photos" / "holiday.jpg").exists()


def test_a_failed_save_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(yaml.YAMLError):
        save_checkpoint(tmp_path / "c", model(), {**CONFIG, "oops": object()}, "")
    assert list(tmp_path.iterdir()) == []


def test_missing_extra_and_misshapen_weights_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    save_checkpoint(folder, model(), CONFIG, "")
    weights = load_file(folder / "model.safetensors")
    first = next(iter(weights))
    for broken in (
        {name: value for name, value in weights.items() if name != first},
        {**weights, "extra": torch.zeros(1)},
        {**weights, first: torch.zeros(3, 5, 7)},
    ):
        save_file(broken, folder / "model.safetensors")
        with pytest.raises(InputError, match="does not fit"):
            load_checkpoint(folder)
    (folder / "model.safetensors").write_bytes(b"not safetensors at all")
    with pytest.raises(InputError, match="does not fit"):
        load_checkpoint(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="copy the whole"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "torch.nn.Linear",
        "diffspeaker3d.models.build",
        "diffspeaker3d.models.checkpoint.shutil.rmtree",
        "diffspeaker3d.files.atomic_path",
    ],
)
def test_only_our_modules_can_be_built(target: str) -> None:
    with pytest.raises(InputError, match="may not build"):
        build({"_target_": target})


def test_wrong_arguments_versions_and_folders_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be built"):
        build({"_target_": "diffspeaker3d.models.VertexMotion", "vertices": 3})
    with pytest.raises(InputError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none")
    with pytest.raises(InputError, match="is not a checkpoint"):
        load_checkpoint(tmp_path)
    save_checkpoint(tmp_path / "c", model(), CONFIG, "")
    path = tmp_path / "c" / "config.yaml"
    path.write_text(path.read_text().replace("format_version: 2", "format_version: 99"))
    with pytest.raises(InputError, match="99"):
        load_checkpoint(tmp_path / "c")


def test_parts_that_do_not_fit_are_refused() -> None:
    for key, value in (("fps", 25), ("style_names", ["anna"])):
        with pytest.raises(InputError, match="fit"):
            build({**CONFIG["model"], key: value})
