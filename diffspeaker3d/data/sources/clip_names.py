"""Names of clips from where their files lie: equal names in several folders stay apart, and every name is good for a file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

Place = tuple[str, ...]  # folders below the raw folder, then the stem
LONGEST = 160  # characters


def clip_names(places: Sequence[Place]) -> list[str]:
    """The places joined by "-"; where two would be alike in any case of letters, or too long, a hash of the place tells."""
    joined = ["-".join(place) for place in places]
    count = Counter(name.casefold() for name in joined)
    return [
        name
        if count[name.casefold()] == 1 and len(name) <= LONGEST
        else f"{name[:LONGEST]}-{hashlib.sha256('/'.join(place).encode()).hexdigest()[:6]}"
        for name, place in zip(joined, places, strict=True)
    ]


def place_of(path: Path, raw: Path) -> Place:
    """Where a file lies below `raw`, without its suffix; a folder keeps its whole name."""
    relative = path.relative_to(raw)
    return relative.parts if path.is_dir() else relative.with_suffix("").parts


def pair_places(first: Sequence[Place], second: Sequence[Place]) -> dict[Place, tuple[Place | None, Place | None]]:
    """Which place of one kind of file (sounds) belongs to which of another (motions) of the same stem.

    A stem that occurs once in each kind is paired wherever its files lie, and is its own name. Otherwise files of one folder belong
    together, and then those whose folders agree at the end: `audio/s1/take` with `motion/s1/take`, named `s1/take`.

    Returns:
        name -> (place of the first kind, place of the second kind), None for what is not there.
    """
    pairs: dict[Place, tuple[Place | None, Place | None]] = {}
    for stem in sorted({place[-1] for place in (*first, *second)}):
        ours, theirs = ([p for p in kind if p[-1] == stem] for kind in (first, second))
        if len(ours) <= 1 and len(theirs) <= 1:
            pairs[(stem,)] = (ours[0] if ours else None, theirs[0] if theirs else None)
            continue
        together = set(ours) & set(theirs)
        pairs |= {place: (place, place) for place in together}
        alone, others = [p for p in ours if p not in together], [p for p in theirs if p not in together]
        for place in alone:
            partner = _nearest(place, others)
            if partner is not None and _nearest(partner, alone) == place:
                pairs[place[-_common(place, partner) :]] = (place, partner)
                others.remove(partner)
            else:
                pairs[place] = (place, None)
        pairs |= {place: (None, place) for place in others if place not in pairs}
    return pairs


def _nearest(place: Place, others: Sequence[Place]) -> Place | None:
    """The one place that shares most folders at the end with a place, more than none; None where two do."""
    shared = sorted(((_common(place, other), other) for other in others), reverse=True)
    if not shared or shared[0][0] < 2 or (len(shared) > 1 and shared[1][0] == shared[0][0]):
        return None
    return shared[0][1]


def _common(one: Place, other: Place) -> int:
    """How many parts two places share, counted from the end."""
    shared = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        shared += 1
    return shared
