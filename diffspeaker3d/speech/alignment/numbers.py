"""Numbers as they are read aloud in English."""

from __future__ import annotations

import re

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_POWERS = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth", "twelve": "twelfth",
}  # fmt: skip
_NUMBER = re.compile(
    r"(?P<money>[$£€])?(?P<whole>\d[\d,]*)(?:\.(?P<part>\d+))?(?:(?P<ordinal>st|nd|rd|th)\b|(?P<percent>\s?%)|(?P<plural>s)\b)?",
    re.IGNORECASE,
)
_MONEY = {"$": "dollars", "£": "pounds", "€": "euros"}


def cardinal(number: int) -> list[str]:
    """Words of a number from 0; from 10^15 on digit by digit, as nobody says more."""
    if number < 20:
        return [_ONES[number]]
    if number < 100:
        return [_TENS[number // 10], *(cardinal(number % 10) if number % 10 else [])]
    if number >= 10**15:
        return digits(str(number))
    power, name = next((p, n) for p, n in _POWERS if number >= p)
    rest = number % power
    return [*cardinal(number // power), name, *(cardinal(rest) if rest else [])]


def digits(text: str) -> list[str]:
    """Digit by digit."""
    return [_ONES[int(d)] for d in text if d.isdecimal()]


def year(number: int) -> list[str]:
    """1984 -> nineteen eighty four; 1100 to 2099 other than 2000 to 2009 are read in two halves."""
    century, rest = divmod(number, 100)
    if not 1100 <= number <= 2099 or 2000 <= number <= 2009:
        return cardinal(number)
    if rest == 0:
        return [*cardinal(century), "hundred"]
    return [*cardinal(century), *(["oh", _ONES[rest]] if rest < 10 else cardinal(rest))]


def ordinal(number: int) -> list[str]:
    """21 -> twenty first."""
    *front, last = cardinal(number)
    if last in _ORDINALS:
        return [*front, _ORDINALS[last]]
    return [*front, last[:-1] + "ieth" if last.endswith("y") else last + "th"]


def numbers_to_words(text: str) -> str:
    """Every number in a text as words: amounts, percentages, ordinals, years, decimals."""
    return _NUMBER.sub(lambda match: f" {' '.join(_read(match))} ", text)


def _read(match: re.Match[str]) -> list[str]:
    grouped = match["whole"].rstrip(",")
    whole, part = grouped.replace(",", ""), match["part"]
    if part is None and match["ordinal"]:
        return ordinal(int(whole))
    if match["money"]:
        cents = cardinal(int(part[:2].ljust(2, "0"))) if part else []
        return [*cardinal(int(whole)), _MONEY[match["money"]], *cents]
    looks_like_year = part is None and len(whole) == 4 and "," not in grouped and not match["percent"]
    words = (
        digits(whole)
        if whole.startswith("0") and len(whole) > 1
        else year(int(whole))
        if looks_like_year
        else cardinal(int(whole))
    )
    if part is not None:
        words = [*words, "point", *digits(part)]
    if match["plural"]:  # the 1980s
        words[-1] = words[-1][:-1] + "ies" if words[-1].endswith("y") else words[-1] + "s"
    return [*words, "percent"] if match["percent"] else words
