"""Checkpoints of format version 1 load, with the numbers they had."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

from diffspeaker3d.models import AutoregressiveModel, load_checkpoint, read_config
from diffspeaker3d.models.attention import OwnAudio

ENCODER = {"_target_": "diffspeaker3d.models.MelEncoder", "fps": 30, "width": 8, "num_mels": 10, "dilations": [1]}
SIZES = {"motion_dim": 6, "audio_dim": 8, "width": 16, "feedforward": 24, "layers": 2, "style_dim": 2, "period": 30}


def version_1(folder: Path, denoiser: dict[str, Any], weights: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Write a checkpoint as version 1 did: its denoiser's weights by shape, those of the encoder from a fresh one."""
    from diffspeaker3d.models import MelEncoder

    config = {
        "format_version": 1,
        "model": {
            "_target_": "diffspeaker3d.models.DiffSpeaker", "audio_encoder": ENCODER, "denoiser": denoiser,
            "motion": {"_target_": "diffspeaker3d.models.VertexMotion", "num_vertices": 2},
            "fps": 30, "style_names": ["anna", "ben"], "topology": "pair",
        },
        "schedule": {},
    }  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    state = {f"denoiser.{name}": torch.randn(shape, generator=generator) for name, shape in weights.items()}
    encoder = MelEncoder(30.0, width=8, num_mels=10, dilations=(1,)).state_dict()
    rest = {f"audio_encoder.{name}": value.contiguous() for name, value in encoder.items()}
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    save_file(state | rest | {"motion.scale": torch.tensor(1.0)}, folder / "model.safetensors")
    return state


def linear(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def both() -> dict[str, tuple[int, ...]]:
    """What both kinds of network had in version 1."""
    shapes = linear("input", 16, 6) | linear("output", 6, 16) | linear("audio", 16, 8)
    for layer in ("layers.0.", "layers.1."):
        for part in ("query", "output"):
            shapes |= linear(f"{layer}self_attention.{part}", 16, 16)
        shapes |= linear(f"{layer}self_attention.key_value", 32, 16)
        shapes |= linear(f"{layer}feedforward.0", 24, 16) | linear(f"{layer}feedforward.3", 16, 24)
        for norm in ("norm1", "norm2"):
            shapes |= {f"{layer}{norm}.weight": (16,), f"{layer}{norm}.bias": (16,)}
    return shapes


def denoiser_shapes() -> dict[str, tuple[int, ...]]:
    shapes = both() | {"style.weight": (32, 2)} | linear("timestep.0", 32, 8) | linear("timestep.2", 32, 32)
    for layer in ("layers.0.", "layers.1."):
        for part in ("query", "output"):
            shapes |= linear(f"{layer}cross_attention.{part}", 16, 16)
        shapes |= linear(f"{layer}cross_attention.key_value", 32, 16)
        shapes |= {f"{layer}norm3.weight": (16,), f"{layer}norm3.bias": (16,)}
    return shapes


@pytest.mark.parametrize("tokens", [True, False])
def test_a_denoiser_of_version_1(tokens: bool, tmp_path: Path) -> None:
    """With tokens nothing but names changes; without, the weights of cross-attention that were never trained go."""
    node = {"_target_": "diffspeaker3d.models.Denoiser", **SIZES} | ({} if tokens else {"condition_tokens": False})
    stored = version_1(tmp_path / "c", node, denoiser_shapes())
    model, config = load_checkpoint(tmp_path / "c")
    assert config["format_version"] == 2 and read_config(tmp_path / "c") == config
    assert model.denoiser.tokens == (("style", "timestep") if tokens else ())
    assert model.denoiser.reach == 600, "it saw all of a clip of 20 s"
    state = model.state_dict()
    torch.testing.assert_close(state["denoiser.conditions.style.weight"], stored["denoiser.style.weight"])
    cross = "denoiser.layers.1.cross_attention."
    if tokens:
        assert len(state) == len(stored) + len(model.audio_encoder.state_dict()) + 1
        torch.testing.assert_close(state[cross + "key_value.weight"], stored[cross + "key_value.weight"])
    else:
        assert isinstance(model.denoiser.layers[1].cross_attention, OwnAudio)
        assert not any("cross_attention.query" in name or "norm2" in name for name in state)
        audio = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(1))
        key_value, output = (cross + part for part in ("key_value", "output"))
        value = audio @ stored[key_value + ".weight"][16:].T + stored[key_value + ".bias"][16:]
        want = value @ stored[output + ".weight"].T + stored[output + ".bias"]
        got = model.denoiser.layers[1].cross_attention(None, None, audio)
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


def test_an_autoregressive_model_of_version_1(tmp_path: Path) -> None:
    shapes = both() | {"style.weight": (16, 2)}
    for layer in ("layers.0.", "layers.1."):
        shapes |= linear(f"{layer}cross_attention.0", 16, 16) | linear(f"{layer}cross_attention.2", 16, 16)
    stored = version_1(tmp_path / "c", {"_target_": "diffspeaker3d.models.AutoregressiveDecoder", **SIZES}, shapes)
    model, _ = load_checkpoint(tmp_path / "c")
    assert isinstance(model.denoiser, AutoregressiveModel)
    value = model.denoiser.layers[0].cross_attention.value
    torch.testing.assert_close(value.weight.detach(), stored["denoiser.layers.0.cross_attention.0.weight"])
