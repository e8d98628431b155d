"""What is said: our own sentences, shuffled words, and nonsense that is rich in what the lips must get right."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

import numpy as np

HELD_OUT = {3: "val", 7: "test"}  # of every ten sentences, by position: never heard in training
# Nonsense syllables, spelled for English letter-to-sound rules. Nearly half of the consonants are labial, a third of
# the vowels rounded; the last row holds sounds that are rare in text.
_CONSONANTS = (
    *("b", "p", "m") * 4,
    *("f", "v") * 3,
    *("w", "sh", "ch") * 2,
    "t",
    "d",
    "n",
    "l",
    "r",
    "s",
    "z",
    "k",
    "g",
    "th",
    "j",
    "h",
    "y",
)
_VOWELS = ("a", "ah", "ee", "oo", "oo", "oh", "aw", "oy", "ay", "ow", "ih", "eh", "uh", "er", "igh", "oo")


@cache
def sentences(split: str) -> tuple[str, ...]:
    """Our sentences of a split: eight tenths are "train", a tenth each "val" and "test"."""
    lines = files("diffspeaker3d.data.sources.synthetic").joinpath("sentences.txt").read_text("utf-8").splitlines()
    return tuple(line for index, line in enumerate(lines) if HELD_OUT.get(index % 10, "train") == split)


@cache
def _vocabulary(split: str) -> tuple[str, ...]:
    words = {word.lower() for line in sentences(split) for word in re.findall(r"[A-Za-z]{2,}", line)}
    return tuple(sorted(words))


def shuffled_words(rng: np.random.Generator, split: str) -> str:
    """Five to ten words of our sentences in no order: contexts that no sentence has."""
    words = list(rng.choice(_vocabulary(split), size=int(rng.integers(5, 11))))
    if len(words) > 6 and rng.random() < 0.5:
        words[len(words) // 2] += ","
    return " ".join(words).capitalize() + str(rng.choice([".", ".", "?", "!"]))


@cache
def languages() -> tuple[str, ...]:
    """espeak-ng's names of the other languages that are spoken."""
    return tuple(_foreign("train"))


def foreign(language: str, split: str, rng: np.random.Generator) -> str:
    """A sentence of another language, or four to nine of its words in no order; the last fifth is "val"."""
    lines = _foreign(split)[language]
    if rng.random() < 0.4:
        return lines[int(rng.integers(len(lines)))]
    words = sorted({word.strip(".,?!¿¡").lower() for line in lines for word in line.split()})
    return " ".join(rng.choice(words, size=int(rng.integers(4, 10)))) + "."


@cache
def _foreign(split: str) -> dict[str, tuple[str, ...]]:
    """Language -> its sentences of a split."""
    found: dict[str, list[str]] = {}
    for line in files("diffspeaker3d.data.sources.synthetic").joinpath("languages.txt").read_text("utf-8").splitlines():
        language, _, text = line.partition("\t")
        found.setdefault(language, []).append(text)
    return {name: tuple(lines[-2:] if split == "val" else lines[:-2]) for name, lines in found.items()}


def nonsense(rng: np.random.Generator) -> str:
    """Three to six words of the form CVC(V)(C), balanced towards labials and rounding."""
    words = []
    for _ in range(int(rng.integers(3, 7))):
        syllables = [str(rng.choice(_CONSONANTS)) + str(rng.choice(_VOWELS)) for _ in range(int(rng.integers(1, 4)))]
        words.append("".join(syllables) + (str(rng.choice(_CONSONANTS)) if rng.random() < 0.6 else ""))
    return " ".join(words).capitalize() + "."
