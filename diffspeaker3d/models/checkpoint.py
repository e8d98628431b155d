"""Checkpoints: a folder of config.yaml, model.safetensors and model_card.md. Self-sufficient, strict, no pickle."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import importlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from diffspeaker3d.errors import InputError
from diffspeaker3d.models.diffspeaker import DiffSpeaker
from diffspeaker3d.models.upgrade import FORMAT_VERSION, upgrade_config, upgrade_weights

CONFIG, WEIGHTS, CARD = "config.yaml", "model.safetensors", "model_card.md"
PACKAGE = "diffspeaker3d.models"  # what a checkpoint may build comes from here


def build(node: Any) -> Any:
    """A resolved `_target_` tree to objects: classes that `diffspeaker3d.models` exports, and nothing else.

    Raises:
        InputError: another class, or arguments that it does not take.
    """
    if isinstance(node, Mapping):
        arguments = {key: build(value) for key, value in node.items() if key != "_target_"}
        if "_target_" not in node:
            return arguments
        target = node["_target_"]
        try:
            return _allowed(target)(**arguments)
        except TypeError as error:
            raise InputError(f"checkpoint: {target} cannot be built ({error})") from error
    return [build(value) for value in node] if isinstance(node, list) else node


def save_checkpoint(
    folder: str | Path, model: DiffSpeaker, config: Mapping[str, Any], card: str, half: bool = False
) -> None:
    """Write a checkpoint; the folder appears whole or not at all.

    Args:
        folder: where; an existing checkpoint there is replaced, any other folder refused.
        model: weights come from here.
        config: resolved; `config["model"]` is the `_target_` tree that `build` makes the model from, the rest
            (schedule, sampling, provenance) is kept as it is. Plain numbers, strings, lists and dicts only.
        card: text of the model card, markdown.
        half: store weight matrices as float16: half the size; they load as float32. Biases, scales and means stay exact.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / CONFIG).is_file() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise InputError(f"{folder}: exists and is not a checkpoint; choose another folder")
    content = {"format_version": FORMAT_VERSION, **copy.deepcopy(dict(config))}
    content["model"]["audio_encoder"] |= model.audio_encoder.architecture()
    weights = {
        name: (tensor.half() if half and tensor.ndim > 1 and tensor.dtype == torch.float32 else tensor)
        .detach()
        .cpu()
        .contiguous()
        for name, tensor in model.state_dict().items()
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}-", dir=folder.parent))
    try:
        (temporary / CONFIG).write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
        save_file(weights, temporary / WEIGHTS)
        (temporary / WEIGHTS).chmod(0o644)  # safetensors makes it readable by its owner only
        (temporary / CARD).write_text(card, encoding="utf-8")
        temporary.chmod(0o755)
        _swap(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_checkpoint(folder: str | Path, device: str | torch.device = "cpu") -> tuple[DiffSpeaker, dict[str, Any]]:
    """The model in eval mode and its whole configuration.

    Raises:
        InputError: not a checkpoint, of another format version, or weights and configuration do not fit exactly.
    """
    folder = Path(folder)
    config = read_config(folder)
    model = build(config.get("model"))
    if not isinstance(model, DiffSpeaker):
        raise InputError(f"{folder / CONFIG}: `model` is not a DiffSpeaker; is this checkpoint from another program?")
    try:
        weights = upgrade_weights(load_file(folder / WEIGHTS), _stored_config(folder))
        state = {name: value.float() if value.dtype == torch.float16 else value for name, value in weights.items()}
        model.load_state_dict(state, strict=True)
    except FileNotFoundError as error:
        raise InputError(f"{folder}: has no {WEIGHTS}; copy the whole checkpoint folder") from error
    except (SafetensorError, RuntimeError) as error:
        reason = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())[:300]
        raise InputError(f"{folder / WEIGHTS}: does not fit its configuration ({reason})") from error
    return model.eval().to(device), config


def read_config(folder: str | Path) -> dict[str, Any]:
    """config.yaml of a checkpoint, version checked, one of an earlier format in the present one."""
    return upgrade_config(_stored_config(Path(folder)))


def _stored_config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such checkpoint folder; it holds {CONFIG}, {WEIGHTS} and {CARD}")
    try:
        config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{folder}: is not a checkpoint, it has no {CONFIG}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{folder / CONFIG}: is not readable yaml; copy the checkpoint again") from error
    version = config.get("format_version") if isinstance(config, dict) else None
    if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
        raise InputError(
            f"{folder / CONFIG}: format_version {version}, this program reads 1 to {FORMAT_VERSION}; update diffspeaker3d"
        )
    return dict(config)


def checkpoint_hash(folder: str | Path) -> str:
    """SHA-256 of the weights, first 16 hex digits: the identity of a checkpoint in provenance records."""
    with open(Path(folder) / WEIGHTS, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def _allowed(target: str) -> type[nn.Module]:
    package = importlib.import_module(PACKAGE)
    module, _, name = str(target).rpartition(".")
    known = [
        n
        for n in package.__all__
        if isinstance(getattr(package, n), type) and issubclass(getattr(package, n), nn.Module)
    ]
    if module != PACKAGE or name not in known:
        raise InputError(
            f"checkpoint: may not build {target!r}; known: {', '.join(f'{PACKAGE}.{n}' for n in sorted(known))}"
        )
    found: type[nn.Module] = getattr(package, name)
    return found


def _swap(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`; what stood there goes only once the new one is in place."""
    old = new.with_name(new.name + ".old")
    with contextlib.suppress(FileNotFoundError):
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
