"""Checkpoints of earlier format versions, step by step to the present one: configuration and weights.

Version 1 (diffspeaker3d 0.1) named the sizes of its one condition `style_dim`, attended in full up to 20 s, and kept query,
key and norm of a cross-attention that had one key to attend to: numbers that were never trained.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

FORMAT_VERSION = 2
REACH_OF_VERSION_1 = 20.0  # s; it saw everything in clips up to that, and cut to 4 s at once in longer ones
_VERSION_1_NAMES = (
    (r"denoiser\.style\.weight", "denoiser.conditions.style.weight"),
    (r"(denoiser\.layers\.\d+\.cross_attention)\.0\.", r"\1.value."),
    (r"(denoiser\.layers\.\d+\.cross_attention)\.2\.", r"\1.output."),
)
_UNTRAINED = r"denoiser\.layers\.\d+\.(cross_attention\.query|norm2)\."
_KEY_VALUE = r"(denoiser\.layers\.\d+\.cross_attention)\.key_value\."


def upgrade_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration in the present format; one of the present version is returned as it is."""
    upgraded = copy.deepcopy(dict(config))
    if upgraded.get("format_version") == 1:
        model = upgraded.get("model")
        if isinstance(model, dict) and isinstance(model.get("denoiser"), dict):
            model["denoiser"] = _denoiser_of_version_1(model["denoiser"])
        upgraded["format_version"] = 2
    return upgraded


def upgrade_weights(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weights in the present format.

    Args:
        weights: as stored.
        config: as stored, of the same version.
    """
    if config.get("format_version") != 1:
        return dict(weights)
    node = config["model"]["denoiser"]
    diffusion = str(node.get("_target_", "")).endswith(".Denoiser")
    own_audio = diffusion and not node.get("condition_tokens", True) and node.get("cross_bias", True)
    upgraded = {}
    for name, value in weights.items():
        for pattern, new in _VERSION_1_NAMES:
            name = re.sub(pattern, new, name)
        if own_audio and re.match(_UNTRAINED, name):
            continue
        if own_audio and re.match(_KEY_VALUE, name):
            name, value = re.sub(_KEY_VALUE, r"\1.value.", name), value[len(value) // 2 :].clone()
        upgraded[name] = value
    return upgraded


def _denoiser_of_version_1(node: Mapping[str, Any]) -> dict[str, Any]:
    upgraded = {key: value for key, value in node.items() if key not in ("style_dim", "condition_tokens")}
    upgraded["conditions"] = {"style": node.get("style_dim", 8)}
    if str(node.get("_target_", "")).endswith(".AutoregressiveDecoder"):
        return upgraded | {"_target_": "diffspeaker3d.models.AutoregressiveModel"}
    tokens = ["style", "timestep"] if node.get("condition_tokens", True) else []
    return upgraded | {"tokens": tokens, "reach": REACH_OF_VERSION_1}
