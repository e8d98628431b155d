"""What each viseme aims at and how fast the mouth gets there: the numbers of the articulation rules.

The gestures are the controls of arkit.CONTROL_NAMES with left and right joined; `close` is the closure fraction. A
target past contact (close 1.25) is deliberate, see arkit.py. Sets of numbers are yaml files in `rules/`: `people` is
fitted to measured people by scripts/fit_articulation.py (docs/articulation.md), `hand_made` is what it started from.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.phones import VOWELS

GESTURES: tuple[str, ...] = (
    "jawOpen",
    "jawForward",
    "close",
    "rollLower",
    "rollUpper",
    "press",
    "upperUp",
    "lowerDown",
    "shrugLower",
    "cheekPuff",
    "funnel",
    "pucker",
    "stretch",
    "smile",
    "tongueUp",
    "tongueOut",
)
ARTICULATORS: tuple[str, ...] = ("jaw", "aperture", "shape", "tongue")
# Which articulator carries each gesture: an index into ARTICULATORS.
CARRIER = np.array([0] * 2 + [1] * 8 + [2] * 4 + [3] * 2)

SEAL = 1.25  # closure aimed at in p, b, m
PAUSE_CLOSURE = 1.1  # closure of a resting mouth
BREATH, TRAIL = "breath", "trail"  # segments of a pause: the mouth opens before speech, and is still open after it

OPEN_VOWELS = frozenset({"aa", "ae", "ah", "ao", "eh"})
# JALI (Edwards et al. 2016): these shape the lips early and let go late.
LIP_HEAVY = frozenset({"uw", "oh", "ww", "SS", "CH", "RR", "ao"})
RULES_FOLDER = Path(__file__).parent / "rules"
PEOPLE, HAND_MADE = "people", "hand_made"


class Target(NamedTuple):
    """Dominance of the four articulators, and the gestures aimed at (unnamed ones at 0)."""

    dominance: tuple[float, float, float, float]
    gestures: dict[str, float]


@dataclass(frozen=True)
class Rules:
    """All numbers of the articulation; times in seconds.

    Attributes:
        onset: how far before itself a segment is felt, per articulator: its dominance falls to 1/e in 0.63 of it.
        release: the same after it.
        protrusion: onset and release of the lips' shape in LIP_HEAVY visemes.
        contact: closing and parting of lips that touch each other or the teeth.
        breath: how long before speech the mouth opens; 0 not at all.
        trail: how long after speech it is on its way to rest.
        rest: in a pause, when the lips have met after its start, and when they part before its end.
        shortest_rest: of a pause that closes the lips at all.
        undershoot: share of its target that a vowel of no length misses.
        reduction: length over which a vowel's miss falls to 1/e.
        stress: factors on the targets of vowels without, with primary and with secondary stress.
        loudness: share by which the jaw opens more per 12 dB.
        targets: by viseme, and BREATH and TRAIL where these last.
    """

    onset: tuple[float, float, float, float]
    release: tuple[float, float, float, float]
    protrusion: tuple[float, float]
    contact: tuple[float, float]
    breath: float
    trail: float
    rest: tuple[float, float]
    shortest_rest: float
    undershoot: float
    reduction: float
    stress: tuple[float, float, float]
    loudness: float
    targets: dict[str, Target]

    def arrays(self, visemes: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Targets (P, G) and dominances (P, 4) of a sequence of visemes."""
        aims = [[self.targets[v].gestures.get(gesture, 0.0) for gesture in GESTURES] for v in visemes]
        return np.array(aims), np.array([self.targets[v].dominance for v in visemes])

    def most_closure(self, viseme: str) -> float:
        """The most closure a sound between two labials may keep at its centre; rounded ones are narrow by themselves."""
        if viseme in OPEN_VOWELS:
            return -0.05
        return max(self.targets[viseme].gestures.get("close", 0.0), 0.1 if viseme in VOWELS else 0.4)

    def to_yaml(self) -> str:
        """The set as `load_rules` reads it, numbers rounded to what can be told apart."""
        content: dict[str, Any] = {}
        for name, value in asdict(self).items():
            content[name] = _rounded(dict(zip(ARTICULATORS, value, strict=True)) if name in _PER_ARTICULATOR else value)
        content["targets"] = {
            viseme: {"dominance": _rounded(target.dominance), **_rounded(target.gestures)}
            for viseme, target in self.targets.items()
        }
        return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=200)


_PER_ARTICULATOR = ("onset", "release")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, (tuple, list)) else round(float(value), 4)


@lru_cache(maxsize=8)
def load_rules(name: str = PEOPLE) -> Rules:
    """A set of numbers by its name in `rules/`.

    Raises:
        InputError: no such set.
    """
    path = RULES_FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in RULES_FOLDER.glob("*.yaml")))
        raise InputError(f"articulation: no rules {name!r}; known: {known}")
    content = yaml.safe_load(path.read_text("utf-8"))
    content["targets"] = {
        viseme: Target(tuple(aim.pop("dominance")), aim) for viseme, aim in content["targets"].items()
    }
    for name_ in _PER_ARTICULATOR:
        content[name_] = [content[name_][articulator] for articulator in ARTICULATORS]
    return Rules(**{f.name: _frozen(content[f.name]) for f in fields(Rules)})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
