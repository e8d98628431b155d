"""Pretrained families with tiny random weights in local folders; no network."""

import socket
import time
from pathlib import Path

import pytest
import torch

transformers = pytest.importorskip("transformers")

from diffspeaker3d.errors import InputError  # noqa: E402
from diffspeaker3d.models import TransformersEncoder  # noqa: E402

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
CONVOLUTIONS = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}


def write(folder: Path, family: str, **more: object) -> Path:
    torch.manual_seed(0)
    if family == "whisper":
        config = transformers.WhisperConfig(
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
            vocab_size=60,
            pad_token_id=0,
            bos_token_id=0,
            eos_token_id=0,
            decoder_start_token_id=0,
            num_mel_bins=80,
        )
        model = transformers.WhisperModel(config)
    else:
        config = transformers.AutoConfig.for_model(family, **SMALL, **CONVOLUTIONS, **more)
        model = transformers.AutoModel.from_config(config)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["wav2vec2", "hubert", "wavlm", "whisper"])
def test_padding_and_batching_change_no_real_frame(family: str, tmp_path: Path) -> None:
    encoder = TransformersEncoder(str(write(tmp_path, family)), fps=30)
    generator = torch.Generator().manual_seed(0)
    lengths, frames = torch.tensor([20000, 9001, 300, 9001]), torch.tensor([37, 16, 1, 16])
    waveform = torch.randn(4, 20500, generator=generator)
    encoder.train()
    together = encoder(waveform, lengths, frames)
    assert together.shape == (4, 37, 16) and encoder.width == 16
    for i in range(4):
        alone = encoder(waveform[i : i + 1, : lengths[i]], lengths[i : i + 1], frames[i : i + 1])[0]
        torch.testing.assert_close(together[i, : frames[i]], alone, atol=1e-5, rtol=1e-5)
    assert not together.requires_grad


def test_equals_the_librarys_own_answer_at_feature_times(tmp_path: Path) -> None:
    """At 50 fps, with half a feature's offset known, rows are the hidden states shifted by 0.62 features."""
    encoder = TransformersEncoder(str(write(tmp_path, "wav2vec2")), fps=50)
    waveform = torch.randn(1, 16000, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.05
    extractor = transformers.Wav2Vec2FeatureExtractor()
    values = extractor(waveform[0].numpy(), sampling_rate=16000, return_tensors="pt").input_values
    with torch.no_grad():
        hidden = transformers.Wav2Vec2Model.from_pretrained(tmp_path)(values).last_hidden_state[0]
    rows = encoder(waveform, torch.tensor([16000]), torch.tensor([45]))[0]
    share = 1 - 199.5 / 320
    torch.testing.assert_close(rows[1:], hidden[:44] * (1 - share) + hidden[1:45] * share, atol=1e-5, rtol=1e-5)
    stretched = TransformersEncoder(str(tmp_path), fps=50, alignment="endpoints")(
        waveform, torch.tensor([16000]), torch.tensor([20])
    )[0]
    want = torch.nn.functional.interpolate(hidden.T[None], 20, mode="linear", align_corners=True)[0].T
    torch.testing.assert_close(stretched, want, atol=1e-5, rtol=1e-5)


def test_training_by_pattern(tmp_path: Path) -> None:
    write(tmp_path, "wav2vec2", apply_spec_augment=False)
    encoder = TransformersEncoder(str(tmp_path), 30, trainable=["feature_projection.*", "encoder.*"])
    encoder(torch.randn(1, 8000), torch.tensor([8000]), torch.tensor([15])).square().sum().backward()
    trained = {name.split(".")[0] for name, parameter in encoder.model.named_parameters() if parameter.grad is not None}
    assert trained == {"feature_projection", "encoder"}
    with pytest.raises(InputError, match=r"decoder\.\*"):
        TransformersEncoder(str(tmp_path), 30, trainable=["decoder.*"])


def test_frozen_stays_in_eval_mode(tmp_path: Path) -> None:
    encoder = TransformersEncoder(str(write(tmp_path, "hubert")), 30).train()
    assert encoder.training and not encoder.model.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_long_sound_through_whisper_is_seamless(tmp_path: Path) -> None:
    """65 s need three of Whisper's windows; each second is present once and features stay finite."""
    encoder = TransformersEncoder(str(write(tmp_path, "whisper")), fps=25)
    waveform = torch.randn(1, 65 * 16000, generator=torch.Generator().manual_seed(0))
    rows = encoder(waveform, torch.tensor([65 * 16000]), torch.tensor([65 * 25]))[0]
    assert rows.shape == (1625, 16) and rows.isfinite().all()
    first = encoder(waveform[:, : 30 * 16000], torch.tensor([30 * 16000]), torch.tensor([27 * 25]))[0]
    torch.testing.assert_close(rows[: 27 * 25], first, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["wav2vec2", "hubert", "wavlm", "whisper"])
def test_rebuilds_from_its_architecture_without_the_folder(family: str, tmp_path: Path) -> None:
    encoder = TransformersEncoder(str(write(tmp_path, family)), 30)
    architecture = encoder.architecture()["hidden_architecture"]
    again = TransformersEncoder("gone", 30, hidden_architecture=architecture)
    again.load_state_dict(encoder.state_dict(), strict=True)
    waveform = (
        torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)),
        torch.tensor([8000]),
        torch.tensor([15]),
    )
    torch.testing.assert_close(again.eval()(*waveform), encoder.eval()(*waveform))


def test_bad_names_fail_at_once_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    (tmp_path / "empty").mkdir()
    started = time.monotonic()
    for name, message in (
        (str(tmp_path / "none"), "no such folder"),
        (str(tmp_path / "empty"), "not a model folder"),
        ("somebody/some-encoder", "give its folder"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            TransformersEncoder(name, 30)
        assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 10
    transformers.BertConfig(hidden_size=8, num_attention_heads=1, num_hidden_layers=1).save_pretrained(
        tmp_path / "bert"
    )
    with pytest.raises(InputError, match="known families"):
        TransformersEncoder(str(tmp_path / "bert"), 30)
