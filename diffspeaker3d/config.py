"""Doors: what `python -m diffspeaker3d.<verb>` has in common. Configuration is hydra's; errors are one line.

Exit codes: 0 everything was done, 2 bad input or configuration (one line on stderr), 130 interrupted.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from diffspeaker3d.errors import InputError

# An installed wheel carries conf/ inside the package; a checkout has it beside the package.
_PACKAGE = Path(__file__).resolve().parent
CONF_DIR = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def door(config_name: str) -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Make `main(cfg)` a command: composed configuration in, exit code out.

    Args:
        config_name: the yaml in `CONF_DIR`, without suffix.
    """

    def wrap(main: Callable[[DictConfig], None]) -> Callable[[], None]:
        @functools.wraps(main)
        def job(cfg: DictConfig) -> None:
            logging.basicConfig(
                level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True
            )  # hydra has its own
            try:  # in here, because hydra announces every exception that leaves a job
                main(cfg)
            except InputError as error:
                _refuse(str(error), EXIT_BAD_INPUT)
            except MissingMandatoryValue as error:
                _refuse(
                    f"{error.full_key or error.key}: is needed; give {error.full_key or error.key}=...", EXIT_BAD_INPUT
                )

        command = hydra.main(config_path=str(CONF_DIR), config_name=config_name, version_base="1.3")(job)

        @functools.wraps(main)
        def run() -> None:
            os.environ["HYDRA_FULL_ERROR"] = "1"  # hydra hands exceptions over instead of printing a traceback
            try:
                command()
            except (HydraException, OmegaConfBaseException) as error:
                _refuse(_configuration_error(error), EXIT_BAD_INPUT)
            except KeyboardInterrupt:
                _refuse("interrupted; nothing half-written is left", EXIT_INTERRUPTED)

        return run

    return wrap


def _configuration_error(error: Exception) -> str:
    """Hydra's message in one line: it names the key or the group and what exists."""
    lines = [line.strip() for line in f"{error}\n{error.__cause__ or ''}".splitlines() if line.strip()]
    return f"configuration: {'; '.join(dict.fromkeys(lines))}; see --help"


def _refuse(message: str, code: int) -> None:
    sys.stderr.write(f"diffspeaker3d: {' '.join(message.split())}\n")
    sys.exit(code)
