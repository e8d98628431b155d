"""Conversion of official checkpoints, on synthetic ones of the same names."""

import argparse
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

transformers = pytest.importorskip("transformers")

from diffspeaker3d.errors import InputError  # noqa: E402
from diffspeaker3d.models import convert_official, load_checkpoint  # noqa: E402
from diffspeaker3d.models.convert import read_tensors  # noqa: E402

ARCHITECTURE = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
C, D, A, S = 16, 12, 16, 6


class Executed(Exception):
    """Raised if foreign code in a checkpoint runs."""


class Trap:
    """Building or restoring this object is what must not happen."""

    def __init__(self) -> None:
        self.armed = True

    def __setstate__(self, state: object) -> None:
        raise Executed


class Bomb:
    """Unpickling this calls a function."""

    def __init__(self, function: object) -> None:
        self.function = function

    def __reduce__(self) -> tuple[object, ...]:
        return (self.function, ("exploded",))


def explode(name: str) -> None:
    Path(name).touch()


def official_state(encoder: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    layer = "denoiser.transformer_decoder.layers.0."
    shapes = {
        "denoiser.vertice_map.weight": (C, D), "denoiser.vertice_map.bias": (C,), "denoiser.motion_decoder.weight": (D, C),
        "denoiser.motion_decoder.bias": (D,), "denoiser.audio_feature_map.weight": (C, A), "denoiser.audio_feature_map.bias": (C,),
        "denoiser.time_embedding.linear_1.weight": (C, A), "denoiser.time_embedding.linear_1.bias": (C,),
        "denoiser.time_embedding.linear_2.weight": (C, C), "denoiser.time_embedding.linear_2.bias": (C,),
        "denoiser.obj_vector.weight": (S, C), layer + "linear1.weight": (2 * C, C), layer + "linear1.bias": (2 * C,),
        layer + "linear2.weight": (C, 2 * C), layer + "linear2.bias": (C,), "denoiser.PPE.pe": (1, 20, C),
    }  # fmt: skip
    for part in ("self_attn", "multihead_attn"):
        shapes |= {f"{layer}{part}.in_proj_weight": (3 * C, C), f"{layer}{part}.in_proj_bias": (3 * C,)}
        shapes |= {f"{layer}{part}.out_proj.weight": (C, C), f"{layer}{part}.out_proj.bias": (C,)}
    for norm in ("norm1", "norm2", "norm3"):
        shapes |= {f"{layer}{norm}.weight": (C,), f"{layer}{norm}.bias": (C,)}
    state = {name: torch.randn(shape) for name, shape in shapes.items()}
    audio = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(encoder, **ARCHITECTURE)).state_dict()
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    for name, value in audio.items():
        for new, previous in old.items():
            name = name.replace(new, previous)  # as saved by the transformers of that time
        state["audio_encoder." + name] = value
    return state


@pytest.mark.parametrize("encoder", ["wav2vec2", "hubert"])
def test_converts_and_predicts(encoder: str, tmp_path: Path) -> None:
    state = official_state(encoder)
    content = {
        "state_dict": state,
        "epoch": 3,
        "hyper_parameters": argparse.Namespace(cfg=Trap()),
        "optimizer_states": [],
    }
    torch.save(content, tmp_path / "official.ckpt")
    convert_official(tmp_path / "official.ckpt", tmp_path / "ours", "biwi", encoder, ARCHITECTURE)
    model, config = load_checkpoint(tmp_path / "ours")
    assert model.fps == 25 and model.style_names[0] == "F2" and model.denoiser.period == 25
    assert config["sampling"] == {"sampler": "official", "steps": 50, "spacing": "leading"}
    assert torch.equal(model.denoiser.conditions["style"](torch.eye(S))[:, 0], state["denoiser.obj_vector.weight"])
    attention = model.denoiser.layers[0].cross_attention
    stacked = torch.cat([attention.query.weight, attention.key_value.weight])
    assert torch.equal(stacked, state["denoiser.transformer_decoder.layers.0.multihead_attn.in_proj_weight"])
    waveform = torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = model.audio_encoder(waveform, torch.tensor([16000]), torch.tensor([25]))
        motion = model.denoiser(torch.randn(1, 25, D), torch.tensor([5]), features, {"style": torch.eye(S)[:1]})
    assert motion.shape == (1, 25, D) and motion.abs().max() > 0.1


def test_nothing_but_tensors_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"w": torch.ones(2)}, "callbacks": Trap(), "hparams": [Bomb(explode)]}, "x.ckpt")
    tensors = read_tensors("x.ckpt")
    assert torch.equal(tensors["w"], torch.ones(2))
    torch.save({"state_dict": {"w": torch.ones(2)}, "hparams": [Bomb(os.mkdir)]}, "y.ckpt")
    with pytest.raises(InputError, match="state_dict alone"):
        read_tensors("y.ckpt")
    assert not Path("exploded").exists()


def test_missing_unknown_and_foreign_are_refused(tmp_path: Path) -> None:
    state = official_state("wav2vec2")
    path = tmp_path / "x.ckpt"

    def refuse(content: object, match: str, dataset: str = "biwi") -> None:
        torch.save(content, path)
        with pytest.raises(InputError, match=match) as caught:
            convert_official(path, tmp_path / "ours", dataset, "wav2vec2", ARCHITECTURE)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "ours").exists()

    refuse({"state_dict": {k: v for k, v in state.items() if not k.endswith("norm2.bias")}}, "norm2.bias")
    refuse({"state_dict": {**state, "denoiser.surprise": torch.ones(1)}}, "surprise")
    refuse({"state_dict": {**state, "audio_encoder.surprise": torch.ones(1)}}, "surprise")
    refuse({"state_dict": state}, "6 styles", dataset="vocaset")
    refuse({"epoch": 3}, "no state_dict")
    path.write_bytes(b"rubbish")
    with pytest.raises(InputError, match="safely"):
        convert_official(path, tmp_path / "ours")
    with pytest.raises(InputError, match="known: vocaset, biwi"):
        convert_official(path, tmp_path / "ours", "multiface")
    with pytest.raises(InputError, match="no such checkpoint"):
        convert_official(tmp_path / "none.ckpt", tmp_path / "ours")
