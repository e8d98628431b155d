"""From the yaml files in conf/ to the values of one command, and back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import platformdirs
from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel

# An installed wheel carries conf/ inside the package; a checkout has it beside the package.
_PACKAGE = Path(__file__).resolve().parents[1]
CONF_DIR = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"

# What `train` takes for a corpus where neither the command line nor an experiment says more: (denoiser, loss) of conf/.
# Bare vertices, in the paper's size for VOCASET, are the rule.
USUAL_PARTS = {
    "biwi": ("biwi", "vertex"),
    "synthetic": ("synthetic", "synthetic"),
    "speech": ("synthetic", "synthetic"),
}

OmegaConf.register_new_resolver(
    "cache_folder", lambda: platformdirs.user_cache_dir("diffspeaker3d", appauthor=False), replace=True
)
OmegaConf.register_new_resolver(
    "usual_denoiser", lambda dataset: USUAL_PARTS.get(dataset, ("vocaset", "vertex"))[0], replace=True
)
OmegaConf.register_new_resolver(
    "usual_loss", lambda dataset: USUAL_PARTS.get(dataset, ("vocaset", "vertex"))[1], replace=True
)


def literal(text: str) -> str:
    """A text that OmegaConf reads back as it is: `${` would otherwise begin an interpolation."""
    return re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", text)


def as_config(options: BaseModel) -> DictConfig:
    """Typed options as the configuration that hydra's `instantiate` takes."""
    config = OmegaConf.create(_literal(options.model_dump(by_alias=True, exclude_unset=True)))
    assert isinstance(config, DictConfig)
    return config


def _literal(value: Any) -> Any:
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    return [_literal(item) for item in value] if isinstance(value, list) else value
