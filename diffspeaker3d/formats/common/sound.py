"""The sound of an animation as WAV bytes, for formats that carry or accompany it."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.files import atomic_path


def wav_bytes(animation: Animation) -> bytes:
    """The waveform as a 16-bit mono WAV file; it must be there."""
    assert animation.waveform is not None and animation.sample_rate is not None
    stream = io.BytesIO()
    with wave.open(stream, "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(animation.sample_rate)
        target.writeframes(np.rint(np.clip(animation.waveform, -1, 1) * 32767).astype("<i2").tobytes())
    return stream.getvalue()


def write_wav(path: Path, animation: Animation) -> None:
    """Write the waveform beside another output."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(wav_bytes(animation))
