"""espeak-ng through ctypes: text -> (waveform, phones). One voice at a time per process, not thread safe.

The library is GPL-3 and is not part of this package: it comes from the extra `[synth]` (PyPI `espeakng-loader`) or from
the system. Phone events need the old `espeak_Initialize` (espeak-ng issue 1387).
"""

from __future__ import annotations

import _ctypes
import ctypes
import ctypes.util
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.phones import ASPIRATION, SILENCE, Phone, phone_visemes, plain_name

_UNLOAD: Callable[[int], object] = getattr(_ctypes, "FreeLibrary" if sys.platform == "win32" else "dlclose")
_EVENT_END, _EVENT_PHONEME = 0, 7
_SYNCHRONOUS, _OPTIONS = 2, 0x1 | 0x2 | 0x8000  # phoneme events, in IPA, never exit() on errors
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8, _POSITION_CHARACTER = 1, 1
_QUIET = 40  # of 32768: below this espeak is silent
_CLOSURE_LEVEL, _PAUSE_LEVEL = 0.08, 0.01  # of the phone's, the text's largest sample: quieter is closed, is a pause
_VOICELESS_STOPS = frozenset({"p", "t", "k", "tʃ", "pʰ", "tʰ", "kʰ"})
_ITS_OWN = {"s.": "ʂ", "z.": "ʐ"}  # names that are not IPA
_BURST_SECONDS = 0.012  # from the opening to where the lips are seen apart
_MIN_CLOSURE_SECONDS, _UNHEARD_CLOSURE_SECONDS = 0.012, 0.06
_MIN_PAUSE_SECONDS = 0.09


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("phoneme", ctypes.c_char * 8),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def library_paths() -> tuple[str, str | None] | None:
    """(library, data folder or None for its own default), from the wheel if installed, else the system's; None if absent."""
    if find_spec("espeakng_loader") is not None:
        import espeakng_loader

        return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    system = ctypes.util.find_library("espeak-ng")
    return (system, None) if system else None


def speak(
    text: str, voice: str, rate: float = 175.0, pitch: float = 50.0, pitch_range: float = 50.0
) -> tuple[np.ndarray, int, list[Phone]]:
    """Text to speech with phone times.

    The library keeps the state of its oscillators between texts, initialised anew or not, so that a text sounds (and
    lasts) differently after others: it is loaded afresh each time, which costs half a millisecond.

    Args:
        text: plain text.
        voice: such as "en-us", "gmw/en", "en-us+f3" (a variant after the plus).
        rate: words per minute, 80 to 450.
        pitch, pitch_range: 0 to 100.

    Returns:
        waveform (N,) float32, sample_rate in Hz, phones covering the whole waveform.

    Raises:
        InputError: no espeak-ng, an unknown voice, or nothing was spoken.
    """
    paths = library_paths()
    if paths is None:
        raise InputError("espeak-ng is not installed; install the extra: pip install diffspeaker3d[synth]")
    library = ctypes.CDLL(paths[0])
    try:
        samples, events, sample_rate = _synthesise(library, paths[1], text, voice, (rate, pitch, pitch_range))
    finally:
        library.espeak_Terminate()
        _UNLOAD(library._handle)
    if not samples.any():
        raise InputError(f"espeak-ng is silent on {text[:60]!r} with voice {voice!r}; write it differently")
    phones = _repair(samples, sample_rate, _event_phones(events, sample_rate, len(samples)))
    return samples.astype(np.float32) / 32768.0, sample_rate, phones


def _synthesise(
    library: ctypes.CDLL, data: str | None, text: str, voice: str, settings: tuple[float, float, float]
) -> tuple[np.ndarray, list[tuple[str, int]], int]:
    """Samples (N,) int16, phoneme events (name, sample) and sample rate from a freshly loaded library."""
    library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
        ctypes.c_void_p, ctypes.c_void_p,
    ]  # fmt: skip
    sample_rate = library.espeak_Initialize(_SYNCHRONOUS, 60, data.encode() if data else None, _OPTIONS)
    if sample_rate <= 0:
        raise InputError(f"espeak-ng does not start (data folder {data}); install the extra again")
    blocks: list[np.ndarray] = []
    phonemes: list[tuple[str, int]] = []

    def collect(samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            blocks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        index = 0
        while events[index].type != _EVENT_END:
            if events[index].type == _EVENT_PHONEME:
                phonemes.append((_ipa(events[index].phoneme.decode("utf-8", "replace")), events[index].sample))
            index += 1
        return 0

    callback = _CALLBACK(collect)  # kept alive: the library holds only the pointer
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise InputError(f"espeak-ng has no voice {voice!r}; see espeak-ng --voices")
    for parameter, value in zip((_RATE, _PITCH, _RANGE), settings, strict=True):
        library.espeak_SetParameter(parameter, round(value), 0)
    content = text.encode("utf-8") + b"\0"
    if hasattr(library, "espeak_ng_SetRandSeed"):  # 1.52; else breath and whisper begin with the time of day
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    if library.espeak_Synth(content, len(content), 0, _POSITION_CHARACTER, 0, _UTF8, None, None) != 0:
        raise InputError(f"espeak-ng cannot speak {text[:60]!r}; write it differently")
    library.espeak_Synchronize()
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int16), phonemes, sample_rate


