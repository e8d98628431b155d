"""Speech to audio features, a long clip in pieces."""

from __future__ import annotations

import torch
from torch import Tensor

from diffspeaker3d.audio import SAMPLE_RATE
from diffspeaker3d.models import AudioEncoder

ENCODE_SECONDS = 120  # speech encoded at once
ENCODE_MARGIN = (
    12  # seconds of context on either side of it: more than any encoder's reach, and whole hops of WhisperEncoder
)


def encode(encoder: AudioEncoder, waveform: Tensor, num_frames: int, fps: float) -> Tensor:
    """Audio features (1, T, D_a) of one clip; a long one in pieces with context on either side, in memory that stays flat.

    Args:
        encoder: in eval mode.
        waveform (Tensor (N,)): at 16 kHz, on the encoder's device.
        num_frames: T.
        fps: motion frames per second.
    """
    whole_seconds = float(fps).is_integer()  # otherwise pieces would not begin on a frame
    if not whole_seconds or len(waveform) <= (ENCODE_SECONDS + 2 * ENCODE_MARGIN) * SAMPLE_RATE:
        return _encode_whole(encoder, waveform, num_frames)
    pieces = []
    for start in range(0, -(-len(waveform) // SAMPLE_RATE), ENCODE_SECONDS):
        first = max(start - ENCODE_MARGIN, 0)
        piece = waveform[first * SAMPLE_RATE : (start + ENCODE_SECONDS + ENCODE_MARGIN) * SAMPLE_RATE]
        context = int((start - first) * fps)
        count = min(int(ENCODE_SECONDS * fps), num_frames - int(start * fps))
        if count > 0:
            heard = min(int(len(piece) / SAMPLE_RATE * fps), num_frames - int(first * fps))  # what follows is heard too
            pieces.append(_encode_whole(encoder, piece, max(heard, context + count))[:, context : context + count])
    return torch.cat(pieces, 1)


def _encode_whole(encoder: AudioEncoder, waveform: Tensor, num_frames: int) -> Tensor:
    counts = torch.tensor([[len(waveform)], [num_frames]], device=waveform.device)
    features: Tensor = encoder(waveform[None], counts[0], counts[1])
    return features
