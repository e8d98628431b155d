"""Pretrained speech encoders of the transformers library: wav2vec2, HuBERT, WavLM, Whisper's encoder."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from diffspeaker3d.audio import SAMPLE_RATE
from diffspeaker3d.errors import InputError
from diffspeaker3d.models.encoders.base import AudioEncoder, length_mask, to_motion_frames

FAMILIES = ("wav2vec2", "hubert", "wavlm", "whisper")
VARIANCE_FLOOR = 1e-7  # of transformers' Wav2Vec2FeatureExtractor
STRIDE = 320  # samples per feature, all families: 50 Hz
SHORTEST = 400  # samples: the receptive field of one wav2vec2 feature; shorter clips are padded with silence
WINDOW_SECONDS = 30  # Whisper hears exactly this
MARGIN_FEATURES = 100  # two seconds dropped where two of Whisper's windows meet
CONNECT_SECONDS = 5.0
TIME, ENDPOINTS = "time", "endpoints"


class TransformersEncoder(AudioEncoder):
    """The last hidden state, resampled to motion frames.

    Every clip is normalised by its own real samples and runs unpadded (clips of one length together): the group norm
    of the base models sees all samples, so no mask could make padding exact.

    Args:
        name_or_path: local folder with config.json and weights, or a hub id.
        fps: motion frames per second.
        trainable: `none` (frozen, always in eval mode), `all`, or patterns of parameter names such as
            `[feature_projection.*, encoder.*]`, the official recipe.
        alignment: `time` puts feature k where it was heard; `endpoints` stretches first to first and last to last, as
            the official code does.
        hidden_architecture: the library's own configuration; given, nothing is loaded and the weights come from the
            checkpoint this encoder is part of.

    Raises:
        InputError: no such folder or model, not one of the families, a pattern that matches nothing.
    """

    model: Any  # transformers' classes are not known to the type checker

    def __init__(
        self,
        name_or_path: str,
        fps: float,
        trainable: str | Sequence[str] = "none",
        alignment: str = TIME,
        hidden_architecture: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if alignment not in (TIME, ENDPOINTS):
            raise InputError(f"audio encoder: unknown alignment {alignment!r}; known: {TIME}, {ENDPOINTS}")
        self.fps, self.alignment = float(fps), alignment
        self.model = _load(name_or_path) if hidden_architecture is None else _from_architecture(hidden_architecture)
        self.family = str(self.model.config.model_type)
        self.width = int(self.model.config.hidden_size)
        self._freeze(trainable)

    def hear(self, waveform: Tensor, num_samples: Tensor, num_frames: Tensor) -> Tensor:
        """See `AudioEncoder.hear`."""
        lengths = num_samples.tolist()
        clips: dict[int, Tensor] = {}
        with nullcontext() if not self.frozen else torch.no_grad():
            for length in sorted(set(lengths)):
                items = [i for i, n in enumerate(lengths) if n == length]
                for item, hidden in zip(items, self._hidden(waveform[items, :length]), strict=True):
                    clips[item] = hidden
        features = nn.utils.rnn.pad_sequence([clips[i] for i in range(len(lengths))], batch_first=True)
        counts = torch.tensor([len(clips[i]) for i in range(len(lengths))], device=features.device)
        if self.alignment == ENDPOINTS:
            return _stretch(features, counts, num_frames)
        start = 0.0 if self.family == "whisper" else (SHORTEST - 1) / 2 / STRIDE  # centre of feature 0, in features
        return to_motion_frames(features, counts, SAMPLE_RATE / STRIDE, start, num_frames, self.fps)

    def ears(self) -> tuple[str, nn.Module]:
        """See `AudioEncoder.ears`."""
        return f"{self.family} {self.alignment} {self.fps}", self.model

    def architecture(self) -> dict[str, Any]:
        """The library's configuration, so that a checkpoint needs no hub."""
        return {"hidden_architecture": {**self.model.config.to_diff_dict(), "model_type": self.family}}

    def train(self, mode: bool = True) -> TransformersEncoder:
        """A frozen encoder stays in eval mode: no dropout, no masking."""
        super().train(mode)
        if self.frozen:
            self.model.eval()
        return self

    def _hidden(self, waveform: Tensor) -> Tensor:
        """Last hidden state (B, n, D_a) of clips of one length."""
        if self.family == "whisper":
            return self._whisper(waveform)
        mean, variance = waveform.mean(1, keepdim=True), waveform.var(1, correction=0, keepdim=True)
        waveform = (waveform - mean) / (variance + VARIANCE_FLOOR).sqrt()
        waveform = nn.functional.pad(waveform, (0, max(SHORTEST - waveform.shape[1], 0)))
        hidden: Tensor = self.model(waveform).last_hidden_state
        return hidden

    def _whisper(self, waveform: Tensor) -> Tensor:
        """Windows of 30 s that overlap by twice the margin; each feature comes from the window that sees around it."""
        window = WINDOW_SECONDS * SAMPLE_RATE
        total = waveform.shape[1] // STRIDE + 1
        per_window = window // STRIDE
        pieces: list[Tensor] = []
        done = 0
        while done < total:
            first = max(done - MARGIN_FEATURES, 0)
            count = min(per_window, total - first)
            hidden = self._whisper_window(waveform[:, first * STRIDE : first * STRIDE + window], count)
            last = total if first + per_window >= total else first + per_window - MARGIN_FEATURES
            pieces.append(hidden[:, done - first : last - first])
            done = last
        return torch.cat(pieces, 1)

    def _whisper_window(self, waveform: Tensor, count: int) -> Tensor:
        """The first `count` hidden states (B, count, D_a), the positions cut to them.

        Whisper itself hears silence up to 30 s; without it the features hardly change, and a clip of 4 s costs a seventh.
        """
        model = self.model
        x = nn.functional.gelu(model.conv1(self._whisper_mel(waveform)[:, :, : 2 * count]))
        x = nn.functional.gelu(model.conv2(x)).transpose(1, 2)
        x = x + model.embed_positions.weight[:count]
        for layer in model.layers:
            x = layer(x, None)
            x = x[0] if isinstance(x, tuple) else x  # as older versions of the library answer
        hidden: Tensor = model.layer_norm(x)
        return hidden

    def _whisper_mel(self, waveform: Tensor) -> Tensor:
        """Whisper's own log-mel (B, 80, 3000), padded with silence to 30 s."""
        from transformers import WhisperFeatureExtractor

        extractor = WhisperFeatureExtractor(feature_size=self.model.config.num_mel_bins)
        mel = extractor(
            list(waveform.float().cpu().numpy()), sampling_rate=SAMPLE_RATE, return_tensors="pt"
        ).input_features
        return mel.to(waveform.device, self.model.conv1.weight.dtype)

    def _freeze(self, trainable: str | Sequence[str]) -> None:
        patterns = (
            {"none": [], "all": ["*"]}.get(trainable, [trainable]) if isinstance(trainable, str) else list(trainable)
        )
        names = [name for name, _ in self.model.named_parameters()]
        for pattern in patterns:
            if not any(fnmatch(name, pattern) for name in names):
                raise InputError(
                    f"audio encoder: trainable pattern {pattern!r} matches no parameter; one is {names[-1]}"
                )
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(any(fnmatch(name, pattern) for pattern in patterns))
        self.frozen = not patterns
        self.train(self.training)


