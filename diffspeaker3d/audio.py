"""Audio in: any file a user has -> mono float32 at a known rate.

libsndfile (soundfile) reads wav, flac, ogg, opus, mp3, aiff, au, caf; what it does not know (m4a, the sound of an mp4,
webm, wma) goes through PyAV.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np

from diffspeaker3d.errors import InputError

SAMPLE_RATE = 16_000  # Hz, what every audio encoder here listens to
STOPBAND_DB = 90.0  # attenuation of what would alias; scipy's default filter leaves a 9 kHz tone at -31 dB
AUDIO_SUFFIXES = frozenset(
    [
        ".wav",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".aif",
        ".aiff",
        ".au",
        ".caf",
        ".m4a",
        ".aac",
        ".mp4",
        ".mov",
        ".mkv",
        ".webm",
        ".wma",
    ]
)


def load_audio(source: str | Path | tuple[np.ndarray, int], sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """A waveform for the encoders: (N,) float32, mono, `sample_rate` Hz, channels averaged.

    Args:
        source: a path, or (samples (N,) or (N, channels), rate in Hz).
        sample_rate: wanted rate, Hz.

    Raises:
        InputError: missing, empty, undecodable, or with samples that are not finite.
    """
    samples, rate = read_audio(source)
    return resample(samples.mean(1, dtype=np.float32) if samples.shape[1] > 1 else samples[:, 0], rate, sample_rate)


def read_audio(source: str | Path | tuple[np.ndarray, int]) -> tuple[np.ndarray, int]:
    """Samples (N, channels) float32 in [-1, 1] and their own rate in Hz; errors as `load_audio`."""
    if isinstance(source, tuple):
        samples, rate = _from_array(*source)
        name = "audio samples"
    else:
        path = Path(source)
        name = str(path)
        if path.is_dir():
            raise InputError(f"{path}: is a folder, not a sound file; name the file, or a glob such as {path}/*.wav")
        if not path.is_file():
            raise InputError(f"{path}: no such file; check the path")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty; record or copy it again")
        samples, rate = _decode(path)
    if len(samples) == 0:
        raise InputError(f"{name}: holds no sound (zero samples); record or copy it again")
    if not np.isfinite(samples).all():
        bad = int(np.argmin(np.isfinite(samples).all(1)))
        raise InputError(f"{name}: sample {bad} is not a finite number; repair or export the sound again")
    return samples, rate


def _from_array(samples: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and samples.shape[1] > 64):
        raise InputError(f"audio samples: expected (N,) or (N, channels), got shape {samples.shape}")
    if rate <= 0:
        raise InputError(f"audio samples: the sample rate must be positive, got {rate}")
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / float(np.iinfo(samples.dtype).max + 1)
    return (samples[:, None] if samples.ndim == 1 else samples).astype(np.float32), int(rate)


def _decode(path: Path) -> tuple[np.ndarray, int]:
    """soundfile first; PyAV for the containers it does not know."""
    import soundfile

    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return samples, int(rate)
    except soundfile.LibsndfileError as error:
        try:
            decoded = _decode_av(path)
        except ImportError:
            raise InputError(f"{path}: cannot be decoded ({error}) without PyAV; pip install av") from error
        if decoded is None:
            raise InputError(
                f"{path}: not a sound file that can be decoded ({_reason(error)}); convert it to wav, flac or mp3"
            ) from error
        return decoded


def _reason(error: Exception) -> str:
    return str(error).split(":")[-1].strip().rstrip(".") or type(error).__name__


def _decode_av(path: Path) -> tuple[np.ndarray, int] | None:
    """Samples (N, channels) and rate of the first audio stream, or None if FFmpeg finds no sound there."""
    import av

    blocks: list[np.ndarray] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                return None
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
            for frame in container.decode(stream):
                blocks += [part.to_ndarray().T for part in resampler.resample(frame)]
            blocks += [part.to_ndarray().T for part in resampler.resample(None)]
            rate = int(stream.rate)
    except (av.FFmpegError, UnicodeDecodeError):
        return None
    channels = blocks[0].shape[1] if blocks else 1
    return (np.concatenate(blocks) if blocks else np.zeros((0, channels))).astype(np.float32), rate


def resample(waveform: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """Band-limited change of rate: (N,) at source_rate Hz -> (ceil(N * target / source),) float32 at target_rate Hz.

    Polyphase FIR with a Kaiser window, pass band to 0.89 of the lower Nyquist frequency, STOPBAND_DB beyond it.
    """
    if source_rate == target_rate:
        return np.ascontiguousarray(waveform, np.float32)
    from scipy.signal import resample_poly

    divisor = math.gcd(source_rate, target_rate)
    up, down = target_rate // divisor, source_rate // divisor
    taps = _low_pass(max(up, down))
    return resample_poly(np.asarray(waveform, np.float32), up, down, window=taps).astype(np.float32)


@lru_cache(maxsize=16)
def _low_pass(longest: int) -> np.ndarray:
    """Filter taps for a rate change whose larger factor is `longest`."""
    from scipy.signal import firwin, kaiserord

    taps, beta = kaiserord(STOPBAND_DB, 0.11 / longest)
    return firwin(taps | 1, 0.945 / longest, window=("kaiser", beta)).astype(np.float32)


def num_motion_frames(num_samples: int, sample_rate: int, fps: float) -> int:
    """How many motion frames a sound needs: floor(duration * fps), robust against rounding of whole numbers."""
    return int(num_samples * fps / sample_rate + 1e-6)
