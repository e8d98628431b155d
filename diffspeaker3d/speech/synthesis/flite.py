"""flite through ctypes: text -> (waveform, phones). Human-derived voices under a permissive licence, where libflite exists."""

from __future__ import annotations

import ctypes
import ctypes.util
from typing import Any

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.phones import SILENCE, Phone

VOICES = ("kal", "kal16", "awb", "rms", "slt")
MEAN_F0 = {"kal": 95.0, "kal16": 95.0, "awb": 120.0, "rms": 100.0, "slt": 167.0}  # Hz
LAG_SECONDS = {"slt": 0.010}  # measured: the labels of slt run this far behind its sound

_LIBRARIES = ("flite", "flite_cmulex", "flite_usenglish")
# flite stores the pointer of a feature's key, not its text: the keys must live as long as the library.
_STRETCH, _F0_MEAN, _F0_DEVIATION = b"duration_stretch", b"int_f0_target_mean", b"int_f0_target_stddev"
_END, _NAME, _STRESS = b"end", b"name", b"R:SylStructure.parent.stress"


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


_VOID, _TEXT, _FLOAT = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "flite_synth_text": (_VOID, [_TEXT, _VOID]), "utt_relation": (_VOID, [_VOID, _TEXT]),
    "relation_head": (_VOID, [_VOID]), "item_next": (_VOID, [_VOID]), "item_feat_float": (_FLOAT, [_VOID, _TEXT]),
    "item_feat_string": (_TEXT, [_VOID, _TEXT]), "flite_ffeature_string": (_TEXT, [_VOID, _TEXT]),
    "utt_wave": (ctypes.POINTER(_Wave), [_VOID]), "delete_utterance": (None, [_VOID]),
    "feat_set_float": (None, [_VOID, _TEXT, _FLOAT]),
}  # fmt: skip


def installed_voices() -> tuple[str, ...]:
    """The voices whose libraries the system has; empty without flite."""
    if not all(ctypes.util.find_library(name) for name in _LIBRARIES):
        return ()
    return tuple(voice for voice in VOICES if ctypes.util.find_library(f"flite_cmu_us_{voice}"))


class Flite:
    """One loaded flite; voices register on first use. Raises InputError when the library is absent."""

    def __init__(self) -> None:
        loaded = [_load(name) for name in _LIBRARIES]
        self._library = loaded[0]
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        self._library.flite_init()
        self._voices: dict[str, int] = {}

    def _voice(self, name: str) -> int:
        if name not in self._voices:
            register = getattr(_load(f"flite_cmu_us_{name}"), f"register_cmu_us_{name}")
            register.restype, register.argtypes = _VOID, [_TEXT]
            self._voices[name] = register(None)
        return self._voices[name]

    def speak(
        self, text: str, voice: str, stretch: float = 1.0, f0_mean: float | None = None, f0_deviation: float = 15.0
    ) -> tuple[np.ndarray, int, list[Phone]]:
        """Text to speech with phone times.

        Args:
            text: plain ASCII text.
            voice: one of VOICES.
            stretch: factor on durations, above 1 slower.
            f0_mean, f0_deviation: pitch in Hz; None is the voice's own.

        Returns:
            waveform (N,) float32, sample_rate in Hz, phones (ARPAbet, stress as a digit on every vowel's syllable).

        Raises:
            InputError: flite cannot speak the text.
        """
        library, handle = self._library, self._voice(voice)
        features = ctypes.cast(handle, ctypes.POINTER(_VOID))[1]  # cst_voice: {name, features, ...}
        settings = ((_STRETCH, stretch), (_F0_MEAN, f0_mean or MEAN_F0[voice]), (_F0_DEVIATION, f0_deviation))
        for key, value in settings:
            library.feat_set_float(features, key, value)
        if hasattr(library, "srand"):  # the C library's, found through this one: breathiness is random
            library.srand(1)
        utterance = library.flite_synth_text(text.encode("ascii", "replace"), handle)
        if not utterance:
            raise InputError(f"flite cannot speak {text[:60]!r}; write it differently")
        try:
            wave = library.utt_wave(utterance).contents
            samples = np.ctypeslib.as_array(wave.samples, shape=(wave.num_samples,)).astype(np.float32) / 32768.0
            sample_rate = int(wave.sample_rate)
            phones = self._phones(utterance, LAG_SECONDS.get(voice, 0.0))
        finally:
            library.delete_utterance(utterance)
        return samples, sample_rate, fit(phones, len(samples) / sample_rate)

    def _phones(self, utterance: int, lag: float) -> list[Phone]:
        library, found, start = self._library, [], 0.0
        item = library.relation_head(library.utt_relation(utterance, b"Segment"))
        while item:
            end = max(library.item_feat_float(item, _END) - lag, start)
            name = library.item_feat_string(item, _NAME).decode()
            stressed = library.flite_ffeature_string(item, _STRESS) == b"1"
            found.append(
                Phone(SILENCE if name == "pau" else name + "1" * (stressed and name[0] in "aeiou"), start, end)
            )
            start, item = end, library.item_next(item)
        return found


def _load(name: str) -> ctypes.CDLL:
    path = ctypes.util.find_library(name)
    if path is None:
        raise InputError(f"lib{name} is not installed; install flite (apt-get install flite) or use another engine")
    return ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)


def fit(phones: list[Phone], duration: float) -> list[Phone]:
    """Phones cut to the sound's real duration; what remains uncovered at its end is silence."""
    found = [p._replace(end=min(p.end, duration)) for p in phones if p.start < duration]
    if found and duration - found[-1].end > 1e-3:
        found.append(Phone(SILENCE, found[-1].end, duration))
    return [p for p in found if p.end > p.start]
