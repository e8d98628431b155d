"""pocketsphinx behind three questions: when is this said, which of these words are said, what is said.

One decoder per process for known texts, one with the language model when it is first needed. Answers depend on the
sound and the text only: the cepstral mean is taken over the whole piece.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.alignment.pronunciation import pronounce

FRAME_SECONDS = 0.01
SKIP_PROBABILITY = (
    1e-20  # of a written word not being spoken: reduced words stay, foreign ones go (tried on recordings)
)
SKIP_MORE_PROBABILITY, LONGEST_SKIP = (
    1e-8,
    8,
)  # of each word after it being missing too: one by one would leave the beam
LEAVE_PROBABILITY = 1e-2  # of a piece ending after any word, when the text goes on
_VARIANT = re.compile(r"\(\d+\)$")  # "and(2)": the dictionary's second pronunciation
_lock = threading.Lock()  # a decoder serves one utterance at a time


class AlignedPhone(NamedTuple):
    """A phone (ARPAbet, or SIL), its word and whether it begins it, its time in seconds, its log score (0 is best)."""

    name: str
    word: str
    begins: bool
    start: float
    end: float
    score: float


def force(waveform: np.ndarray, words: Sequence[str]) -> list[AlignedPhone] | None:
    """Phones of exactly these words in this sound (N,) at 16 kHz, or None when they do not fit it."""
    with _lock:
        decoder = _decoder()
        _teach(decoder, words)
        try:
            decoder.set_align_text(" ".join(words))
            _listen(decoder, waveform)
            if decoder.hyp() is None:
                return None
            decoder.set_alignment()
            _listen(decoder, waveform)
            return _phones(decoder)
        except RuntimeError:  # "Failed to set up sub-word alignment", "Failed to stop utterance processing"
            return None


def which_are_said(waveform: np.ndarray, words: Sequence[str], more_follow: bool) -> list[str]:
    """Those of the words, in their order, that are heard; with `more_follow` the sound may end before the text."""
    arcs: list[tuple[Any, ...]] = []
    for index, word in enumerate(words):
        arcs.append((index, index + 1, 1.0 - SKIP_PROBABILITY, word))
        for count in range(1, min(LONGEST_SKIP, len(words) - index) + 1):
            arcs.append((index, index + count, SKIP_PROBABILITY * SKIP_MORE_PROBABILITY ** (count - 1)))
        arcs.append((index, len(words), LEAVE_PROBABILITY if more_follow else SKIP_PROBABILITY))
    with _lock:
        decoder = _decoder()
        _teach(decoder, words)
        try:
            decoder.add_fsg("skips", decoder.create_fsg("skips", 0, len(words), arcs))
            decoder.activate_search("skips")
            _listen(decoder, waveform)
        except RuntimeError:
            return []
        return _heard(decoder)


def recognise(waveform: np.ndarray) -> list[str]:
    """The words heard in a sound, by the language model."""
    with _lock:
        decoder = _decoder(language_model=True)
        _listen(decoder, waveform)
        return _heard(decoder)


@lru_cache(maxsize=2)
def _decoder(language_model: bool = False) -> Any:
    try:
        from pocketsphinx import Config, Decoder, get_model_path
    except ImportError as error:
        raise InputError(
            "forced alignment needs pocketsphinx; install the extra: pip install diffspeaker3d[align]"
        ) from error
    model = Path(get_model_path()) / "en-us"
    return Decoder(
        Config(
            hmm=str(model / "en-us"),
            dict=str(model / "cmudict-en-us.dict"),
            cmn="batch",
            loglevel="FATAL",
            lm=str(model / "en-us.lm.bin") if language_model else None,
        )
    )


def _teach(decoder: Any, words: Sequence[str]) -> None:
    """Pronunciations, by rule, of the words that the dictionary lacks."""
    for word in dict.fromkeys(words):
        if decoder.lookup_word(word) is None:
            decoder.add_word(word, pronounce(word, decoder.lookup_word), False)


def _listen(decoder: Any, waveform: np.ndarray) -> None:
    decoder.start_utt()
    decoder.process_raw(np.rint(np.clip(waveform, -1.0, 1.0) * 32767.0).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()


def _heard(decoder: Any) -> list[str]:
    words = [] if decoder.hyp() is None else decoder.hyp().hypstr.split()
    return [_VARIANT.sub("", word) for word in words if word[0] not in "<[(+"]


def _phones(decoder: Any) -> list[AlignedPhone]:
    return [
        AlignedPhone(
            phone.name, _VARIANT.sub("", word.name), index == 0, phone.start * FRAME_SECONDS,
            (phone.start + phone.duration) * FRAME_SECONDS, float(phone.score),
        )
        for word in decoder.get_alignment()
        for index, phone in enumerate(word)
    ]  # fmt: skip
