"""espeak-ng through ctypes: text -> (waveform, phones). A library with one global voice: use it in a process of its own.

The library is GPL-3 and is not part of this package: it comes from the extra `[synth]` (PyPI `espeakng-loader`) or from
the system. Phone events need the old `espeak_Initialize` (espeak-ng issue 1387).
"""

from __future__ import annotations

import ctypes
import ctypes.util
from importlib.util import find_spec
from typing import Any

import numpy as np

from diffspeaker3d.data.synthetic.phones import ASPIRATION, SILENCE, Phone, phone_visemes, plain_name
from diffspeaker3d.errors import InputError

_EVENT_END, _EVENT_PHONEME = 0, 7
_SYNCHRONOUS, _OPTIONS = 2, 0x1 | 0x2 | 0x8000  # phoneme events, in IPA, never exit() on errors
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8, _POSITION_CHARACTER = 1, 1
_QUIET = 40  # of 32768: below this espeak is silent
_VOICELESS_STOPS = frozenset({"p", "t", "k", "tʃ"})
_BURST_SECONDS = 0.012
_MIN_CLOSURE_SECONDS = 0.012
_MIN_PAUSE_SECONDS = 0.09


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("phoneme", ctypes.c_char * 8),
    )  # fmt: skip


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def library_paths() -> tuple[str, str | None] | None:
    """(library, data folder or None for its own default), from the wheel if installed, else the system's; None if absent."""
    if find_spec("espeakng_loader") is not None:
        import espeakng_loader

        return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    system = ctypes.util.find_library("espeak-ng")
    return (system, None) if system else None


class ESpeak:
    """One loaded espeak-ng. Raises InputError when the library is absent or cannot start."""

    def __init__(self) -> None:
        paths = library_paths()
        if paths is None:
            raise InputError("espeak-ng is not installed; install the extra: pip install diffspeaker3d[synth]")
        library, data = paths
        self._library = ctypes.CDLL(library)
        self._library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
            ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        self.sample_rate: int = self._library.espeak_Initialize(
            _SYNCHRONOUS, 60, data.encode() if data else None, _OPTIONS
        )
        if self.sample_rate <= 0:
            raise InputError(f"{library}: espeak-ng does not start (data folder {data}); install the extra again")
        self._blocks: list[np.ndarray] = []
        self._events: list[tuple[str, int]] = []
        self._callback = _CALLBACK(self._collect)  # kept alive: the library holds only the pointer
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._blocks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        index = 0
        while events[index].type != _EVENT_END:
            if events[index].type == _EVENT_PHONEME:
                self._events.append((events[index].phoneme.decode("utf-8", "replace"), events[index].sample))
            index += 1
        return 0

    def speak(
        self, text: str, voice: str, rate: float = 175.0, pitch: float = 50.0, pitch_range: float = 50.0
    ) -> tuple[np.ndarray, int, list[Phone]]:
        """Text to speech with phone times.

        Args:
            text: plain text.
            voice: such as "en-us", "gmw/en", "en-us+f3" (a variant after the plus).
            rate: words per minute, 80 to 450.
            pitch, pitch_range: 0 to 100.

        Returns:
            waveform (N,) float32, sample_rate in Hz, phones covering the whole waveform.

        Raises:
            InputError: the voice is unknown or nothing was spoken.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise InputError(f"espeak-ng has no voice {voice!r}; see espeak-ng --voices")
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, round(value), 0)
        self._blocks, self._events = [], []
        data = text.encode("utf-8") + b"\0"
        if self._library.espeak_Synth(data, len(data), 0, _POSITION_CHARACTER, 0, _UTF8, None, None) != 0:
            raise InputError(f"espeak-ng cannot speak {text[:60]!r}; write it differently")
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._blocks) if self._blocks else np.zeros(0, np.int16)
        if not samples.any():
            raise InputError(f"espeak-ng is silent on {text[:60]!r} with voice {voice!r}; write it differently")
        phones = _repair(samples, self.sample_rate, _event_phones(self._events, self.sample_rate, len(samples)))
        return samples.astype(np.float32) / 32768.0, self.sample_rate, phones


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

    For p, t, k, ch the event is the *release*: the closure is the exact silence before it, inside the previous phone.
    That silence goes to the stop, and what follows its burst becomes aspiration. Longer silences, which have no event
    of their own, become pauses.
    """
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) >= _QUIET) / sample_rate
    repaired: list[Phone] = []
    for phone in phones:
        if plain_name(phone.name) in _VOICELESS_STOPS and repaired:
            before = repaired[-1]
            last_loud = loud[np.searchsorted(loud, phone.start) - 1] if len(loud) and loud[0] < phone.start else 0.0
            onset = max(last_loud, before.start + 0.25 * (before.end - before.start))
            if phone.start - onset >= _MIN_CLOSURE_SECONDS and before.name != SILENCE:
                repaired[-1] = before._replace(end=onset)
                phone = phone._replace(start=onset)
                repaired += _split_release(phone, release=before.end)
                continue
        repaired.append(phone)
    return [part for phone in repaired for part in _split_pauses(phone, loud)]


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
