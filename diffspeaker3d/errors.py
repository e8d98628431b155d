"""The one exception that a door turns into a single line and exit code 2."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave cannot be used: the message says what, where and what to do, in one line."""


def missing_extra(what: str, package: str, extra: str) -> InputError:
    """What to raise where an optional package is needed and absent.

    Args:
        what: needs it: a command, a format or a file.
        package: its name.
        extra: of this package, which brings it.
    """
    return InputError(f'{what}: needs {package}; pip install "diffspeaker3d[{extra}]"')
