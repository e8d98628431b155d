"""Which of a vocabulary's names a character's label means, whatever stands around it.

`bs_jawOpen`, `A18_Jaw_Open`, `CTRL_expressions_jawOpen`, `Face.M_F00_jawOpen`, `JAWOPEN`, `jawOpen.001` are jawOpen;
`mouth-smile-l`, `L_mouthSmile`, `mouthLeftSmile` are mouthSmileLeft. What stands around a name must be explained: a namespace, a number,
a word such as `bs`, or something that other labels of the file share. So `mouthOpenSmile` and `jawOpen_corrective` are nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SIDES: Mapping[str, str] = {
    "l": "Left", "left": "Left", "lf": "Left", "lft": "Left", "r": "Right", "right": "Right", "rt": "Right", "rgt": "Right"
}  # fmt: skip
# Words that describe where a shape lives, never what it does.
NEUTRAL = _words(
    "bs ar kit blendshape blendshapes blend shape shapes shp arkit apple ctrl ctrls control expression expressions exp "
    "face facial head morph morphs morpher morphtarget target targets key keys sk mesh geo geometry body skin m "
    "mid middle center centre c character char avatar model base default pasted teeth tongue lash lashes eyelash "
    "eyelashes vrc vrm"
)
# A shape of such a name bends, undoes or combines another one.
CORRECTIVE = _words(
    "corrective correctives corr fix fixed combo combination combined inverse inverted inverse inv neg negative "
    "minus min anti not no half wrinkle wrinkles wrinkled delta offset old unused backup extra extreme without add "
    "additive mirror mirrored"
)
FACE = _words(
    "eye eyes blink look squint wide jaw mouth open close closed funnel pucker smile frown dimple stretch roll "
    "lower upper shrug press brow cheek puff nose sneer out in up down forward lip lips lid lids inner outer"
)
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
NAMESPACE = re.compile(r"[.:|/]")
LONGEST = 120  # characters of a label that may mean something
SHARED_RAW = 4  # names that one decoration without any boundary must be shared by: bsjawopen, bsmouthclose ...
SHARED_FACE = 5  # the same for one of words that could be a movement: Mouth_jawOpen, Mouth_mouthClose ...
QUADRANTS = frozenset((*SIDES, "ul", "ur", "dl", "dr"))  # half a shape, which the tables know by its whole name

Family = tuple[tuple[str, ...], tuple[str, ...]]  # what stands before and after a name


@dataclass(frozen=True)
class Match:
    """A name found in a label, and what stood around it (numbers as #), which siblings share."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def family(self) -> Family:
        return self.before, self.after

    @property
    def plain(self) -> bool:
        """Whether nothing but a number stands around the name."""
        return all(word == "#" for word in (*self.before, *self.after))


def stem(name: str) -> str:
    """A name without its side: a decoration that only a pair shares explains nothing."""
    return re.sub("(Left|Right|_L|_R)$", "", name)


def bare(text: str) -> str:
    """Letters and digits only, lower case, compatibility forms folded: `Eye_Blink-L` -> eyeblinkl."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).lower() if c.isalnum())


class Vocabulary:
    """Names to look for; `*` in a name stands for a side, as in `eyeBlink*`.

    `match(labels)` looks at all labels of a file together, since a decoration explains itself by being shared.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.read: dict[str, Match | None] = {}  # labels of the latest file, which are asked for twice
        self.spellings: dict[str, str] = {}
        self.sided: dict[tuple[str, str], str] = {}
        for name in names:
            if "*" not in name:
                self.spellings[bare(name)] = name
                continue
            core = bare(name.replace("*", ""))
            for spelling, side in SIDES.items():
                ours = name.replace("*", side)
                self.sided[core, side] = ours
                self.spellings.setdefault(core + spelling, ours)
                self.spellings.setdefault(spelling + core, ours)
                self.spellings.setdefault(bare(name.replace("*", spelling)), ours)

    def match(self, labels: Sequence[str], trusted: Iterable[Family] = ()) -> list[Match | None]:
        """For every label the name it means, or None.

        Args:
            labels: all labels of a file.
            trusted: decorations that names of another vocabulary already explained.
        """
        met = self.read
        self.read = {label: met[label] if label in met else self._by_words(label) for label in labels}
        found = [self.read[label] for label in labels]
        shared: dict[Family, set[str]] = defaultdict(set)
        for match in found:
            if match is not None:
                shared[match.family].add(stem(match.name))
        alone = len({match.name for match in found if match is not None}) == 1
        trusted = set(trusted)
        matches = [
            match
            if match and (match.family in trusted or _explained(match, len(shared[match.family]), alone))
            else None
            for match in found
        ]
        return self._by_letters(labels, matches)

    def _by_words(self, label: str) -> Match | None:
        """The longest run of words that is a name; none where two names are equally long."""
        text = unicodedata.normalize("NFKC", label)
        if len(text) > LONGEST:
            return None
        tokens = [(m.group().lower(), m.start()) for m in WORD.finditer(text)]
        words = [word for word, _ in tokens]
        best: list[tuple[int, int, int, str]] = []
        for i in range(len(words)):
            for j in range(i + 1, len(words) + 1):
                if name := self._name(words[i:j]):
                    best.append((sum(map(len, words[i:j])), i, j, name))
        if not best:
            return None
        longest = max(size for size, *_ in best)
        candidates = [entry for entry in best if entry[0] == longest]
        if len({name for *_, name in candidates}) > 1:
            return None
        _, i, j, name = candidates[0]
        spaces = [m.start() for m in NAMESPACE.finditer(text)]
        inner = max((s for s in spaces if s < tokens[i][1]), default=-1)
        before = [word for word, start in tokens[:i] if start > inner]
        if self._names_within(before) or self._names_within(words[j:]):
            return None
        return Match(name, _pattern(before), _pattern(words[j:]))

    def _name(self, words: Sequence[str]) -> str | None:
        if name := self.spellings.get("".join(words)):
            return name
        if len(words) == 1 or SIDES.keys().isdisjoint(words):
            return None
        for k, word in enumerate(words):
            if word in SIDES:
                rest = "".join((*words[:k], *words[k + 1 :]))
                if name := self.sided.get((rest, SIDES[word])):
                    return name
        return None

    def _names_within(self, words: Sequence[str]) -> bool:
        """Whether the rest holds a name as well: jawOpen_mouthClose is a combination."""
        return any(self._name(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1))

    def _by_letters(self, labels: Sequence[str], matches: list[Match | None]) -> list[Match | None]:
        """Names run together with a decoration (bsjawopen): believed when several labels have the very same one."""
        longest_first = sorted((s for s in self.spellings if len(s) >= 4), key=len, reverse=True)
        families: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        for index, label in enumerate(labels):
            if matches[index] is not None or len(label) > LONGEST:
                continue
            text = re.sub(r"\d+", "#", bare(label))
            spelling = next((s for s in longest_first if s in text), None)
            if spelling is not None and text.count(spelling) == 1:
                before, after = text.split(spelling)
                families[before, after].append((index, self.spellings[spelling]))
        for (before, after), members in families.items():
            movement = any(
                part in QUADRANTS or any(word in part for word in FACE | CORRECTIVE if len(word) > 3)
                for part in (before, after)
            )
            if len({stem(name) for _, name in members}) >= SHARED_RAW and not movement:
                for index, name in members:
                    matches[index] = Match(name, (before,) if before else (), (after,) if after else ())
        return matches


def _pattern(words: Sequence[str]) -> tuple[str, ...]:
    return tuple("#" if word.isdigit() else word for word in words)


def _explained(match: Match, shared: int, alone: bool) -> bool:
    """Whether what stands around a name is no movement of its own.

    Args:
        shared: how many names of the file, sides aside, have the same decoration.
        alone: whether this is the only name that was found in the file.
    """
    words = (*match.before, *match.after)
    if any(word in CORRECTIVE or word in QUADRANTS for word in words):
        return False
    if any(word in FACE for word in words):
        return shared >= SHARED_FACE
    known = all(word == "#" or len(word) == 1 or word in NEUTRAL for word in words)
    return known or shared >= 2 or (alone and not match.after)


def pick(matches: Sequence[Match | None]) -> tuple[list[str | None], list[tuple[str, list[int]]]]:
    """One label per name in a mesh: the one decorated as most others of the mesh are, else the least decorated.

    Returns:
        names, and what stays ambiguous: (name, indices of labels that are equally good).
    """
    sizes = Counter(m.family for m in matches if m is not None)
    chosen: list[str | None] = [None] * len(matches)
    ambiguous: list[tuple[str, list[int]]] = []
    for name in dict.fromkeys(m.name for m in matches if m is not None):
        ranked = sorted(
            (-sizes[m.family], len(m.before) + len(m.after), index)
            for index, m in enumerate(matches)
            if m is not None and m.name == name
        )
        best = [index for size, extra, index in ranked if (size, extra) == ranked[0][:2]]
        if len(best) > 1:
            ambiguous.append((name, sorted(best)))
        chosen[ranked[0][2]] = name
    return chosen, ambiguous
