"""A written text to the words that are spoken: lower case, no punctuation, numbers and signs read aloud."""

from __future__ import annotations

import re
import unicodedata

from diffspeaker3d.speech.alignment.numbers import numbers_to_words

_SPOKEN_SIGNS = {"&": " and ", "@": " at ", "+": " plus ", "=": " equals ", "%": " percent "}
_ABBREVIATIONS = {
    "mr": "mister", "mrs": "missus", "ms": "miss", "dr": "doctor", "st": "saint", "vs": "versus", "etc": "et cetera",
    "prof": "professor", "e.g": "for example", "i.e": "that is",
}  # fmt: skip
_ABBREVIATION = re.compile(
    r"(?<![\w.])(" + "|".join(re.escape(a) for a in sorted(_ABBREVIATIONS, key=len, reverse=True)) + r")\.(?!\w)",
    re.IGNORECASE,
)
_NOT_SPOKEN = re.compile(r"\[[^\]]*\]|\([^)]*\)|<[^>]*>")  # stage directions: [laughs], (applause), <noise>
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*|'[a-z]+")


def spoken_words(text: str) -> list[str]:
    """Words in the order they are spoken; an apostrophe stays inside its word ("we've"), hyphens part words.

    What stands in brackets is taken as a remark about the recording, not as speech. Letters that English lacks lose
    their accents; other scripts have no words here.
    """
    text = _NOT_SPOKEN.sub(" ", text).replace("’", "'").replace("‘", "'")
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode() if not text.isascii() else text
    text = _ABBREVIATION.sub(lambda match: _ABBREVIATIONS[match[1].lower()], text)
    text = numbers_to_words(text)
    text = re.sub(r"\b([A-Z]\.){2,}", lambda match: " ".join(match[0].replace(".", " ").split()), text)  # U.S.A.
    for sign, spoken in _SPOKEN_SIGNS.items():
        text = text.replace(sign, spoken)
    return _WORD.findall(text.lower())
