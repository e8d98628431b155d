"""One guard around every command: whatever goes wrong is one line and an exit code, whatever interrupts it cleans up.

Exit codes: 0 everything was done, 2 bad input or configuration, 70 an error of the program itself (its traceback is in a
log file that the line names), 130 interrupted by Ctrl-C, SIGTERM or SIGHUP, 141 the reader of the output has gone.
"""

from __future__ import annotations

import errno
import logging
import os
import platform
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from diffspeaker3d.errors import InputError

EXIT_BAD_INPUT = 2
EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
LONGEST_LINE = 500
# The world's fault, not the program's: file errors that a user can mend.
_THEIR_ERRORS = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR,
    errno.ENOTDIR, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE,
}  # fmt: skip
# Control characters, and those that turn the direction of writing: a file's name could otherwise command the terminal.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@contextmanager
def one_line(command: str) -> Iterator[None]:
    """Turn whatever leaves the block into one line on stderr and SystemExit with its code.

    Args:
        command: its name, for the log file.
    """
    try:
        yield
        sys.stdout.flush()
    except InputError as error:
        refuse(str(error), EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        refuse("interrupted; nothing half-written is left", EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter flushes stdout once more when it ends
        sys.exit(EXIT_BROKEN_PIPE)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _THEIR_ERRORS:
            refuse(f"{error.filename or command}: cannot be used ({error.strerror})", EXIT_BAD_INPUT)
        refuse(f"{_reason(error)}; this is a fault of the program: {_keep(command)}", EXIT_BUG)


def refuse(message: str, code: int) -> None:
    """Say why, in one printable line, and leave."""
    sys.stderr.write(f"diffspeaker3d: {one_printable_line(message)}\n")
    sys.exit(code)


def one_printable_line(message: str, longest: int = LONGEST_LINE) -> str:
    """A message without line breaks and control characters, cut in the middle where it is longer than `longest`."""
    line = _UNPRINTABLE.sub("", " ".join(message.split())) or "no reason given"
    if len(line) <= longest:
        return line
    tail = longest // 4
    return f"{line[: longest - tail - 5]} ... {line[-tail:]}"


class Printable(logging.Formatter):
    """Log lines without control characters; warnings, which quote what files hold, also in one line of bounded length."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno >= logging.WARNING and record.exc_info is None:
            return one_printable_line(text)
        return _UNPRINTABLE.sub("", text)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP interrupt like Ctrl-C, and an interrupt never gets lost in an import.

    Some libraries swallow whatever is raised while they load; a signal that comes then is raised again a moment later.
    Processes that were forked meanwhile keep the system's ways. A signal that was ignored at the start stays ignored.
    """
    owner = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            sys.exit(128 + number)
        if _is_importing(frame):
            again = threading.Timer(0.05, os.kill, (owner, number))
            again.daemon = True
            again.start()
            return
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"not enough memory ({error})" if str(error) else "not enough memory"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return f"{type(error).__name__}: {error}" if str(error).strip() else f"{type(error).__name__} without a reason"


def _keep(command: str) -> str:
    """Write the traceback of the exception at hand to a log file; the words that say where it is."""
    content = (
        f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {command}  Python {platform.python_version()}  {platform.platform()}\n"
        f"{sys.argv}\n\n{traceback.format_exc()}"
    )
    for folder in (state_folder(), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(
                prefix=f"{command}-{time.strftime('%Y%m%d-%H%M%S')}-", suffix=".log", dir=folder
            )
            with open(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(content)
            return f"please report it with {name}"
        except OSError:
            continue
    return "please report it (no folder for its log can be written)"


def state_folder() -> Path:
    """Where log files lie: the user's state folder as the system has it."""
    import platformdirs

    return Path(platformdirs.user_log_dir("diffspeaker3d", appauthor=False))
