"""Naming conventions of heads, one table each: their name for a shape -> what it takes of our controls or of a viseme.

A new convention is a new .yaml beside this file: `title`, `source`, and `shapes`, where `*` stands for a side on both ends. A shape that is
known and does not speak has an empty recipe. `compound: true` is for shapes that do what simpler ones of other tables do; those are asked
first. ARKit's own names need no table. Amounts are not negative, so a table reads both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

import yaml

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.controls.blendshapes import VISEMES

Recipe = Mapping[str, float]  # control or viseme -> amount, 0 to 1

SOURCES: tuple[str, ...] = (*CONTROL_NAMES, *VISEMES)  # what a recipe may be made of


@dataclass(frozen=True)
class Convention:
    """A vocabulary with its recipes.

    Attributes:
        title: who uses it.
        source: where the names and pairs come from.
        compound: whether simpler shapes of other conventions go first.
        shapes: their name, `*` filled in with Left and Right -> recipe; an empty one is known and stays still.
        patterns: their names as a `names.Vocabulary` takes them.
    """

    title: str
    source: str
    compound: bool
    shapes: Mapping[str, Recipe]
    patterns: tuple[str, ...]


def convention(title: str, source: str, table: Mapping[str, Recipe], compound: bool = False) -> Convention:
    """A convention from a table in which `*` stands for a side."""
    shapes: dict[str, Recipe] = {}
    for pattern, recipe in table.items():
        for side in ("Left", "Right") if "*" in pattern else ("",):
            shapes[pattern.replace("*", side)] = MappingProxyType(
                {source.replace("*", side): float(amount) for source, amount in recipe.items()}
            )
    return Convention(title, source, compound, MappingProxyType(shapes), tuple(table))


@cache
def conventions() -> tuple[Convention, ...]:
    """Every convention, in the order in which they are asked: ARKit, then ARKit halved or joined, then the tables by name."""
    files = sorted((f for f in resources.files(__name__).iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    tables = [yaml.safe_load(file.read_text("utf-8")) for file in files]
    return (
        _arkit(),
        _arkit_halves(),
        *(convention(t["title"], t["source"], t["shapes"], t.get("compound", False)) for t in tables),
    )


def _arkit() -> Convention:
    table = {name: {name: 1.0} for name in CONTROL_NAMES if not name.endswith("Right")}
    pairs = {name: recipe for name, recipe in table.items() if name.endswith("Left")}
    joined = {name.replace("Left", "*"): {name.replace("Left", "*"): 1.0} for name in pairs}
    single = {name: recipe for name, recipe in table.items() if name not in pairs}
    return convention(
        "ARKit", "https://developer.apple.com/documentation/arkit/arfaceanchor/blendshapelocation", {**single, **joined}
    )


def _arkit_halves() -> Convention:
    """Shapes of both sides in one (`mouthSmile`), and middle shapes cut in two (`browInnerUp_L`)."""
    lopsided = ("jaw", "mouth", "eyeLookIn", "eyeLookOut")  # their two sides do not happen together
    table: dict[str, Recipe] = {}
    for name in CONTROL_NAMES:
        base = name.removesuffix("Left")
        if base != name and base not in lopsided:
            table[base] = {f"{base}Left": 0.5, f"{base}Right": 0.5}
        elif not name.endswith(("Left", "Right")) and not name.startswith("tongue"):
            table[f"{name}*"] = {name: 1.0}
    return convention("ARKit, sides joined or middles halved", "what sculptors make of ARKit's names", table)
