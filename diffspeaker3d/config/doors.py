"""Doors: what the commands have in common. Configuration is hydra's, options are typed, errors are one line (see guard).

@door("animate")
def main(options: Animate) -> None: ...
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from diffspeaker3d.config import guard
from diffspeaker3d.errors import InputError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from diffspeaker3d.config.kinds import Options


def door(name: str) -> Callable[[Callable[[Any], None]], Callable[[], None]]:
    """Make `main(options)` a command: arguments in, exit code out.

    Args:
        name: of the command: its yaml in conf/, its table in the schema.
    """

    def wrap(main: Callable[[Any], None]) -> Callable[[], None]:
        @functools.wraps(main)
        def run() -> None:
            with guard.one_line(name), guard.interruptible():
                _run(name, main, _own_arguments(name))

        return run

    return wrap


def _own_arguments(name: str) -> list[str]:
    """The command line behind the command: `diffspeaker3d animate audio=a.wav` carries the command itself too."""
    arguments = sys.argv[1:]
    return arguments[1:] if arguments[:1] == [name] else arguments


def _run(name: str, main: Callable[[Any], None], arguments: Sequence[str]) -> None:
    from diffspeaker3d.config.command_line import for_hydra
    from diffspeaker3d.config.schema import COMMANDS

    table = COMMANDS[name]
    if any(argument in ("-h", "--help") for argument in arguments):
        from diffspeaker3d.config.help import help_text

        sys.stdout.write(help_text(name, table, [a for a in for_hydra(arguments, name) if "=" in a]))
        return

    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from diffspeaker3d.config.compose import CONF_DIR

    typed = sys.argv

    def job(cfg: DictConfig) -> None:
        sys.argv = typed  # what starts further processes of this command must hand over what was typed
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(guard.Printable("%(message)s"))
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)  # hydra has its own
        with guard.one_line(name):  # in here, because hydra announces every exception that leaves a job
            main(checked(cfg, table))

    os.environ["HYDRA_FULL_ERROR"] = "1"  # hydra hands exceptions over instead of printing a traceback
    sys.argv = [typed[0], *for_hydra(arguments, name)]
    try:
        hydra.main(config_path=str(CONF_DIR), config_name=name, version_base="1.3")(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_configuration_error(error)) from error
    finally:
        sys.argv = typed


def checked(cfg: DictConfig, table: type[Options]) -> Options:
    """The typed options of a composed configuration, home folders written out.

    Raises:
        InputError: a value of another type or outside its bounds, an unknown option, or one that is needed.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from pydantic import ValidationError

    try:
        values = _given(OmegaConf.to_container(cfg, resolve=True), table)
    except OmegaConfBaseException as error:
        raise InputError(_configuration_error(error)) from error
    try:
        return table.model_validate(values)
    except ValidationError as error:
        raise InputError(_fault(error.errors(include_url=False)[0], values, table)) from error


def _given(values: Any, table: Any) -> Any:
    """Values without those that are missing, paths with their home folder written out."""
    from diffspeaker3d.config.command_line import expanded
    from diffspeaker3d.config.kinds import AsTyped, find, how_typed

    def walk(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            found = {name: walk(item, f"{key}.{name}" if key else str(name)) for name, item in value.items()}
            return {name: item for name, item in found.items() if item != "???"}
        if how_typed(find(table, key)) not in (AsTyped.PATH, AsTyped.PATHS):
            return value
        return [expanded(item) for item in value] if isinstance(value, list) else _expanded_if_text(value)

    def _expanded_if_text(value: Any) -> Any:
        return expanded(value) if isinstance(value, str) else value

    return walk(values, "")


def _fault(fault: Any, values: Any, table: type[Options]) -> str:
    """What is wrong with one option and what it may be."""
    from diffspeaker3d.config.command_line import unknown
    from diffspeaker3d.config.kinds import allowed, fields, find, shown, tables

    key, value, known = "", values, fields(table)
    for part in fault["loc"]:
        absent = part == fault["loc"][-1] and fault["type"] == "missing"
        if not isinstance(value, dict) or (part not in value and not absent):
            continue  # the place in a list, or the branch of a union
        deeper = f"{key}.{part}" if key else str(part)
        if find(table, deeper) is None and fault["type"] != "extra_forbidden":
            break  # in a table of free names: the whole option is named
        known = next((fields(inner) for inner in tables(find(table, key))), known) if key else known
        key, value = deeper, value.get(part)
    if fault["type"] == "extra_forbidden":
        return unknown(key, [f"{key.rpartition('.')[0]}.{name}".lstrip(".") for name in known])
    words = allowed(find(table, key))
    if fault["type"] == "missing":
        return f"{key}: is needed; give {key}=..., {words}"
    return f"{key}={shown(value)}: must be {words}"


def _configuration_error(error: Exception) -> str:
    """Hydra's message in one line: it names the key or the group and what exists."""
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError

    from diffspeaker3d.config.command_line import unknown

    cause = error.__cause__ or error
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.full_key and cause.parent_node is not None:
        parent, _, _ = str(cause.full_key).rpartition(".")
        siblings = [f"{parent}.{name}" if parent else str(name) for name in cause.parent_node]
        return unknown(str(cause.full_key), siblings)
    lines = [line.strip() for line in f"{error}\n{error.__cause__ or ''}".splitlines() if line.strip()]
    return f"configuration: {'; '.join(dict.fromkeys(lines))}; see --help"
