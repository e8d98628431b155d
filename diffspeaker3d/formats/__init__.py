"""Writing an animation: the suffix chooses the writer, one file per format.

A format is added by one module here: `SUFFIXES` (suffix -> what it is good for) and two functions: `write(animation, path, ...)` returns the files it wrote, main one first;
`verify(animation, path)` reopens what was written and raises InputError if it does not hold the animation. A module of
`streams/` has `SCHEME` and `stream(animation, url)`.
"""

from __future__ import annotations

import ast
import functools
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats.npz import load_animation as load_animation


@functools.cache
def _declared(folder: str, name: str) -> dict[str, Any]:
    """Module -> the literal assigned to `name` in it, read without importing: writers load when used."""
    found: dict[str, Any] = {}
    for path in sorted(Path(__file__).parent.joinpath(folder).glob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
                found[path.stem] = ast.literal_eval(node.value)
    return found


# suffix -> (module, what it is good for), from every writer's SUFFIXES
FORMATS: Mapping[str, tuple[str, str]] = MappingProxyType({
    suffix: (module, purpose)
    for module, suffixes in _declared("", "SUFFIXES").items()
    for suffix, purpose in suffixes.items()
})  # fmt: skip
# scheme -> module with stream(animation, url), from every stream's SCHEME
STREAMS: Mapping[str, str] = MappingProxyType({scheme: name for name, scheme in _declared("streams", "SCHEME").items()})
SUFFIXES: tuple[str, ...] = tuple(FORMATS)


class Writer(Protocol):
    """What a writer module offers."""

    def write(self, animation: Animation, path: Path, options: Any = None) -> tuple[Path, ...]: ...
    def verify(self, animation: Animation, path: Path) -> None: ...


def companions(output: str | Path) -> tuple[Path, ...]:
    """Files that a writer puts beside its output, from its COMPANIONS (suffix -> ending of the companion).

    An ending such as `.obj` takes the suffix' place; one such as `+.json` is put behind it.
    """
    path, found = Path(output), []
    for endings in _declared("", "COMPANIONS").values():
        if ending := endings.get(path.suffix.lower()):
            beside = path.name + ending[1:] if ending.startswith("+") else path.with_suffix(ending).name
            found.append(path.with_name(beside))
    return tuple(found)


def known_formats() -> str:
    """All suffixes and stream addresses, for help texts and error messages."""
    return " ".join([*SUFFIXES, *(f"{scheme}://host:port" for scheme in STREAMS)])


def output_suffix(output: str | Path) -> str:
    """The suffix (`.glb`) or scheme (`vmc://`) of an output; an unknown one raises InputError and lists the known."""
    text = str(output)
    if "://" in text:
        scheme = urlsplit(text).scheme
        if scheme in STREAMS:
            return f"{scheme}://"
    elif (suffix := Path(text).suffix.lower()) in FORMATS:
        return suffix
    raise InputError(f"{text}: no writer for this kind of output; known: {known_formats()}")


def check_writable(output: str | Path) -> None:
    """Raise InputError if `output` can clearly not be written, before any work is spent on it."""
    if output_suffix(output).endswith("://"):
        return
    path = Path(output)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path}: {folder} is not a folder that can be written; choose another output folder")


def save(animation: Animation, path: str | Path, options: Any = None) -> tuple[Path, ...]:
    """Write `animation` to `path` in the format its suffix names, or send it to a stream address; reopen what was written.

    Args:
        animation: what to write.
        path: file with a known suffix, or e.g. `vmc://127.0.0.1:39539`.
        options: the options object of that writer (e.g. `rendering.RenderOptions` for .mp4), or None for its defaults.

    Returns:
        tuple[Path, ...]: files written, the main one first; empty for a stream.

    Raises:
        InputError: unknown suffix, unwritable path, or an animation that this format cannot hold.
    """
    suffix = output_suffix(path)
    if suffix.endswith("://"):
        import_module(f"{__name__}.streams.{STREAMS[suffix.removesuffix('://')]}").stream(animation, str(path))
        return ()
    check_writable(path)
    writer = cast(Writer, import_module(f"{__name__}.{FORMATS[suffix][0]}"))
    files = writer.write(animation, Path(path), options)
    writer.verify(animation, Path(path))
    return files


def check_frames(path: Path, expected: Animation, found: Any, tolerance: float) -> None:
    """Raise InputError unless `found(t)` gives the vertices of `expected`, in its unit, at five frames spread over it.

    Args:
        path: file named in the message.
        expected: the animation that was written.
        found (Callable[[int], array (V, 3)]): vertices of a frame as the file has them.
        tolerance: largest deviation of a coordinate allowed, in the topology's unit.
    """
    import numpy as np

    for t in np.unique(np.linspace(0, len(expected) - 1, 5).round().astype(int)):
        deviation = float(np.abs(found(int(t)) - np.asarray(expected.vertices[int(t)])).max())
        if not deviation <= tolerance:
            raise InputError(
                f"{path}: frame {t} reads back {deviation:.3g} {expected.topology.unit} off; write it again, and report this"
            )
