"""The text of `--help`, made of the schema: what each option means, what it may be, and its value now."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from diffspeaker3d.config.command_line import groups
from diffspeaker3d.config.compose import CONF_DIR
from diffspeaker3d.config.kinds import Options, allowed, fields, shown, tables

WIDTH, COLUMN = 110, 34


def help_text(name: str, table: type[Options], overrides: Sequence[str] = ()) -> str:
    """What a command is for and every option of it.

    Args:
        name: of the command.
        table: its options.
        overrides: in hydra's grammar, for the values shown.
    """
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose(name, overrides=list(overrides), return_hydra_config=True)
    about = re.sub(r"(?m)^ *(?=diffspeaker3d )", "  ", inspect.cleandoc(table.__doc__ or ""))
    lines = [about, "", "Options, each given as name=value:", ""]
    lines += _options(table, cfg, "")
    chosen, members = cfg.hydra.runtime.choices, groups(name)
    if members:
        lines += ["", "Groups, each a file of values under conf/:", ""]
        for group in members:
            lines += _entry(f"{group}={chosen.get(group) or 'null'}", ", ".join(members[group]))
    return "\n".join(lines) + "\n"


def _options(table: type[Options], cfg: Any, parent: str) -> Iterator[str]:
    hints, names = fields(table), {field.alias or name: field for name, field in table.model_fields.items()}
    values = cfg if isinstance(cfg, DictConfig) else {}
    for key, annotation in hints.items():
        if parent and key not in values:
            continue
        inner = list(tables(annotation))
        node = OmegaConf.to_container(values, resolve=False).get(key) if values else None  # type: ignore[union-attr]
        if inner and isinstance(node, dict):
            known = max(
                (t for t in inner if set(fields(t)) <= set(node)), key=lambda t: len(fields(t)), default=inner[0]
            )
            yield from _options(known, values[key], f"{parent}{key}.")
        elif not inner and key != "_target_":
            missing = not values or key not in values or OmegaConf.is_missing(values, key)
            value = "..." if missing else shown(OmegaConf.to_container(values, resolve=False)[key])  # type: ignore[index,call-overload]
            yield from _entry(f"{parent}{key}={value}", f"{names[key].description or ''} ({allowed(annotation)})")


def _entry(head: str, text: str) -> list[str]:
    """An option and its meaning, in two columns."""
    body = textwrap.wrap(text, WIDTH - COLUMN) or [""]
    if len(head) + 4 > COLUMN:
        return [f"  {head}", *(" " * COLUMN + line for line in body)]
    return [f"  {head}".ljust(COLUMN) + body[0], *(" " * COLUMN + line for line in body[1:])]
