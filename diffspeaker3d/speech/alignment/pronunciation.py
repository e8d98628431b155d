"""Words that no dictionary lists: letter-to-sound rules of English, ordered, the first that fits wins.

Coarse on purpose. An aligner forgives a wrong vowel; what it needs, and what a mouth shows, are the consonants in the
right order and the right number of syllables.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# (letters with look-around, phones). Vowel letters are a e i o u y; "magic e" lengthens the vowel before one consonant.
_LONG = "(?=[bcdfgklmnprstvz]e(?:$|s$|d$))"
_RULES: tuple[tuple[str, str], ...] = (
    (r"^kn", "N"),
    (r"^gn", "N"),
    (r"^wr", "R"),
    (r"^ps", "S"),
    (r"^x", "Z"),
    (r"^wh", "W"),
    (r"^mc", "M AH K"),
    (r"tch", "CH"),
    (r"sch", "S K"),
    (r"ch(?=[rl])", "K"),
    (r"ch", "CH"),
    (r"ck", "K"),
    (r"sh", "SH"),
    (r"th", "TH"),
    (r"ph", "F"),
    (r"gh(?=[aeiou])", "G"),
    (r"dge?", "JH"),
    (r"ng$", "NG"),
    (r"n(?=[kx])", "NG"),
    (r"ng(?=[^eiy])", "NG G"),
    (r"qu", "K W"),
    (r"tion", "SH AH N"),
    (r"[st]sion", "SH AH N"),
    (r"sion", "ZH AH N"),
    (r"[ct]ia(?=l|n)", "SH AH"),
    (r"[ct]ious", "SH AH S"),
    (r"ture", "CH ER"),
    (r"igh", "AY"),
    (r"ough", "OW"),
    (r"augh", "AO"),
    (r"eigh", "EY"),
    (r"mb$", "M"),
    (r"ed$(?<=[td]ed)", "IH D"),
    (r"(?<=[pkfsxc])ed$", "T"),
    (r"(?<=[bdglmnrvz])ed$", "D"),
    (r"(?<=[bcdfgklmnprstvz])le$", "AH L"),
    (r"ous$", "AH S"),
    (r"(?<=[^aeiou])es$(?<=[sxzh]es)", "IH Z"),
    (r"oo(?=k)", "UH"),
    (r"oo", "UW"),
    (r"ee", "IY"),
    (r"ea(?=d$)", "EH"),
    (r"ea", "IY"),
    (r"ai|ay", "EY"),
    (r"au|aw", "AO"),
    (r"oi|oy", "OY"),
    (r"ou(?=r)", "AO"),
    (r"ou|ow(?=[nlde])", "AW"),
    (r"ow", "OW"),
    (r"oa", "OW"),
    (r"oe$", "OW"),
    (r"ei|ey", "EY"),
    (r"ie(?=.)", "IY"),
    (r"ie$", "IY"),
    (r"ue$|ew|eu", "UW"),
    (r"ui", "UW"),
    (r"wa(?=[tsn])", "W AA"),
    (r"war", "W AO R"),
    (r"wor", "W ER"),
    (r"ar", "AA R"),
    (r"or", "AO R"),
    (r"er|ir|ur", "ER"),
    (r"al(?=[lk])", "AO"),
    (rf"a{_LONG}", "EY"),
    (rf"e{_LONG}", "IY"),
    (rf"i{_LONG}|y{_LONG}", "AY"),
    (rf"o{_LONG}", "OW"),
    (rf"u{_LONG}", "UW"),
    (r"a$", "AH"),
    (r"a", "AE"),
    (r"(?<=.)(?<![aeiouy]$)e$(?<=[aeiouy].e)|(?<=[^aeiouy])e$(?<=..e)", ""),
    (r"e$", "IY"),
    (r"e(?=s$)", ""),
    (r"e", "EH"),
    (r"i$", "IY"),
    (r"i", "IH"),
    (r"o$", "OW"),
    (r"o", "AA"),
    (r"u$", "UW"),
    (r"u", "AH"),
    (r"^y", "Y"),
    (r"(?<=[^aeiou])y$(?<=^..)|(?<=^.)y$", "AY"),
    (r"y$", "IY"),
    (r"y(?=[aeiou])", "Y"),
    (r"y", "IH"),
    (r"c(?=[eiy])", "S"),
    (r"cc?", "K"),
    (r"g(?=[eiy])", "JH"),
    (r"gh", ""),
    (r"gg?", "G"),
    (r"bb?", "B"),
    (r"dd?", "D"),
    (r"ff?", "F"),
    (r"(?<=[aeiouy])h$", ""),
    (r"h", "HH"),
    (r"j", "JH"),
    (r"kk?", "K"),
    (r"ll?", "L"),
    (r"mm?", "M"),
    (r"nn?", "N"),
    (r"pp?", "P"),
    (r"q", "K"),
    (r"rr?", "R"),
    (r"(?<=[bdgmnlrvwaeiouy])s$(?<=..s)", "Z"),
    (r"ss?", "S"),
    (r"tt?", "T"),
    (r"vv?", "V"),
    (r"w(?=[aeiouy])", "W"),
    (r"w", ""),
    (r"x", "K S"),
    (r"zz?", "Z"),
    (r"'", ""),
)
_COMPILED = tuple((re.compile(pattern), phones) for pattern, phones in _RULES)
_LETTERS = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY", "h": "EY CH", "i": "AY",
    "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N", "o": "OW", "p": "P IY", "q": "K Y UW", "r": "AA R",
    "s": "EH S", "t": "T IY", "u": "Y UW", "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S", "y": "W AY", "z": "Z IY",
}  # fmt: skip
_ENDINGS = {"'s": "Z", "'ll": "AH L", "'ve": "V", "'d": "D", "'re": "ER", "'m": "M"}
_HISSING, _VOICELESS = {"S", "Z", "SH", "ZH", "CH", "JH"}, {"P", "T", "K", "F", "TH"}


def pronounce(word: str, lookup: Callable[[str], str | None]) -> str:
    """Phones of a word, ARPAbet with spaces: from the dictionary, a known word with an ending, or by rule.

    Args:
        word: lower case letters and apostrophes.
        lookup: the dictionary; None for a word it lacks.
    """
    known = lookup(word)
    if known:
        return known
    stem, mark, ending = word.rpartition("'")
    if stem and mark + ending in _ENDINGS:
        base = pronounce(stem, lookup)
        return f"{base} {_plural(base) if ending == 's' else _ENDINGS[mark + ending]}"
    if word.endswith("s'"):
        return pronounce(word[:-1], lookup)
    if word.endswith("s") and not word.endswith("ss") and (singular := lookup(word[:-1])):
        return f"{singular} {_plural(singular)}"
    return _compound(word, lookup) or letters_to_sounds(word)


def letters_to_sounds(word: str) -> str:
    """Phones of an unknown word by rule; a word without a vowel is spelt."""
    plain = word.replace("'", "")
    if not re.search("[aeiouy]", plain):
        return " ".join(_LETTERS[letter] for letter in plain if letter in _LETTERS)
    phones: list[str] = []
    at = 0
    while at < len(plain):
        for pattern, sound in _COMPILED:
            match = pattern.match(plain, at)
            if match and match.end() > at:
                phones += sound.split()
                at = match.end()
                break
        else:  # not a letter of English
            at += 1
    return " ".join(phones) or "AH"


def _plural(base: str) -> str:
    last = base.split()[-1]
    return "IH Z" if last in _HISSING else "S" if last in _VOICELESS else "Z"


def _compound(word: str, lookup: Callable[[str], str | None]) -> str | None:
    """Two known words of at least four letters each in one: "thunderbird"."""
    for cut in range(4, len(word) - 3):
        first, second = lookup(word[:cut]), lookup(word[cut:])
        if first and second:
            return f"{first} {second}"
    return None
