"""The same sentence in worse sound: what a model meets outside of a studio. Every change is deterministic and keeps time."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Sequence

import numpy as np

from diffspeaker3d.audio import SAMPLE_RATE, load_audio
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.errors import InputError

CLEAN = "clean"
VOICES = 6  # in a crowd
TELEPHONE_HZ = (300.0, 3400.0)  # ITU-T G.712
MP3_DELAY_SEARCH = 4000  # samples in which the coder's delay is looked for
KNOWN = "clean, babble<dB> (babble10), telephone, mp3_<kbit/s> (mp3_64), gain<dB> (gain+12, gain-12), overload<dB> (overload12)"

Change = Callable[[np.ndarray, ClipRecord, Corpus], np.ndarray]
"""(waveform (N,) at SAMPLE_RATE, clip, corpus) -> waveform (N,)."""


def parse_degradation(name: str) -> Change:
    """The change of sound that a name stands for: `clean`, `babble10`, `telephone`, `mp3_64`, `gain-12`, `overload12`.

    Raises:
        InputError: an unknown name; the known are listed.
    """
    found = re.fullmatch(r"(clean|telephone)|(babble|gain|overload)([+-]?\d+)|(mp3_)(\d+)", name)
    if found is None:
        raise InputError(f"degradations: unknown {name!r}; known: {KNOWN}")
    plain, level, decibels, _, kilobits = found.groups()
    if plain == "clean":
        return lambda waveform, clip, corpus: waveform
    if plain == "telephone":
        return lambda waveform, clip, corpus: telephone(waveform)
    if level == "gain":
        return lambda waveform, clip, corpus: gain(waveform, float(decibels))
    if level == "overload":
        return lambda waveform, clip, corpus: np.clip(gain(waveform, float(decibels)), -1.0, 1.0)
    if level == "babble":
        return lambda waveform, clip, corpus: babble(waveform, other_voices(clip, corpus), float(decibels))
    return lambda waveform, clip, corpus: mp3(waveform, int(kilobits))


def gain(waveform: np.ndarray, decibels: float) -> np.ndarray:
    """Louder or quieter and nothing else: floating point has headroom. A converter that cuts at full scale is `overload`."""
    return np.asarray(waveform * np.float32(10 ** (decibels / 20)), np.float32)


def telephone(waveform: np.ndarray) -> np.ndarray:
    """Only 300 to 3400 Hz: Butterworth, fourth order, forth and back (48 dB per octave), so that nothing is delayed."""
    from scipy.signal import butter, sosfiltfilt

    band = butter(4, TELEPHONE_HZ, "bandpass", fs=SAMPLE_RATE, output="sos")
    return sosfiltfilt(band, waveform, padlen=min(len(waveform) - 1, SAMPLE_RATE // 10)).astype(np.float32)


def babble(waveform: np.ndarray, voices: Sequence[np.ndarray], snr_db: float) -> np.ndarray:
    """A crowd of equally loud voices (repeated to length) below the speech: SNR = 20 log10(rms speech / rms crowd)."""
    crowd = sum((np.resize(voice, len(waveform)) / max(_rms(voice), 1e-6) for voice in voices), np.zeros(len(waveform)))
    level = _rms(waveform) / max(_rms(crowd), 1e-9) * 10 ** (-snr_db / 20)
    return np.clip(waveform + level * crowd, -1.0, 1.0).astype(np.float32)


def other_voices(clip: ClipRecord, corpus: Corpus) -> list[np.ndarray]:
    """Sounds of other clips of the corpus, by preference of other speakers; which ones follows from the clip's id."""
    speech = [c for c in corpus.clips if c.id != clip.id and c.spoken]
    others = [c for c in speech if voice_of(c, corpus) != voice_of(clip, corpus)] or speech
    if not others:
        raise InputError(f"conditions: babble needs other clips with speech, {corpus.root} has only {clip.id}")
    rng = np.random.default_rng(list(hashlib.sha256(clip.id.encode()).digest()[:8]))
    chosen = rng.choice(len(others), min(VOICES, len(others)), replace=False)
    return [load_audio(corpus.audio_path(others[i])) for i in chosen]


def mp3(waveform: np.ndarray, kilobits: int) -> np.ndarray:
    """Through an mp3 encoder of constant bit rate and back; the coder's delay is taken out again.

    Raises:
        InputError: no encoder here, or a bit rate that mp3 does not have at 16 kHz.
    """
    try:
        import av
    except ImportError as error:
        raise InputError("conditions: mp3 needs PyAV; pip install av") from error
    stream_bytes = io.BytesIO()
    try:
        with av.open(stream_bytes, "w", format="mp3") as container:
            stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="mono")
            stream.bit_rate = kilobits * 1000
            for packet in _packets(stream, waveform):
                container.mux(packet)
        stream_bytes.seek(0)
        with av.open(stream_bytes, "r", format="mp3") as container:
            decoded = np.concatenate(
                [frame.to_ndarray().astype(np.float32).reshape(-1) for frame in container.decode(audio=0)]
            )
    except av.FFmpegError as error:
        raise InputError(f"conditions: mp3_{kilobits} cannot be made here ({error.strerror})") from error
    return _aligned(decoded, waveform)


def _packets(stream, waveform: np.ndarray) -> list:  # type: ignore[no-untyped-def]
    """Encoded packets of a mono waveform (N,), the last ones by flushing."""
    import av

    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(waveform[None], np.float32), format="fltp", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    return [*stream.encode(frame), *stream.encode(None)]


def _aligned(decoded: np.ndarray, waveform: np.ndarray) -> np.ndarray:
    """The decoded sound shifted to where it correlates best with the original, cut or padded to its length."""
    from scipy.signal import correlate

    padded = np.pad(decoded, (0, max(len(waveform) - len(decoded), 0)))
    scores = correlate(padded, waveform, "full", method="fft")[len(waveform) - 1 :][:MP3_DELAY_SEARCH]
    shifted = (
        padded[int(np.argmax(scores)) :][: len(waveform)] if len(scores) and waveform.any() else padded[: len(waveform)]
    )
    return np.pad(shifted, (0, len(waveform) - len(shifted)))


def voice_of(clip: ClipRecord, corpus: Corpus) -> str:
    """Who speaks: the subject where motion is recorded, the part of the id before its last "-" where speech is synthetic."""
    return clip.subject if corpus.motion == "vertices" else clip.id.rpartition("-")[0]


def _rms(waveform: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))
