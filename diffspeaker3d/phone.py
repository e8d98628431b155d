"""A phone: a sound of speech and when it is said."""

from __future__ import annotations

from typing import NamedTuple


class Phone(NamedTuple):
    """One sound of speech.

    Attributes:
        name: in ARPAbet ("ae1") or IPA ("ˈæ"); `speech.phones` understands both.
        start, end: seconds from the first frame.
    """

    name: str
    start: float
    end: float
