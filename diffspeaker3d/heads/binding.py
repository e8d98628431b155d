"""What moves each shape of a character: its labels read through the conventions and the user's own map.

binding = bind({0: ["bs_jawOpen", ...]})         # mesh index -> its labels
binding.meshes[0], binding.recipes               # name of each shape, and what it is made of
binding.weights(weights, CONTROL_NAMES)          # the mannequin's performance as weights of these shapes
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import yaml

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.controls.blendshapes import VISEMES, unexplained, visemes
from diffspeaker3d.errors import InputError
from diffspeaker3d.heads.conventions import SOURCES, Convention, Recipe, conventions
from diffspeaker3d.heads.names import WORD, Family, Match, Vocabulary, pick

# A mouth that speaks by controls alone: the jaw, and most of what else shapes a vowel or a consonant.
MOUTH: tuple[str, ...] = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRollLower", "mouthStretchLeft", "mouthStretchRight",
    "mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight",
)  # fmt: skip
ENOUGH = 6  # of MOUTH, and visemes are left at rest
VOWELS: tuple[str, ...] = ("aa", "E", "ih", "oh", "ou")
MOST_VOWELS = 3  # driven by one convention, and another's visemes are left at rest
JAW = "jaw"  # a curve of its own: how far a jaw bone opens, whatever shapes do
WEAK_NEEDS = 3  # names of one convention, before one of a single word (`A`, `Open`, `Puff`) is believed
MOST_LABELS = 4000
LARGEST_MAP = 1_000_000  # bytes


@dataclass(frozen=True)
class Binding:
    """A character's shapes and what drives them.

    Attributes:
        meshes: mesh -> for each of its targets the name of its shape, or None where it keeps its own weight.
        recipes: shape name -> amounts of controls and visemes; a shape that is one control at full is named like it.
        conventions: titles of what was recognised, and how many labels each explained.
        unknown: labels that nothing explains.
    """

    meshes: Mapping[int, tuple[str | None, ...]]
    recipes: Mapping[str, Recipe]
    conventions: Mapping[str, int] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @property
    def sources(self) -> frozenset[str]:
        """Controls and visemes that move something."""
        return frozenset(source for recipe in self.recipes.values() for source in recipe)

    @property
    def by_visemes(self) -> bool:
        return not self.sources.isdisjoint(VISEMES)

    @property
    def speaks(self) -> bool:
        """Whether the mouth can open."""
        return "jawOpen" in self.sources or not self.sources.isdisjoint(VOWELS)

    @property
    def missing(self) -> tuple[str, ...]:
        """What the mouth lacks: visemes where those drive it, else controls of MOUTH."""
        wanted = (v for v in VISEMES if v != "sil") if self.by_visemes else MOUTH
        return tuple(name for name in wanted if name not in self.sources)

    def weights(self, weights: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Weights of the shapes, in the order of `recipes`.

        Visemes explain the mouth first, controls take what is left of it. Lips without a `mouthClose` shape meet by opening the jaw
        less: jawOpen - mouthClose.

        Args:
            weights (array (T, K)): blendshape weights of a performance, in [0, 1].
            names: their K names.

        Returns:
            array (T, S) float32 in [0, 1].
        """
        return self.mix(self.curves(weights, names))

    def mix(self, curves: Mapping[str, np.ndarray]) -> np.ndarray:
        """Weights (T, S) float32 in [0, 1] of the shapes, from the curves of `curves`."""
        columns = [
            sum(amount * curves[source] for source, amount in recipe.items()) for recipe in self.recipes.values()
        ]
        return np.stack(columns, 1).clip(0, 1).astype(np.float32)

    def curves(self, weights: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Every source of SOURCES, and JAW, (T,) as this character needs it; what the performance lacks is still.

        JAW is jawOpen where a shape closes the lips on an open jaw, else the opening of the lips, which visemes follow too.
        """
        weights = np.asarray(weights, np.float64)
        still = np.zeros(len(weights))
        jaw, closed = (weights[:, names.index(n)] if n in names else still for n in ("jawOpen", "mouthClose"))
        curves = dict.fromkeys(SOURCES, still)
        apart = np.maximum(jaw - closed, 0)
        if self.by_visemes:
            classes = tuple(v for v in VISEMES if v in self.sources)
            amounts = visemes(weights, tuple(names), classes).astype(np.float64)
            weights = unexplained(weights, tuple(names), amounts)
            curves |= dict(zip(VISEMES, amounts.T, strict=True))
        curves |= dict(zip(names, weights.T, strict=True))
        if "mouthClose" not in self.sources and not self.by_visemes:
            curves["jawOpen"] = apart
        return curves | {JAW: jaw if "mouthClose" in self.sources and not self.by_visemes else apart}


def bind(
    meshes: Mapping[int, Sequence[str]],
    own: Mapping[str, Recipe] | None = None,
    path: str | Path = "character",
    expressions: Mapping[str, Sequence[tuple[int, int, float]]] = MappingProxyType({}),
) -> Binding:
    """Find out what drives the shapes of a character.

    The user's own map comes first; then every convention drives what is not driven yet, ARKit before all others. Expressions of the
    file come before the conventions, unless the labels make a mouth of ARKit's shapes without them.

    Args:
        meshes: mesh -> labels of its targets.
        own: label -> recipe, see `read_names`.
        path: for messages.
        expressions: name -> (mesh, target, amount) of the shapes that make it, see `vrm.expressions`.

    Raises:
        InputError: two labels of a mesh mean the same, or the map speaks of shapes that are not there; or too many shapes.
    """
    labels = tuple(dict.fromkeys(label for targets in meshes.values() for label in targets))
    if len(labels) > MOST_LABELS:
        raise InputError(
            f"{path}: {len(labels)} shapes; at most {MOST_LABELS} are read, export those of the face alone"
        )
    if strangers := [label for label in own or {} if label not in labels]:
        raise InputError(f"{path}: the names map speaks of {strangers[0]!r}, which it has not; it has {listed(labels)}")
    found = _bind(meshes, dict(own or {}), Counter(), path)
    if expressions and not _has_mouth(set(found.sources)):
        spoken, counts = _spoken(meshes, expressions, path)
        found = _bind(meshes, {**spoken, **(own or {})}, counts, path)
    return found


def _spoken(
    meshes: Mapping[int, Sequence[str]], expressions: Mapping[str, Sequence[tuple[int, int, float]]], path: str | Path
) -> tuple[dict[str, Recipe], Counter[str]]:
    """What drives the labels that expressions are made of, and the conventions that these are named by."""
    named = _bind({0: tuple(expressions)}, {}, Counter(), path, weak_needs=1)
    recipes: dict[str, dict[str, float]] = {}
    for expression, name in zip(expressions, named.meshes[0], strict=True):
        for mesh, target, amount in expressions[expression] if name else ():
            recipe = recipes.setdefault(meshes[mesh][target], {}) if mesh in meshes else {}
            for source, share in named.recipes[str(name)].items():
                recipe[source] = min(recipe.get(source, 0.0) + share * amount, 1.0)
    return dict(recipes), Counter(named.conventions)


def _bind(
    meshes: Mapping[int, Sequence[str]],
    recipes: dict[str, Recipe],
    counts: Counter[str],
    path: str | Path,
    weak_needs: int = WEAK_NEEDS,
) -> Binding:
    """The conventions, on top of recipes that are settled."""
    labels = tuple(dict.fromkeys(label for targets in meshes.values() for label in targets))
    understood, trusted = set(recipes), set[Family]()
    spare: set[tuple[int, str]] = set()
    driven = {source for recipe in recipes.values() for source in recipe}
    for table in _by_likelihood(labels, weak_needs):
        believed = _believed(labels, table, weak_needs, trusted)
        understood |= set(believed)
        trusted |= {match.family for match in believed.values()}
        free = {label: match for label, match in believed.items() if label not in recipes}
        doubled = _doubled(meshes, free, table, path)
        spare |= doubled
        used = {label for mesh, targets in meshes.items() for label in targets if (mesh, label) not in doubled}
        names = {match.name for match in believed.values()}
        mine = {
            label: table.shapes[match.name]
            for label, match in free.items()
            if label in used and not any(_is_part(match.name, whole, table) for whole in names)
        }
        mine = _without_doubles(mine, driven)
        counts[table.title] += len(mine)
        recipes |= mine
        driven |= {source for recipe in mine.values() for source in recipe}
        if _has_mouth(driven) or len(driven & set(VOWELS)) >= MOST_VOWELS:
            driven |= set(VISEMES)
    unknown = tuple(label for label in labels if label not in understood)
    return _named(meshes, recipes, spare, +counts, unknown)


def _by_likelihood(labels: Sequence[str], weak_needs: int) -> list[Convention]:
    """ARKit first, then the tables that know most of the labels, compounds last."""
    arkit, halves, *tables = conventions()
    return [
        arkit,
        halves,
        *sorted(tables, key=lambda table: (table.compound, -len(_believed(labels, table, weak_needs)))),
    ]


def _has_mouth(driven: set[str]) -> bool:
    return "jawOpen" in driven and len(driven & set(MOUTH)) >= ENOUGH


def _believed(
    labels: Sequence[str], table: Convention, weak_needs: int, trusted: Iterable[Family] = ()
) -> dict[str, Match]:
    """Matches of which single-word names are kept only in company, and halves of a middle shape only in pairs."""
    matches = _vocabulary(table.patterns).match(labels, trusted)
    found = {label: match for label, match in zip(labels, matches, strict=True) if match is not None}
    names = {match.name for match in found.values()}
    widowed = {name for name in names if _is_half(name, table) and _other_side(name) not in names}
    crowd = len(names - widowed) >= weak_needs
    return {
        label: match
        for label, match in found.items()
        if match.name not in widowed and (not _weak(match.name) or (crowd and match.plain))
    }


@cache
def _vocabulary(patterns: tuple[str, ...]) -> Vocabulary:
    return Vocabulary(patterns)


def _other_side(name: str) -> str:
    return name.replace("Left", "Right") if "Left" in name else name.replace("Right", "Left")


def _is_part(name: str, whole: str, table: Convention) -> bool:
    """Whether a name continues another that takes the same: LipFunnelUpper beside LipFunnel."""
    recipe = table.shapes[name]
    return bool(recipe) and name != whole and name.startswith(whole) and recipe == table.shapes[whole]


def _is_half(name: str, table: Convention) -> bool:
    """Whether a name has a side and what it takes has none."""
    recipe = table.shapes[name]
    sided = _other_side(name) != name and _other_side(name) in table.shapes
    return sided and bool(recipe) and recipe == table.shapes[_other_side(name)]


def _weak(name: str) -> bool:
    """A name of one word, which may mean something else in another file."""
    return name.isalpha() and len(WORD.findall(name)) == 1


def _doubled(
    meshes: Mapping[int, Sequence[str]], matches: Mapping[str, Match], table: Convention, path: str | Path
) -> set[tuple[int, str]]:
    """(mesh, label) of labels whose name another label of the same mesh carries better."""
    doubled: set[tuple[int, str]] = set()
    for mesh, targets in meshes.items():
        names, ambiguous = pick([matches.get(label) for label in targets])
        for name, twice in ambiguous:
            if table.shapes[name]:
                found = listed([targets[k] for k in twice])
                raise InputError(f"{path}: mesh {mesh} has {name} twice ({found}); rename one, or give names=map.yaml")
        doubled |= {(mesh, label) for label, name in zip(targets, names, strict=True) if label in matches and not name}
    return doubled


def _without_doubles(recipes: dict[str, Recipe], driven: set[str]) -> dict[str, Recipe]:
    """Recipes without what is driven already, by an earlier convention or by a simpler shape of this one."""
    kept: dict[str, Recipe] = {}
    taken = set(driven)
    for size in sorted({len(recipe) for recipe in recipes.values()}):
        level = {label: recipe for label, recipe in recipes.items() if len(recipe) == size}
        for label, recipe in level.items():
            if left := {source: amount for source, amount in recipe.items() if source not in taken}:
                kept[label] = left
        taken |= {source for recipe in level.values() for source in recipe}
    return kept


def _named(
    meshes: Mapping[int, Sequence[str]],
    recipes: Mapping[str, Recipe],
    spare: set[tuple[int, str]],
    counts: Mapping[str, int],
    unknown: tuple[str, ...],
) -> Binding:
    """Shapes that follow one control at full take its name, so that curves and other heads know them; others keep their label."""
    names: dict[str, str] = {}
    for label, recipe in recipes.items():
        single = next(iter(recipe)) if len(recipe) == 1 and set(recipe.values()) == {1.0} else None
        if recipe:
            names[label] = single if single in CONTROL_NAMES else label
    by_name = {names[label]: recipe for label, recipe in recipes.items() if label in names}
    order = [name for name in CONTROL_NAMES if name in by_name] + [n for n in by_name if n not in CONTROL_NAMES]
    return Binding(
        {
            mesh: tuple(None if (mesh, label) in spare else names.get(label) for label in targets)
            for mesh, targets in meshes.items()
        },
        {name: by_name[name] for name in order},
        dict(counts),
        unknown,
    )


def listed(labels: Sequence[str], most: int = 40) -> str:
    """Labels for a message, in full where there are not too many."""
    return (", ".join(labels[:most]) or "none") + (f" and {len(labels) - most} more" if len(labels) > most else "")


def read_names(path: str | Path) -> dict[str, Recipe]:
    """A user's map from a YAML file: `their shape: control`, or `their shape: {control: amount, ...}`; null keeps it still.

    Raises:
        InputError: not readable, not a map, or a control, viseme or amount that does not exist.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"names={path}: no such file; give a YAML file with lines such as `MouthOpen: jawOpen`")
    if path.stat().st_size > LARGEST_MAP:
        raise InputError(
            f"names={path}: larger than {LARGEST_MAP} bytes, which no map of shape names is; check the path"
        )
    try:
        table = yaml.safe_load(path.read_text("utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"names={path}: not readable as YAML ({' '.join(str(error).split())[:200]}); mend the file"
        ) from error
    if not isinstance(table, dict) or not table:
        raise InputError(f"names={path}: not a map; write lines such as `MouthOpen: jawOpen`")
    return {str(label): _own_recipe(path, str(label), value) for label, value in table.items()}


def _own_recipe(path: Path, label: str, value: object) -> Recipe:
    """One line of the user's map, checked."""
    amounts = {} if value is None else {value: 1.0} if isinstance(value, str) else value
    if not isinstance(amounts, dict):
        raise InputError(
            f"names={path}: {label!r} is neither a control nor {{control: amount}}; write e.g. `{label}: jawOpen`"
        )
    for source, amount in amounts.items():
        if source not in SOURCES:
            raise InputError(
                f"names={path}: {label!r} asks for {source!r}, which is no control or viseme; known: {', '.join(SOURCES)}"
            )
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount <= 1:
            raise InputError(f"names={path}: {label!r} takes {amount!r} of {source}; an amount lies from 0 to 1")
    return {str(source): float(amount) for source, amount in amounts.items() if amount}
