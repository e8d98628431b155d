"""What a corpus should hold: subjects and sentences of each split, read from a table, not from code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffspeaker3d.errors import InputError

SPLIT_TABLES = Path(__file__).parent / "sources" / "splits"


@dataclass(frozen=True)
class PlannedClip:
    """One utterance that a corpus should hold.

    Attributes:
        id: file stem, `<subject>_<sentence>` for the known corpora.
        subject, sentence, split: as in the manifest.
        style: index of a training subject, or a vector for subjects not seen in training.
    """

    id: str
    subject: str
    sentence: str
    split: str
    style: int | list[float]


@dataclass(frozen=True)
class Plan:
    """Every clip that is wanted, and what is known beforehand.

    Attributes:
        clips: in split, subject, sentence order.
        styles: training subjects; their position is their style.
        expected: split -> clips that a complete release gives; empty when nobody knows.
        absent: ids known to be missing from the release.
    """

    clips: tuple[PlannedClip, ...]
    styles: tuple[str, ...]
    expected: dict[str, int]
    absent: frozenset[str]


def load_plan(table: str | Path) -> Plan:
    """The plan of a known corpus (`vocaset`, `biwi`) or of a split table of the same form.

    Raises:
        InputError: no such table, or it lacks a key.
    """
    path = SPLIT_TABLES / f"{table}.yaml"
    path = path if path.is_file() else Path(table)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in SPLIT_TABLES.glob("*.yaml")))
        raise InputError(f"{table}: no such split table; known: {known}, or give a yaml of the same form")
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
        assert isinstance(content, dict)
        splits = content["splits"]
        wanted = [
            (subject, content["sentence"].format(number), split)
            for split, part in splits.items()
            for subject in part["subjects"]
            for number in range(part["sentences"][0], part["sentences"][1] + 1)
        ]
        expected = {split: int(part["clips"]) for split, part in splits.items()}
        absent = frozenset(content["absent"])
        styles = tuple(splits["train"]["subjects"])
    except (KeyError, TypeError, IndexError, AssertionError, OmegaConfBaseException) as error:
        raise InputError(
            f"{path}: not a split table ({type(error).__name__} {error}); see {SPLIT_TABLES}/vocaset.yaml"
        ) from error
    clips = tuple(PlannedClip(f"{s}_{n}", s, n, split, style_of(s, styles)) for s, n, split in wanted)
    return Plan(clips, styles, expected, absent)


def style_of(subject: str, styles: Sequence[str]) -> int | list[float]:
    """The subject's own style, or the mean of all for a subject that training has not seen."""
    return styles.index(subject) if subject in styles else [1.0 / len(styles)] * len(styles)