def _ipa(name: str) -> str:
    """IPA of a phoneme that some voices write otherwise: "ts.h" is tʂʰ, "ph" is pʰ."""
    for theirs, ipa in _ITS_OWN.items():
        name = name.replace(theirs, ipa)
    return name[:-1] + "ʰ" if len(name) > 1 and name.endswith("h") else name


def _event_phones(events: list[tuple[str, int]], sample_rate: int, num_samples: int) -> list[Phone]:
    """Onset events to phones; the empty end marker and zero lengths drop out, a gap in front is silence."""
    times = [sample / sample_rate for _, sample in events] + [num_samples / sample_rate]
    found = [] if not times or times[0] <= 0 else [Phone(SILENCE, 0.0, times[0])]
    for (name, _), start, end in zip(events, times[:-1], times[1:], strict=True):
        if end > start:
            silent = phone_visemes(name) == (SILENCE,)
            found.append(Phone(SILENCE if silent else name, start, end))
    return found


def _repair(samples: np.ndarray, sample_rate: int, phones: list[Phone]) -> list[Phone]:
    """Give stops their closure, and pauses their silence.

    For p, t, k, ch the event is the *release*: the closure is the silence before it, inside the previous phone. That
    silence goes to the stop, and what follows its burst becomes aspiration. Longer silences, which have no event of
    their own, become pauses.
    """
    level = np.abs(samples.astype(np.int32))
    repaired: list[Phone] = []
    for phone in phones:
        if plain_name(phone.name) in _VOICELESS_STOPS:
            closure = _closure(level, sample_rate, repaired[-1] if repaired else None, phone.start)
            if closure is not None:
                if repaired:
                    repaired[-1] = repaired[-1]._replace(end=closure[0])
                repaired += _split_release(phone._replace(start=closure[0]), release=closure[1])
                continue
        repaired.append(phone)
    loud = np.flatnonzero(level >= max(_QUIET, _PAUSE_LEVEL * level.max())) / sample_rate
    return [part for phone in repaired for part in _split_pauses(phone, loud)]


def _closure(level: np.ndarray, sample_rate: int, before: Phone | None, release: float) -> tuple[float, float] | None:
    """Start and end, seconds, of the quiet that ends a phone before a voiceless stop; None if there is none.

    Quiet is relative to the phone: most voices close to digital silence, those with breath do not. After a silence the
    closure cannot be heard; it gets a usual length.
    """
    if before is None:
        return release, release
    if before.name == SILENCE:
        return max(release - _UNHEARD_CLOSURE_SECONDS, 0.5 * (before.start + before.end)), release
    first, last = (round(x * sample_rate) for x in (before.start + 0.25 * (before.end - before.start), before.end))
    inside = level[first:last]
    if len(inside) < 2:
        return None
    loud = np.flatnonzero(inside >= max(_QUIET, _CLOSURE_LEVEL * inside.max()))
    edges = np.concatenate([[-1], loud, [len(inside)]])
    longest = int(np.argmax(np.diff(edges)))
    start, end = first + edges[longest] + 1, first + edges[longest + 1]
    if end - start < _MIN_CLOSURE_SECONDS * sample_rate or last - end > _BURST_SECONDS * sample_rate:
        return None
    return start / sample_rate, end / sample_rate


def _split_release(stop: Phone, release: float) -> list[Phone]:
    """A stop to its closure with burst, and the breath after it (affricates keep their friction)."""
    opened = release + _BURST_SECONDS
    if plain_name(stop.name) == "tʃ" or stop.end - opened < _BURST_SECONDS:
        return [stop]
    return [stop._replace(end=opened), Phone(ASPIRATION, opened, stop.end)]


def _split_pauses(phone: Phone, loud: np.ndarray) -> list[Phone]:
    """Cut a silence at the end of a phone, longer than any closure, off as a pause."""
    if phone.name == SILENCE:
        return [phone]
    inside = loud[np.searchsorted(loud, phone.start) : np.searchsorted(loud, phone.end)]
    last = inside[-1] if len(inside) else phone.start
    if phone.end - last < _MIN_PAUSE_SECONDS or not len(inside):
        return [phone]
    return [phone._replace(end=float(last)), Phone(SILENCE, float(last), phone.end)]
