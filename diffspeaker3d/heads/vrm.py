"""What a VRM avatar says of itself: which shapes make its expressions, and which bones are its jaw and eyes. Version 0 and 1.

An extension is the avatar's own JSON, unchecked so far: whatever does not have the form of the specification is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from diffspeaker3d.geometry.gltf.schema import Document, Index, Number

MOST_EXPRESSIONS = 1000
Bind = tuple[int, int, float]  # mesh, target, amount


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)


Part = TypeVar("Part", bound=_Part)


class NodeBind(_Part):
    """Of VRM 1: a node's shape, 0 to 1."""

    node: Index
    index: Index
    weight: Annotated[Number, Field(ge=0, le=1)] = 1.0


class MeshBind(_Part):
    """Of VRM 0: a mesh's shape, 0 to 100."""

    mesh: Index
    index: Index
    weight: Annotated[Number, Field(ge=0, le=100)] = 100.0


class Group(_Part):
    """An expression of VRM 0; `preset_name` is "unknown" for one of the avatar's own."""

    name: str = ""
    preset_name: str = "unknown"
    binds: tuple[Any, ...] = ()


class Bone(_Part):
    bone: str
    node: Index


class RangeMap(_Part):
    """How far an eye bone turns when the gaze turns; names of VRM 1, or of VRM 0."""

    input_max_value: Annotated[Number, Field(gt=0, validation_alias=AliasChoices("inputMaxValue", "xRange"))]
    output_scale: Annotated[Number, Field(ge=0, validation_alias=AliasChoices("outputScale", "yRange"))]


def is_avatar(json: Mapping[str, Any]) -> bool:
    """Whether a glTF file's JSON carries a VRM extension."""
    extensions = _inside(json, "extensions")
    return "VRM" in extensions or "VRMC_vrm" in extensions


def is_first_version(json: Mapping[str, Any]) -> bool:
    """Whether it is an avatar of VRM 0, which looks along -Z."""
    extensions = _inside(json, "extensions")
    return "VRM" in extensions and "VRMC_vrm" not in extensions


def expressions(document: Document, json: Mapping[str, Any]) -> dict[str, tuple[Bind, ...]]:
    """Expression -> the shapes that make it, those that exist.

    Args:
        document: the file's, checked.
        json: the file's, as it came.
    """
    found: dict[str, tuple[Bind, ...]] = {}
    for name, binds in islice(chain(_newer(document, json), _older(json)), MOST_EXPRESSIONS):
        inside = tuple(
            b for b in binds if b[0] < len(document.meshes) and b[1] < len(document.meshes[b[0]].primitives[0].targets)
        )
        if name and inside:
            found.setdefault(name, inside)
    return found


def _newer(document: Document, json: Mapping[str, Any]) -> Iterator[tuple[str, list[Bind]]]:
    table = _inside(json, "extensions", "VRMC_vrm", "expressions")
    for kind in ("preset", "custom"):
        for name, expression in _inside(table, kind).items():
            binds: list[Bind] = []
            for bind in _parts(NodeBind, _list(expression, "morphTargetBinds")):
                mesh = document.nodes[bind.node].mesh if bind.node < len(document.nodes) else None
                if mesh is not None:
                    binds.append((mesh, bind.index, bind.weight))
            yield str(name), binds


def _older(json: Mapping[str, Any]) -> Iterator[tuple[str, list[Bind]]]:
    for group in _parts(Group, _list(_inside(json, "extensions", "VRM", "blendShapeMaster"), "blendShapeGroups")):
        preset = group.preset_name.lower()
        name = group.name if preset in ("unknown", "") else preset
        yield name, [(b.mesh, b.index, b.weight / 100) for b in _parts(MeshBind, list(group.binds))]


def bones(json: Mapping[str, Any]) -> dict[str, int]:
    """Humanoid bone -> its node, such as `jaw`, `leftEye`, `head`."""
    newer = _inside(json, "extensions", "VRMC_vrm", "humanoid", "humanBones")
    named = [{"bone": name, **bone} for name, bone in newer.items() if isinstance(bone, dict)]
    older = _list(_inside(json, "extensions", "VRM", "humanoid"), "humanBones")
    return {bone.bone: bone.node for bone in _parts(Bone, [*older, *named])}


def gaze(json: Mapping[str, Any]) -> dict[str, float]:
    """How far the eye bones turn, as a share of the gaze, by way (Up, Down, In, Out): drawn eyes turn less than real ones."""
    newer, older = (
        _inside(json, "extensions", "VRMC_vrm", "lookAt"),
        _inside(json, "extensions", "VRM", "firstPerson"),
    )
    found: dict[str, float] = {}
    for way, name in (
        ("Up", "VerticalUp"),
        ("Down", "VerticalDown"),
        ("In", "HorizontalInner"),
        ("Out", "HorizontalOuter"),
    ):
        for turn in _parts(RangeMap, [newer.get(f"rangeMap{name}"), older.get(f"lookAt{name}")])[:1]:
            found[way] = min(turn.output_scale / turn.input_max_value, 1.0)
    return found


def _inside(tree: Any, *path: str) -> dict[str, Any]:
    """The object at the end of a path, an empty one where there is none."""
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree if isinstance(tree, dict) else {}


def _list(tree: Any, key: str) -> list[Any]:
    found = tree.get(key) if isinstance(tree, dict) else None
    return found if isinstance(found, list) else []


def _parts(kind: type[Part], entries: list[Any]) -> list[Part]:
    """The entries that have the form of `kind`."""
    found: list[Part] = []
    for entry in entries[:10_000]:
        try:
            found.append(kind.model_validate(entry))
        except ValidationError:
            continue
    return found
