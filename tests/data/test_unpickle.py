"""Pickles: data comes out exactly, programs do not run."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from diffspeaker3d.data.unpickle import load_pickle
from diffspeaker3d.errors import InputError

# What Python 2 and NumPy 1 write for {'a': np.array([1, 2], '<i2'), 's': 'd\xe9'}, protocol 0.
PYTHON_2 = (
    b"(dp0\nS'a'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\ntp6\nRp7\n(I1\n(I2\n"
    b"tp8\ncnumpy\ndtype\np9\n(S'i2'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\n"
    b"S'\\x01\\x00\\x02\\x00'\np15\ntp16\nbsS's'\np17\nS'd\\xe9'\np18\ns."
)


# The same array as (1, -2), protocol 2, raw bytes in a Python-2 string.
PYTHON_2_BINARY = (
    b"\x80\x02}q\x00U\x01aq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04U\x01bq\x05\x87q\x06R"
    b"q\x07(K\x01K\x02\x85q\x08cnumpy\ndtype\nq\tU\x02i2q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01<q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
    b"K\x00tq\x0eb\x89U\x04\x01\x00\xfe\xfftq\x0fbs."
)


def store(path: Path, value: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_comes_out_exactly(tmp_path: Path, protocol: int) -> None:
    rng = np.random.default_rng(0)
    value = {
        "floats": rng.normal(size=(3, 4)), "fortran": np.asfortranarray(rng.normal(size=(3, 4)).astype("f4")),
        "big_endian": np.arange(5, dtype=">i4"), "bools": np.array([True, False]), "text": np.array(["ab", "c"]),
        "scalar": np.float32(1.5), "nested": [({1: b"raw"}, None, True), 2.5, -3, 10**30], "ordered": OrderedDict(a=1),
        "empty": np.zeros((0, 3)),
    }  # fmt: skip
    read = load_pickle(store(tmp_path / "a.pkl", value, protocol))
    assert read.keys() == value.keys() and read["nested"] == value["nested"] and read["ordered"] == {"a": 1}
    for key in ("floats", "fortran", "big_endian", "bools", "text", "scalar", "empty"):
        assert np.array_equal(read[key], value[key]) and read[key].dtype == value[key].dtype, key


def test_python_2_arrays_and_strings(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(PYTHON_2)
    read = load_pickle(path)
    assert read["a"].tolist() == [1, 2] and read["a"].dtype == np.int16 and read["s"] == "dé"
    path.write_bytes(PYTHON_2_BINARY)
    assert load_pickle(path)["a"].tolist() == [1, -2]


class Command:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def test_a_program_is_refused_by_name_and_does_not_run(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("still here")
    for protocol in (0, 2, 5):
        path = store(tmp_path / "evil.pkl", {"harmless": 1, "evil": Command(os.remove, str(victim))}, protocol)
        with pytest.raises(InputError, match=r"asks for (posix|nt)\.remove.*nothing of it was run"):
            load_pickle(path)
    assert victim.read_text() == "still here"


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (scipy.sparse.csr_matrix(np.eye(3)), r"scipy\.sparse\._csr\.csr_matrix"),
        (Command(eval, "1+1"), r"__builtin__\.eval"),
        (Command(getattr, {}, "keys"), r"__builtin__\.getattr"),
        (np.array([{}, []], dtype=object), "dtype 'O8'"),
        (np.zeros(2, [("x", "f4")]), "dtype"),
        (Command(np.ndarray, (1,), "O"), "not a readable pickle"),
        (Command(np.load, "x.npy"), r"numpy\.load"),
        (np.dtype("f4"), "bare NumPy type"),
    ],
)
def test_anything_but_plain_data_is_refused(tmp_path: Path, value: object, named: str) -> None:
    with pytest.raises(InputError, match=named):
        load_pickle(store(tmp_path / "a.pkl", value))


def test_broken_files_are_named(tmp_path: Path) -> None:
    whole = pickle.dumps({"a": np.arange(1000)})
    for content in (b"", b"not a pickle", whole[: len(whole) // 2]):
        path = tmp_path / "a.pkl"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.pkl: not a readable pickle"):
            load_pickle(path)
    with pytest.raises(InputError, match="no such file"):
        load_pickle(tmp_path / "b.pkl")


def test_the_real_flame_masks(shared: Path) -> None:
    masks = load_pickle(shared / "data" / "flame" / "FLAME_masks.pkl")
    assert len(masks) == 14 and len(masks["lips"]) == 254 and len(np.unique(masks["lips"])) == 250
    assert len(np.union1d(masks["forehead"], masks["eye_region"])) == 827
