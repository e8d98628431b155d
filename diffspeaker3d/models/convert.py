"""Official DiffSpeaker checkpoints (PyTorch Lightning) into our format. Only tensors are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import torch
from torch import Tensor

from diffspeaker3d.errors import InputError
from diffspeaker3d.models.checkpoint import build, save_checkpoint


@dataclass(frozen=True)
class OfficialCorpus:
    """What the official configuration of a corpus fixes and its checkpoint does not say."""

    fps: int
    heads: int
    style_names: tuple[str, ...]
    topology: str


_VOCASET_SPEAKERS = (
    "170728_03272",
    "170904_00128",
    "170725_00137",
    "170915_00223",
    "170811_03274",
    "170913_03279",
    "170904_03276",
    "170912_03278",
)
CORPORA = {
    "vocaset": OfficialCorpus(30, 4, tuple(f"FaceTalk_{speaker}_TA" for speaker in _VOCASET_SPEAKERS), "flame"),
    "biwi": OfficialCorpus(25, 4, ("F2", "F3", "F4", "M3", "M4", "M5"), "biwi"),
}
ENCODERS = ("wav2vec2", "hubert")
REACH = 20.0  # s; longer than any clip of the corpora, so that attention is full as the official code's
AUDIO_PREFIX, DENOISER_PREFIX = "audio_encoder.", "denoiser."

# Official name -> ours. The first group of a pattern is the layer number.
_NAMES = (
    (r"vertice_map\.(weight|bias)", r"input.\1"),
    (r"motion_decoder\.(weight|bias)", r"output.\1"),
    (r"audio_feature_map\.(weight|bias)", r"audio.\1"),
    (r"time_embedding\.linear_1\.(weight|bias)", r"timestep.0.\1"),
    (r"time_embedding\.linear_2\.(weight|bias)", r"timestep.2.\1"),
    (r"obj_vector\.weight", r"conditions.style.weight"),
    (r"transformer_decoder\.layers\.(\d+)\.self_attn\.in_proj_(weight|bias)", r"layers.\1.self_attention.STACKED.\2"),
    (r"transformer_decoder\.layers\.(\d+)\.self_attn\.out_proj\.(weight|bias)", r"layers.\1.self_attention.output.\2"),
    (
        r"transformer_decoder\.layers\.(\d+)\.multihead_attn\.in_proj_(weight|bias)",
        r"layers.\1.cross_attention.STACKED.\2",
    ),
    (
        r"transformer_decoder\.layers\.(\d+)\.multihead_attn\.out_proj\.(weight|bias)",
        r"layers.\1.cross_attention.output.\2",
    ),
    (r"transformer_decoder\.layers\.(\d+)\.linear1\.(weight|bias)", r"layers.\1.feedforward.0.\2"),
    (r"transformer_decoder\.layers\.(\d+)\.linear2\.(weight|bias)", r"layers.\1.feedforward.3.\2"),
    (r"transformer_decoder\.layers\.(\d+)\.(norm[123])\.(weight|bias)", r"layers.\1.\2.\3"),
)
_IGNORED = frozenset({"PPE.pe"})  # the table of positions, which we compute


def convert_official(
    checkpoint: str | Path,
    folder: str | Path,
    dataset: str = "vocaset",
    encoder: str = "wav2vec2",
    encoder_architecture: Mapping[str, Any] | None = None,
) -> None:
    """Write our checkpoint folder from an official Lightning checkpoint.

    Args:
        checkpoint: FILE.ckpt.
        folder: where to.
        dataset: `vocaset` or `biwi`: fps, period, heads and style order are not in the file.
        encoder: `wav2vec2` or `hubert`; both base size, and the official code runs both through Wav2Vec2Model.
        encoder_architecture: the audio encoder's transformers configuration if it is not the base size.

    Raises:
        InputError: unknown names, a file that is not such a checkpoint, or one with weights missing or left over.
    """
    if dataset not in CORPORA:
        raise InputError(f"checkpoint: unknown dataset {dataset!r}; known: {', '.join(CORPORA)}")
    if encoder not in ENCODERS:
        raise InputError(f"checkpoint: unknown audio encoder {encoder!r}; known: {', '.join(ENCODERS)}")
    state = read_tensors(checkpoint)
    audio = {
        _weight_norm(name.removeprefix(AUDIO_PREFIX)): value
        for name, value in state.items()
        if name.startswith(AUDIO_PREFIX)
    }
    rest = {
        name.removeprefix(DENOISER_PREFIX): value for name, value in state.items() if not name.startswith(AUDIO_PREFIX)
    }
    denoiser = denoiser_weights(rest, str(checkpoint))
    config = _config(denoiser, CORPORA[dataset], dict(encoder_architecture or {}), str(checkpoint))
    model = build(config["model"])
    audio = {
        name: value
        for name, value in audio.items()
        if name != "masked_spec_embed" or name in model.audio_encoder.model.state_dict()
    }
    try:
        model.denoiser.load_state_dict(denoiser, strict=True)
        model.audio_encoder.model.load_state_dict(audio, strict=True)
    except RuntimeError as error:
        reason = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())[:300]
        raise InputError(f"{checkpoint}: is not an official {dataset} checkpoint with {encoder} ({reason})") from error
    save_checkpoint(folder, model, config, _card(Path(checkpoint).name, dataset, encoder))


def denoiser_weights(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Our denoiser's state dict from official names; every name must be known, none may be missing."""
    weights: dict[str, Tensor] = {}
    unknown = []
    for name, value in state.items():
        ours = _our_name(name)
        if ours is not None and "STACKED" in ours:  # queries, keys and values in one
            third = len(value) // 3
            weights[ours.replace("STACKED", "query")] = value[:third].float()
            weights[ours.replace("STACKED", "key_value")] = value[third:].float()
        elif ours is not None:
            weights[ours] = value.float()
        elif name not in _IGNORED:
            unknown.append(name)
    if unknown or "input.weight" not in weights:
        raise InputError(
            f"{source}: not an official denoiser; unknown weights: {', '.join(sorted(unknown)[:5]) or 'none'}, known ones: {len(weights)}"
        )
    embedding = "conditions.style.weight"
    weights[embedding] = weights[embedding].T.contiguous()  # embedding rows -> linear columns
    return weights


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The state dict of a PyTorch file. Whatever else it holds (hyperparameters, callbacks) is never built.

    torch's restricted unpickler runs with an inert stand-in for every foreign class named in the file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint file")
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals([(type("Ignored", (_Ignored,), {}), name) for name in foreign]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (UnpicklingError, RuntimeError, BadZipFile, ValueError, EOFError, OSError) as error:
        reason = " ".join(str(error).partition("WeightsUnpickler error:")[2].split()) or type(error).__name__
        raise InputError(
            f"{path}: cannot be read safely ({reason[:120]}); save its state_dict alone with torch.save"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else {}
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise InputError(f"{path}: has no state_dict with tensors; is it a PyTorch Lightning checkpoint?")
    return tensors


class _Ignored:
    """Takes any arguments and any state, keeps nothing."""

    def __new__(cls, *_: Any) -> _Ignored:
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _our_name(name: str) -> str | None:
    for pattern, ours in _NAMES:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(ours)
    return None


def _weight_norm(name: str) -> str:
    """The positional convolution's weight norm under its present name."""
    return name.replace("conv.weight_g", "conv.parametrizations.weight.original0").replace(
        "conv.weight_v", "conv.parametrizations.weight.original1"
    )


def _config(
    denoiser: Mapping[str, Tensor], corpus: OfficialCorpus, architecture: dict[str, Any], source: str
) -> dict[str, Any]:
    """The configuration that the shapes of the weights imply."""
    width, motion_dim = denoiser["input.weight"].shape
    style_dim = denoiser["conditions.style.weight"].shape[1]
    if motion_dim % 3 or style_dim != len(corpus.style_names):
        raise InputError(
            f"{source}: has {motion_dim} outputs and {style_dim} styles; {corpus.topology} needs 3V and {len(corpus.style_names)}"
        )
    package = "diffspeaker3d.models"
    return {
        "model": {
            "_target_": f"{package}.DiffSpeaker",
            "audio_encoder": {
                "_target_": f"{package}.TransformersEncoder", "name_or_path": "", "fps": corpus.fps, "alignment": "endpoints",
                "hidden_architecture": {"model_type": "wav2vec2", **architecture},
            },
            "denoiser": {
                "_target_": f"{package}.Denoiser", "motion_dim": motion_dim, "audio_dim": denoiser["audio.weight"].shape[1],
                "width": width, "feedforward": denoiser["layers.0.feedforward.0.weight"].shape[0], "heads": corpus.heads,
                "layers": denoiser["conditions.style.weight"].shape[0] // width, "conditions": {"style": style_dim},
                "tokens": ["style", "timestep"], "period": corpus.fps, "reach": REACH,
            },
            "motion": {"_target_": f"{package}.VertexMotion", "num_vertices": motion_dim // 3, "scale": 1.0},
            "fps": corpus.fps, "style_names": list(corpus.style_names), "topology": corpus.topology,
        },
        "schedule": {"kind": "scaled_linear", "num_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012},
        "sampling": {"sampler": "official", "steps": 50, "spacing": "leading"},
        "provenance": {"converted_from": Path(source).name},
    }  # fmt: skip


def _card(name: str, dataset: str, encoder: str) -> str:
    return (
        f"# DiffSpeaker, official weights ({dataset}, {encoder})\n\nConverted from `{name}`. Sampled with `sampler=official`, "
        "50 steps: the iteration these weights were published with. The weights' and the corpus' own licences apply.\n"
    )
