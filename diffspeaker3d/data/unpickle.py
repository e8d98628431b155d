"""Pickles from the internet, read as data: numbers, strings, containers and NumPy arrays, nothing else.

A pickle is a program. `Unpickler.find_class` is where it names what it wants to call; here every name leads to one of
the few stand-ins below, written in plain Python, and any other name ends the reading before anything has run. Not even
NumPy's own constructors are called: arrays are rebuilt from (shape, dtype, bytes) with `np.frombuffer`.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from diffspeaker3d.errors import InputError

_PLAIN_KINDS = "biufcSU"  # bool, integers, floats, complex, text: no objects, no structures
_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
)


def load_pickle(path: str | Path) -> Any:
    """The content of a pickle file made of dicts, lists, tuples, strings, numbers and NumPy arrays.

    Python-2 files work: their byte strings become str (latin-1).

    Raises:
        InputError: no such file, not a pickle, or it asks for anything else; the message names what it asked for.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path")
    with path.open("rb") as stream:
        try:
            return _finished(_PlainUnpickler(stream, path).load())
        except InputError:
            raise
        except _BROKEN as error:
            raise InputError(f"{path}: not a readable pickle ({error}); download it again") from error


class _PlainUnpickler(pickle.Unpickler):
    def __init__(self, stream: Any, path: Path) -> None:
        super().__init__(stream, encoding="latin1")
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        stand_in = _STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if stand_in is None:
            self._refuse(f"{module}.{name}")
        return stand_in

    def persistent_load(self, reference: Any) -> NoReturn:
        self._refuse("a persistent object")

    def _refuse(self, wanted: str) -> NoReturn:
        raise InputError(
            f"{self.path}: this pickle asks for {wanted}, which is not plain data; nothing of it was run, do not trust the file"
        )


class _Name:
    """What `numpy.ndarray` stands for inside a pickle: an argument that may be passed on but not called."""


class _Dtype:
    """A NumPy dtype being rebuilt: a plain kind and a byte order."""

    def __init__(self, code: str, *flags: Any) -> None:
        dtype = np.dtype(code)
        if not isinstance(code, str) or dtype.kind not in _PLAIN_KINDS:
            raise InputError(
                f"a pickle asks for an array of dtype {code!r}, which is not plain data; do not trust the file"
            )
        self.value = dtype

    def __setstate__(self, state: tuple) -> None:
        self.value = self.value.newbyteorder(state[1] if state[1] in "<>" else "=")


class _Array:
    """An array being rebuilt; `_finished` swaps it for the real one."""

    value: np.ndarray

    def __setstate__(self, state: tuple) -> None:
        _version, shape, dtype, is_fortran, content = state
        self.value = _array(content, dtype, shape, "F" if is_fortran else "C").value


def _array(content: Any, dtype: _Dtype, shape: tuple, order: str) -> _Array:
    raw = content.encode("latin1") if isinstance(content, str) else bytes(content)
    array = _Array()
    array.value = np.frombuffer(raw, dtype.value).reshape(shape, order="F" if order == "F" else "C")
    return array


def _scalar(dtype: _Dtype, content: Any) -> Any:
    return _array(content, dtype, (), "C").value[()]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How Python 3 writes bytes in old pickle protocols."""
    if encoding not in ("latin1", "latin-1"):
        raise InputError(f"a pickle asks for the codec {encoding!r}, which is not plain data; do not trust the file")
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Callable[..., Any] | _Name] = {
    ("numpy", "ndarray"): _Name(),
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): lambda *arguments: _Array(),
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _array,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): dict,
    ("__builtin__", "bytes"): lambda: b"",  # the empty string of old protocols
}


def _finished(value: Any) -> Any:
    """The same content with real arrays; containers are rebuilt."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {_finished(k): _finished(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_finished(v) for v in value)
    if isinstance(value, (_Name, _Dtype)):
        raise InputError("a pickle holds a bare NumPy type where data should be; download it again")
    return value
