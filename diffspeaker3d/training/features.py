"""What a frozen encoder hears, computed once and kept beside the corpus: of clean sound, or of several changed versions."""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from diffspeaker3d.audio import load_audio
from diffspeaker3d.data.augment import Augmentation
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.files import atomic_path
from diffspeaker3d.models import AudioEncoder

log = logging.getLogger(__name__)


class FeatureFolder:
    """What an encoder hears in whole clips: `features-<encoder>-<changes>/<view>/<clip>-<sound>.npy`, (T, any) float16.

    A view is one version of every clip's sound: as it is, or changed by an augmentation that keeps its time. So motion may
    be made anew without hearing again. The names hold the hashes of the encoder, of the changes and of the sound: nothing
    stale is ever read. A crop takes its rows of them, so it has heard what stands around it, as in inference.

    Args:
        corpus: whose clips.
        encoder: frozen.
        augment: what changes the sound, its speed left out; None leaves it as it is.
        views: versions; one without `augment`.
        seed: of the changes.
    """

    def __init__(
        self, corpus: Corpus, encoder: AudioEncoder, augment: Augmentation | None = None, views: int = 1, seed: int = 0
    ) -> None:
        self.corpus, self.encoder, self.seed = corpus, encoder, seed
        self.augment = None if augment is None else replace(augment, p_speed=0.0)
        self.views = 1 if augment is None else views
        changes = "clean" if augment is None else hashlib.sha256(f"{self.augment} {seed}".encode()).hexdigest()[:8]
        self.folder = corpus.root / f"features-{encoder_hash(encoder)}-{changes}"

    def path(self, clip: ClipRecord, view: int) -> Path:
        """Where one version of a clip lies."""
        return self.folder / str(view) / f"{clip.id}-{sound_hash(self.corpus.audio_path(clip))}.npy"

    @torch.inference_mode()
    def fill(self, splits: tuple[str, ...], device: str, crowd: Sequence[np.ndarray] = ()) -> None:
        """Compute what is missing; several processes may do so at once, and an interrupted one is taken up again.

        Args:
            splits: of the corpus.
            device: of the encoder.
            crowd: other voices, for babble.

        Raises:
            InputError: a clip cannot be read, or the disk is full.
        """
        clips = self.corpus.split(*splits)
        missing = [(view, clip) for clip in clips for view in range(self.views) if not self.path(clip, view).is_file()]
        if not missing:
            return
        log.info("audio features of %d clips go to %s", len(missing), self.folder)
        self.encoder.to(device)
        for view, clip in tqdm(missing, desc="audio features", unit="clip", delay=2, disable=None, leave=False):
            if (path := self.path(clip, view)).is_file():  # another process was faster
                continue
            waveform = load_audio(self.corpus.audio_path(clip))
            if self.augment is not None:
                rng = np.random.default_rng([self.seed, view, zlib.crc32(clip.id.encode())])
                waveform, _ = self.augment(waveform, rng, crowd)
            lengths = (torch.tensor([n], device=device) for n in (len(waveform), clip.num_frames))
            heard = self.encoder.hear(torch.from_numpy(waveform)[None].to(device), *lengths)[0]
            with atomic_path(path) as temporary, open(temporary, "wb") as stream:
                np.save(stream, heard.to("cpu", torch.float16).numpy())
        self.encoder.to("cpu")


@torch.inference_mode()
def heard(corpus: Corpus, encoder: AudioEncoder, count: int) -> Iterator[Tensor]:
    """What the encoder hears (T, any) in about so many training clips, spread over the corpus."""
    clips = corpus.split("train")
    for clip in clips[:: max(len(clips) // count, 1)]:
        waveform = torch.from_numpy(load_audio(corpus.audio_path(clip)))
        yield encoder.hear(waveform[None], torch.tensor([len(waveform)]), torch.tensor([clip.num_frames]))[0]


def encoder_hash(encoder: AudioEncoder) -> str:
    """SHA-256 of what decides `hear`: its settings and weights; first 16 hex digits."""
    settings, module = encoder.ears()
    digest = hashlib.sha256(settings.encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update((tensor.detach().cpu() + 0.0).contiguous().numpy().tobytes())  # an average turns -0 into 0
    return digest.hexdigest()[:16]


@cache
def sound_hash(path: Path) -> str:
    """SHA-256 of a sound file, first 16 hex digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
