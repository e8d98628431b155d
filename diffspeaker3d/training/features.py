"""What a frozen audio encoder hears, computed once and kept beside the corpus."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TypeGuard

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from diffspeaker3d.data.clips import ClipDataset
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.files import atomic_path
from diffspeaker3d.models import TransformersEncoder

log = logging.getLogger(__name__)


class FeatureFolder:
    """Audio features of whole clips: `features-<encoder>/<clip>-<sound and motion>.npy`, (T, D_a) float16.

    The names hold the hashes of the encoder (weights, alignment, fps) and of the clip: nothing stale is ever read.
    A crop takes its rows of them, so it has heard what stands around it, as in inference.

    Args:
        corpus: whose clips.
        encoder: frozen.
    """

    def __init__(self, corpus: Corpus, encoder: TransformersEncoder) -> None:
        self.corpus, self.encoder = corpus, encoder
        self.folder = corpus.root / f"features-{encoder_hash(encoder)}"

    def __call__(self, clip: ClipRecord) -> Path:
        """Where the features of a clip lie."""
        return self.folder / f"{clip.id}-{clip.sha256[:16]}.npy"

    @torch.inference_mode()
    def fill(self, splits: tuple[str, ...], device: str) -> None:
        """Compute what is missing; several processes may do so at once, and an interrupted one is taken up again.

        Raises:
            InputError: a clip cannot be read, or the disk is full.
        """
        missing = [clip for clip in self.corpus.split(*splits) if not self(clip).is_file()]
        if not missing:
            return
        log.info("audio features of %d clips go to %s", len(missing), self.folder)
        clips = ClipDataset(self.corpus, splits)
        index = {clip.id: number for number, clip in enumerate(clips.clips)}
        self.encoder.to(device)
        for clip in tqdm(missing, desc="audio features", unit="clip", delay=2, disable=None, leave=False):
            waveform = torch.from_numpy(clips[index[clip.id]]["waveform"])[None].to(device)
            lengths = (torch.tensor([n], device=device) for n in (waveform.shape[1], clip.num_frames))
            features = self.encoder(waveform, *lengths)[0]
            with atomic_path(self(clip)) as temporary:
                np.save(temporary, features.to("cpu", torch.float16).numpy())
        self.encoder.to("cpu")


def is_frozen(encoder: nn.Module) -> TypeGuard[TransformersEncoder]:
    """Whether the encoder always says the same of the same sound."""
    return isinstance(encoder, TransformersEncoder) and not encoder.trains


def encoder_hash(encoder: TransformersEncoder) -> str:
    """SHA-256 of weights and settings, first 16 hex digits."""
    digest = hashlib.sha256(f"{encoder.family} {encoder.alignment} {encoder.fps}".encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
