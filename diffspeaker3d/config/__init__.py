"""Configuration of the commands: their options typed (schema), composed from conf/ by hydra, errors in one line.

Importing this loads nothing slow: an interrupt while the libraries load is then answered like any other.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from diffspeaker3d.config.doors import door as door

if TYPE_CHECKING:
    from diffspeaker3d.config.compose import CONF_DIR as CONF_DIR
    from diffspeaker3d.config.compose import as_config as as_config


def __getattr__(name: str) -> Any:
    if name not in ("CONF_DIR", "as_config"):
        raise AttributeError(f"module 'diffspeaker3d.config' has no attribute {name!r}")
    return getattr(import_module("diffspeaker3d.config.compose"), name)
