"""Forced alignment that survives a transcript with a word too many, and recordings of any length.

A piece is first tried with exactly its text. Where that fails or fits badly, a grammar in which every word may be
missing says which words are there; where that fails too, the recogniser's own words are taken, and a note says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import NamedTuple

import numpy as np

from diffspeaker3d.audio import SAMPLE_RATE
from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.alignment import recogniser
from diffspeaker3d.speech.alignment.pauses import HOP_SECONDS, is_silent, pieces, quiet_frames, runs
from diffspeaker3d.speech.alignment.recogniser import AlignedPhone
from diffspeaker3d.speech.alignment.words import spoken_words
from diffspeaker3d.speech.phones import SILENCE, VOWELS, Phone, phone_visemes

LONGEST_PIECE = 25.0  # seconds aligned at once
WORDS_PER_SECOND = 5.0  # more than anybody says; a window of text for a piece
SPARE_WORDS = 10
GOOD_FIT, BAD_FIT = -16.0, -32.0  # mean log score a frame: read speech has -12 to -20, a wrong text -30 to -60
CLEARLY_BETTER = 0.85  # of the other's score, for words that are not the transcript's
SHORTEST_SOUND = 0.1  # seconds
MERGED_PAUSE = 0.10  # seconds of quiet that make an overlong phone at a word's edge end, or begin, in a pause
NEAR_EDGE = 0.12  # seconds of sound, a click or a breath, between that pause and the edge
OVERLONG, KEPT = 0.16, 0.06  # seconds: such a phone, and what a sound keeps of itself at least
_WEAK_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "to",
        "in",
        "on",
        "at",
        "for",
        "and",
        "or",
        "but",
        "i",
        "is",
        "was",
        "are",
        "be",
        "as",
        "by",
        "it",
        "he",
        "she",
        "we",
        "you",
        "they",
        "his",
        "her",
        "that",
        "this",
        "with",
        "from",
    ]
)
_FULL_VOWELS = VOWELS - {"ah", "ih"}


class Word(NamedTuple):
    """A word and when it is said, in seconds."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Alignment:
    """What was said when, and how far to trust it.

    Attributes:
        phones: in order, covering the sound, pauses as "sil"; ARPAbet in lower case, the stressed vowels with a "1". Seconds.
        words: in order; those of the transcript, or the recogniser's where a note says so.
        notes: what did not go by the transcript, one sentence each; empty when everything did.
        score: mean log score a frame of the spoken part; -12 to -20 is usual, under -32 doubtful.
    """

    phones: list[Phone]
    words: list[Word]
    notes: tuple[str, ...]
    score: float


def align(waveform: np.ndarray, text: str) -> Alignment:
    """Times of the phones and words of a transcript in its recording. Linear in the duration, deterministic.

    Args:
        waveform (array (N,)): at 16 kHz, mono.
        text: what is said, in English, with or without punctuation and digits.

    Raises:
        InputError: no pocketsphinx, nothing to align, or text and sound do not belong together.
    """
    words = spoken_words(text)
    if not words:
        raise InputError(f"text: holds no English words ({text.strip()[:40]!r}); give what is said, in Latin letters")
    if len(waveform) < SHORTEST_SOUND * SAMPLE_RATE:
        raise InputError(
            f"alignment: {len(waveform) / SAMPLE_RATE:.3f} s of sound is too short for words; give the whole recording"
        )
    found: list[AlignedPhone] = []
    notes: list[str] = []
    reached = 0
    parts = pieces(waveform, LONGEST_PIECE)
    for start, end in parts:
        piece = waveform[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        is_last = end == parts[-1][1]
        room = len(words) if is_last else reached + int((end - start) * WORDS_PER_SECOND) + SPARE_WORDS
        fit, consumed, note = _fit(piece, words[reached:room], whole=len(parts) == 1, is_last=is_last)
        reached += consumed
        found += [p._replace(start=p.start + start, end=p.end + start) for p in fit]
        notes += [f"{start:.1f} to {end:.1f} s: {note}"] if note else []
    score = _score(found)
    if not any(p.word[0] not in "<[(+" for p in found) or score < 2.0 * BAD_FIT:
        raise InputError(
            "alignment: the text is not what is said; check that it belongs to this recording, or let the recogniser listen (text=auto)"
        )
    return Alignment(*_timed(found, waveform), tuple(notes), score)


def transcribe(waveform: np.ndarray) -> str:
    """The words that the recogniser hears in a sound (N,) at 16 kHz: clear American speech well, others so so.

    Raises:
        InputError: no pocketsphinx, or no words are heard.
    """
    heard = [
        word
        for start, end in pieces(waveform, LONGEST_PIECE)
        for word in _recognise(waveform[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)])
    ]
    if not heard:
        raise InputError("text=auto: no words were recognised in the sound; give the transcript as text=")
    return " ".join(heard)


