"""A long clip is encoded in pieces: with Whisper's windows, to the features of the whole."""

from __future__ import annotations

import torch

from diffspeaker3d.generation import encode as encoding
from diffspeaker3d.generation.encode import encode
from diffspeaker3d.models import WhisperEncoder


def test_pieces_of_a_long_clip_are_the_whole(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Pieces begin on whole hops of the encoder's windows and overlap by more than one."""
    torch.manual_seed(0)
    encoder = WhisperEncoder(30.0, None, (1,), 8, (1, 2), hidden=8, heads=1, layers=1, feedforward=8).eval()
    waveform = torch.randn(16000 * 75) * 0.1
    frames = 75 * 30
    with torch.inference_mode():
        whole = encoder(waveform[None], torch.tensor([len(waveform)]), torch.tensor([frames]))
        monkeypatch.setattr(encoding, "ENCODE_SECONDS", 24)
        pieces = encode(encoder, waveform, frames, 30.0)
    assert pieces.shape == whole.shape
    torch.testing.assert_close(pieces, whole, atol=2e-3, rtol=0)  # instants of frames are rounded to float32
