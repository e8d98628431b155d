"""Files appear whole or not at all: write beside the target, then rename."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from diffspeaker3d.errors import InputError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A path to write to; it becomes `path` only if the block ends without an exception.

    The temporary file keeps the suffix of `path` (encoders choose by it) and lies in the same folder, so that the
    final rename is atomic. Parent folders are made. On any exception, Ctrl-C included, the temporary file is removed.

    Args:
        path (str | Path): where the finished file shall be.

    Raises:
        InputError: the folder cannot be made or written, or the disk is full.
    """
    path = Path(path)
    # Named before it is made: an interrupt at any moment finds something to remove.
    temporary = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(6)}{path.suffix}")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}); choose another output folder") from error
        mode = stat.S_IMODE((path if path.is_file() else temporary).stat().st_mode)  # a private file stays private
        yield temporary
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(f"{path}: the disk is full; free some space or choose another output folder") from error
        if error.errno in (errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS):
            raise InputError(f"{path}: cannot be written ({error.strerror}); choose another output path") from error
        raise
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            temporary.unlink()


def regular_file(path: str | Path) -> Path:
    """The path of a file that can be read from beginning to end.

    Raises:
        InputError: missing, a folder, a pipe or device (which would never end), not permitted, or no name for a file.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
        readable = os.access(path, os.R_OK)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: no such file; check the path") from error
    except (OSError, ValueError) as error:  # too long, or with a null character
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{str(path)[:200]!r}: no name of a file ({reason}); check the path") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: is a folder, a file is needed")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: is a pipe or a device, not a file; save it as a file first")
    if not readable:
        raise InputError(f"{path}: may not be read; check its permissions")
    return path