def _fit(piece: np.ndarray, words: Sequence[str], whole: bool, is_last: bool) -> tuple[list[AlignedPhone], int, str]:
    """Phones of a piece, how many of the words it has used up, and what was done to the text ("" nothing)."""
    best, note, consumed = None, "", len(words)
    if is_silent(piece):
        return [], 0, "no sound"
    if whole:
        best = recogniser.force(piece, words)
    if words and (best is None or _score(best) < GOOD_FIT):
        said = recogniser.which_are_said(piece, words, more_follow=not is_last)
        fit = recogniser.force(piece, said) if said and (not whole or said != list(words)) else None
        if fit is not None and (best is None or _score(fit) > CLEARLY_BETTER * _score(best)):
            best = fit
            skipped, consumed = _skipped(said, words, count_rest=is_last)
            note = f"not heard: {', '.join(skipped)}" if skipped else ""
    if best is not None and _score(best) >= BAD_FIT:
        return best, consumed, note
    heard = _recognise(piece)
    fit = recogniser.force(piece, heard) if heard else None
    if fit is not None and (best is None or _score(fit) > CLEARLY_BETTER * _score(best)):
        blocks = SequenceMatcher(None, heard, list(words), autojunk=False).get_matching_blocks()
        used = max((b.b + b.size for b in blocks if b.size), default=0)
        return fit, used, f"the transcript does not fit, the recogniser heard: {' '.join(heard)}"
    if best is None:
        return [], 0, "neither the transcript nor the recogniser's words could be aligned: taken as silence"
    return best, consumed, "; ".join(filter(None, [note, "the transcript fits badly"]))


def _recognise(piece: np.ndarray) -> list[str]:
    """The recogniser's words; it would hear some in silence too."""
    return [] if is_silent(piece) else recogniser.recognise(piece)


def _skipped(said: Sequence[str], words: Sequence[str], count_rest: bool) -> tuple[list[str], int]:
    """Words passed over on the way through `words`, and how many were used up; the rest counts only at the end."""
    skipped: list[str] = []
    at = 0
    for word in said:
        reached = words.index(word, at)
        skipped += words[at:reached]
        at = reached + 1
    return ([*skipped, *words[at:]], len(words)) if count_rest else (skipped, at)


def _is_silence(phone: AlignedPhone) -> bool:
    return phone.word[0] in "<[(+" or phone.name in ("SIL", "+NSN+", "+SPN+")


def _score(phones: Sequence[AlignedPhone]) -> float:
    """Mean log score a frame of what is not silence."""
    spoken = [p for p in phones if not _is_silence(p)]
    frames = sum(p.end - p.start for p in spoken) / recogniser.FRAME_SECONDS
    return sum(p.score for p in spoken) / frames if frames else 0.0


def _timed(found: Sequence[AlignedPhone], waveform: np.ndarray) -> tuple[list[Phone], list[Word]]:
    """Phones that cover the sound, pauses where it is quiet, stress on the vowels that carry it; and the words."""
    quiet = runs(quiet_frames(waveform)) * HOP_SECONDS
    phones: list[Phone] = []
    words: list[Word] = []
    for group in _by_word(found):
        if _is_silence(group[0]):
            continue
        stressed = _stressed(group)
        sounds = [Phone(p.name.lower() + ("1" if i == stressed else ""), p.start, p.end) for i, p in enumerate(group)]
        sounds[0] = sounds[0]._replace(start=_after_pause(sounds[0], quiet))
        sounds[-1] = sounds[-1]._replace(end=_before_pause(sounds[-1], quiet))
        phones += sounds
        words.append(Word(group[0].word, sounds[0].start, sounds[-1].end))
    return _with_pauses(phones, len(waveform) / SAMPLE_RATE), words


def _by_word(found: Sequence[AlignedPhone]) -> list[list[AlignedPhone]]:
    groups: list[list[AlignedPhone]] = []
    for phone in found:
        if phone.begins:
            groups.append([])
        groups[-1].append(phone)
    return groups


def _stressed(group: Sequence[AlignedPhone]) -> int | None:
    """Index of the vowel that carries a content word's stress: its longest full one (the dictionary marks none)."""
    if group[0].word in _WEAK_WORDS:
        return None
    full = [i for i, p in enumerate(group) if phone_visemes(p.name)[0] in _FULL_VOWELS]
    vowels = full or [i for i, p in enumerate(group) if phone_visemes(p.name)[0] in VOWELS]
    return max(vowels, key=lambda i: group[i].end - group[i].start, default=None)


def _before_pause(phone: Phone, quiet: np.ndarray) -> float:
    """End of a word's last phone, moved to where the quiet at its end begins."""
    if phone.end - phone.start > OVERLONG:
        for start, end in quiet:
            if start < phone.end - MERGED_PAUSE and end > phone.end - NEAR_EDGE and end - start > MERGED_PAUSE:
                return float(np.clip(start, phone.start + KEPT, phone.end))
    return phone.end


def _after_pause(phone: Phone, quiet: np.ndarray) -> float:
    """Start of a word's first phone, moved to where the quiet at its start ends; a stop keeps its closure."""
    if phone.end - phone.start > OVERLONG:
        for start, end in quiet:
            if start < phone.start + NEAR_EDGE and end > phone.start + MERGED_PAUSE and end - start > MERGED_PAUSE:
                return float(np.clip(end - KEPT, phone.start, phone.end - KEPT))
    return phone.start


def _with_pauses(phones: Sequence[Phone], duration: float) -> list[Phone]:
    """What no phone covers becomes a pause."""
    covered: list[Phone] = []
    reached = 0.0
    for phone in phones:
        if phone.start > reached + 1e-6:
            covered.append(Phone(SILENCE, reached, phone.start))
        covered.append(phone._replace(end=min(phone.end, duration)))
        reached = phone.end
    if duration > reached + 1e-6:
        covered.append(Phone(SILENCE, reached, duration))
    return covered
