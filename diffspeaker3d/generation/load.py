"""A checkpoint's parts from a folder, the hub, or the package."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from diffspeaker3d import __version__
from diffspeaker3d.diffusion import NoiseSchedule
from diffspeaker3d.errors import InputError
from diffspeaker3d.models import Denoiser, DiffSpeaker, checkpoint_hash, load_checkpoint
from diffspeaker3d.models.sampling import in_precision
from diffspeaker3d.topology import ASSETS, Topology, load_topology

DEFAULT_CHECKPOINT = ASSETS / "checkpoint"


def load_parts(
    checkpoint: str | Path | None, device: str, precision: str
) -> tuple[DiffSpeaker, NoiseSchedule, Topology, Mapping[str, Any]]:
    """Model in eval mode on its device, noise schedule, topology, and configuration with its provenance.

    Args:
        checkpoint: folder, hub id (`user/name`), or None for the default that ships with the package.
        device: cpu or cuda.
        precision: of the denoiser's numbers, see `models.sampling.in_precision`.

    Raises:
        InputError: no such checkpoint, or it is damaged or of another version; a device or precision that is not
            known or not for this checkpoint.
    """
    folder = find_checkpoint(checkpoint)
    model, config = load_checkpoint(folder, _device(device))
    own = folder / "topology.npz"
    topology = load_topology(own if own.is_file() else model.topology)
    if precision != "float32":
        if not isinstance(model.denoiser, Denoiser):
            raise InputError(
                f"precision={precision}: is for diffusion checkpoints, this one generates frame by frame; leave it out"
            )
        model.denoiser = in_precision(model.denoiser, precision)
    known = {"checkpoint": checkpoint_hash(folder), "version": __version__, "precision": precision}
    provenance = {**known, **config.get("provenance", {})}
    return model, NoiseSchedule(**config["schedule"]), topology, config | {"provenance": provenance}


def find_checkpoint(checkpoint: str | Path | None) -> Path:
    """The folder of a checkpoint; one on the hub is downloaded, or found in the cache."""
    if checkpoint is None:
        return DEFAULT_CHECKPOINT
    if Path(checkpoint).exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", str(checkpoint)):
        return Path(checkpoint)
    return _from_hub(str(checkpoint))


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise InputError(
            f'checkpoint={name}: no such folder; to load it from the hub: pip install "diffspeaker3d[encoders]"'
        ) from error
    try:
        return Path(snapshot_download(name, allow_patterns=["*.yaml", "*.safetensors", "*.md", "*.npz"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"checkpoint={name}: no such folder, and the hub does not give it ({type(error).__name__}); "
            "check the name or the network"
        ) from error


def _device(device: str) -> torch.device:
    try:
        found = torch.device(device)
        torch.zeros(1, device=found).item()  # meta has no numbers
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise InputError(
            f"device={device}: not available here; known: cpu{', cuda' if torch.cuda.is_available() else ''}"
        ) from error
    return found
