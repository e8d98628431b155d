"""Phones to visemes: what the lips, jaw and tongue can show of a sound.

Two alphabets are understood: ARPAbet in lower or upper case, with an optional stress digit ("ae1", flite, festival,
forced aligners), and IPA with stress and length marks ("ˈæ", "iː", espeak-ng). Grouping after the 15 visemes of the
Meta/Oculus set, with the vowels split further: 24 classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from diffspeaker3d.phone import Phone as Phone

VISEMES: tuple[str, ...] = (
    "sil",
    "PP",
    "FF",
    "TH",
    "DD",
    "kk",
    "CH",
    "SS",
    "nn",
    "RR",
    "ll",
    "hh",
    "ww",
    "aa",
    "ae",
    "ah",
    "eh",
    "ih",
    "iy",
    "ao",
    "oh",
    "uw",
    "uh",
    "er",
)
VOWELS = frozenset(VISEMES[VISEMES.index("aa") :])
SILENCE = "sil"
ASPIRATION = "ʰ"  # the breath after the release of p, t, k: the lips are open again

_ARPABET: dict[str, tuple[str, ...]] = {
    "aa": ("aa",), "ae": ("ae",), "ah": ("ah",), "ax": ("ah",), "ao": ("ao",), "eh": ("eh",), "er": ("er",),
    "axr": ("er",), "ih": ("ih",), "ix": ("ih",), "iy": ("iy",), "uh": ("uh",), "uw": ("uw",), "ux": ("uw",),
    "ay": ("aa", "ih"), "aw": ("aa", "uh"), "ey": ("eh", "iy"), "ow": ("oh", "uw"), "oy": ("ao", "ih"),
    "p": ("PP",), "b": ("PP",), "m": ("PP",), "em": ("PP",), "f": ("FF",), "v": ("FF",), "th": ("TH",), "dh": ("TH",),
    "t": ("DD",), "d": ("DD",), "dx": ("DD",), "n": ("nn",), "en": ("nn",), "nx": ("nn",), "ng": ("kk",),
    "l": ("ll",), "el": ("ll",), "r": ("RR",), "s": ("SS",), "z": ("SS",), "sh": ("CH",), "zh": ("CH",),
    "ch": ("CH",), "jh": ("CH",), "k": ("kk",), "g": ("kk",), "hh": ("hh",), "hv": ("hh",), "y": ("iy",), "w": ("ww",),
    "q": ("hh",), "sil": ("sil",), "pau": ("sil",), "ssil": ("sil",), "brth": ("sil",), "spn": ("sil",), "": ("sil",),
}  # fmt: skip

# Sequences that are one gesture, or two where letter by letter would be wrong; longest first when matched.
_IPA_SEQUENCES: dict[str, tuple[str, ...]] = {
    "aɪ": ("aa", "ih"), "aʊ": ("aa", "uh"), "eɪ": ("eh", "iy"), "oʊ": ("oh", "uw"), "əʊ": ("ah", "uw"),
    "ɔɪ": ("ao", "ih"), "ɔːɪ": ("ao", "ih"), "tʃ": ("CH",), "dʒ": ("CH",), "eː": ("eh", "iy"), "oː": ("oh",),
    "ɑɪ": ("aa", "ih"), "ʌɪ": ("ah", "ih"), "ɒɪ": ("ao", "ih"),
}  # fmt: skip
_IPA_LETTERS: dict[str, str] = {
    "ɑ": "aa", "a": "aa", "æ": "ae", "ʌ": "ah", "ə": "ah", "ɐ": "ah", "ɔ": "ao", "ɒ": "ao", "o": "oh", "ɛ": "eh",
    "e": "eh", "ɜ": "er", "ɚ": "er", "ɝ": "er", "ɪ": "ih", "ᵻ": "ih", "ɨ": "ih", "i": "iy", "ʏ": "uw", "y": "uw",
    "ʊ": "uh", "ʉ": "uw", "u": "uw", "ɤ": "ah", "ø": "uh", "œ": "er", "p": "PP", "b": "PP", "m": "PP", "ɱ": "FF",
    "f": "FF", "v": "FF", "ʋ": "FF", "θ": "TH", "ð": "TH", "t": "DD", "d": "DD", "ɾ": "DD", "ʈ": "DD", "ɖ": "DD",
    "n": "nn", "ɲ": "nn", "ɳ": "nn", "ŋ": "kk", "l": "ll", "ɫ": "ll", "ɬ": "ll", "ʎ": "ll", "ɹ": "RR", "r": "RR",
    "ɻ": "RR", "ʀ": "RR", "s": "SS", "z": "SS", "ʃ": "CH", "ʒ": "CH", "ɕ": "CH", "ʑ": "CH", "k": "kk", "ɡ": "kk",
    "g": "kk", "x": "kk", "ɣ": "kk", "q": "kk", "h": "hh", "ɦ": "hh", "ʔ": "hh", "ʰ": "hh", "ç": "hh", "j": "iy",
    "w": "ww", "ʍ": "ww", "β": "PP", "ɸ": "PP", "_": "sil", "|": "sil", "ʁ": "kk", "χ": "kk", "ɭ": "ll", "ɯ": "ih",
    "ɵ": "uh", "ɘ": "ah", "ɥ": "uw", "c": "kk", "ɟ": "kk", "ʝ": "iy", "ʂ": "CH", "ʐ": "CH",
}  # fmt: skip
_IPA_PATTERN = re.compile("|".join(sorted(map(re.escape, [*_IPA_SEQUENCES, *_IPA_LETTERS]), key=len, reverse=True)))
_ALONE = {"ʲ": ("iy",)}  # a glide of its own; behind a consonant the same sign is only its colour
_MARKS = re.compile("[ˈˌ0-9]")
_UNKNOWN = ("ah",)  # a neutral opening: better than freezing the mouth on a symbol nobody has seen


class Segment(NamedTuple):
    """One articulatory target: a phone, or half of a diphthong. `stress` is 0, 1 (primary) or 2 (secondary)."""

    viseme: str
    start: float
    end: float
    stress: int
    phone: str


def phone_visemes(name: str) -> tuple[str, ...]:
    """The visemes of a phone name, e.g. "aɪ" -> ("aa", "ih"); an unknown symbol is a neutral vowel."""
    plain = _MARKS.sub("", name)
    known = _ARPABET.get(plain.lower()) or _ALONE.get(plain)
    if known is not None:
        return known
    found: list[str] = []
    for match in _IPA_PATTERN.findall(plain):
        for viseme in _IPA_SEQUENCES.get(match) or (_IPA_LETTERS[match],):
            if not found or found[-1] != viseme:
                found.append(viseme)
    return tuple(found) or _UNKNOWN


def phone_stress(name: str) -> int:
    """0 none, 1 primary, 2 secondary."""
    if "ˈ" in name or name.endswith("1"):
        return 1
    return 2 if "ˌ" in name or name.endswith("2") else 0


def plain_name(name: str) -> str:
    """The phone without stress and length marks, in lower case."""
    return _MARKS.sub("", name).replace("ː", "").lower()


def segments(phones: Iterable[Phone]) -> list[Segment]:
    """Phones to articulatory targets; diphthongs are split evenly, empty phones dropped."""
    found = []
    for name, start, end in phones:
        if end <= start:
            continue
        parts = phone_visemes(name)
        edges = np.linspace(start, end, len(parts) + 1)
        stress = phone_stress(name)
        found += [
            Segment(v, float(a), float(b), stress, plain_name(name))
            for v, a, b in zip(parts, edges[:-1], edges[1:], strict=True)
        ]
    return found


def viseme_frames(phones: Sequence[Phone], num_frames: int, fps: float) -> np.ndarray:
    """Which viseme is being made at each motion frame: labels (T,) int64, indices into VISEMES.

    Frame i shows the instant i / fps. What no phone covers is silence. A lip closure or lip-teeth contact too short to
    contain a frame gets the nearest one: a closure must never fall between two frames.
    """
    labels = np.zeros(num_frames, np.int64)
    if num_frames == 0:
        return labels
    times = np.arange(num_frames) / fps
    found = segments(phones)
    for segment in found:
        labels[(times >= segment.start - 1e-9) & (times < segment.end - 1e-9)] = VISEMES.index(segment.viseme)
    for segment in found:
        if segment.viseme in ("PP", "FF"):
            nearest = round(0.5 * (segment.start + segment.end) * fps)
            if nearest < num_frames:
                labels[nearest] = VISEMES.index(segment.viseme)
    return labels