def _stretch(features: Tensor, counts: Tensor, num_frames: Tensor) -> Tensor:
    """Linear interpolation with both ends aligned, clip by clip: row t is feature t (n - 1) / (T - 1)."""
    rows = [
        nn.functional.interpolate(clip[:n].T[None], size=t, mode="linear", align_corners=True)[0].T
        for clip, n, t in zip(features, counts.tolist(), num_frames.tolist(), strict=True)
    ]
    stretched = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return stretched * length_mask(num_frames, stretched.shape[1])[..., None]


def _from_architecture(architecture: Mapping[str, Any]) -> nn.Module:
    """The model with random weights."""
    from transformers import AutoConfig, AutoModel

    settings = dict(architecture)
    family = settings.pop("model_type", None)
    if family not in FAMILIES:
        raise InputError(f"audio encoder: unknown family {family!r}; known: {', '.join(FAMILIES)}")
    return _encoder(AutoModel.from_config(AutoConfig.for_model(family, **settings)))


def _load(name_or_path: str) -> nn.Module:
    """A local folder, the hub's cache, then the hub, which is asked once and briefly whether it is there."""
    from transformers import AutoConfig, AutoModel

    local = Path(name_or_path).is_dir()
    if not local and (name_or_path.count("/") > 1 or name_or_path.startswith((".", "/", "~"))):
        raise InputError(f"{name_or_path}: no such folder; give a folder with config.json and weights, or a hub id")
    try:
        config = AutoConfig.from_pretrained(name_or_path, local_files_only=True)
        cached = True
    except (OSError, ValueError) as error:
        if local:
            raise InputError(
                f"{name_or_path}: not a model folder ({_first_line(error)}); it needs config.json and model.safetensors"
            ) from error
        _check_hub(name_or_path)
        config = AutoConfig.from_pretrained(name_or_path)
        cached = False
    if config.model_type not in FAMILIES:
        raise InputError(f"{name_or_path}: is a {config.model_type} model; known families: {', '.join(FAMILIES)}")
    try:
        return _encoder(AutoModel.from_pretrained(name_or_path, local_files_only=cached))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{name_or_path}: weights cannot be loaded ({_first_line(error)}); download the model again"
        ) from error


def _encoder(model: Any) -> nn.Module:
    """Whisper's encoder half; the whole model of the other families."""
    return model.encoder if model.config.model_type == "whisper" else model


def _check_hub(name: str) -> None:
    """Fail at once and in one line: transformers itself retries for 23 s."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    remedy = (
        "download the model elsewhere and give its folder as audio_encoder.name_or_path=DIR, or use audio_encoder=mel"
    )
    if os.environ.get("HF_HUB_OFFLINE", "") in ("1", "true") or os.environ.get("TRANSFORMERS_OFFLINE", "") in (
        "1",
        "true",
    ):
        raise InputError(f"{name}: not in the local cache and the hub is switched off; {remedy}")
    try:
        HfApi().model_info(name, timeout=CONNECT_SECONDS)
    except HfHubHTTPError as error:
        raise InputError(f"{name}: the hub has no such model or refuses it ({_first_line(error)}); {remedy}") from error
    except (OSError, _connection_error()) as error:
        raise InputError(f"{name}: not in the local cache and the hub cannot be reached; {remedy}") from error


def _connection_error() -> type[Exception]:
    """What the hub's client raises without a network; the library behind it has changed more than once."""
    from huggingface_hub.utils import get_session

    client = importlib.import_module(type(get_session()).__module__.partition(".")[0])
    error: type[Exception] = getattr(client, "TransportError", OSError)
    return error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
