"""Kinds of options: how the command line takes them, and in what words they are asked for."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict


class AsTyped(Enum):
    """Options whose value the command line takes as it is typed, not as hydra's grammar would read it."""

    TEXT = "a text"
    PATH = "a path"
    TEXTS = "a text, or a list of them in brackets"
    PATHS = "a path, or a list of them in brackets"
    PATH_OR_TABLE = "a path, or a table in braces"
    NAMED_PATHS = "names with paths, such as {faceformer:DIR}"


def one_text(value: Any) -> str:
    """Check a text: any that is not empty, even with bytes of a file name that are no Unicode."""
    if not isinstance(value, str) or not value:
        raise ValueError("not a text")
    return value


def texts(value: Any) -> str | list[str]:
    """Check a text or a list of them."""
    if isinstance(value, list) and value:
        return [one_text(item) for item in value]
    return one_text(value)


def two_texts(value: Any) -> list[str]:
    """Check a list of two texts."""
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("not two texts")
    return [one_text(item) for item in value]


def named_texts(value: Any) -> dict[str, str]:
    """Check a table of texts."""
    if not isinstance(value, dict):
        raise ValueError("not a table")
    return {str(name): one_text(item) for name, item in value.items()}


@dataclass(frozen=True)
class Words:
    """What an option may be, where the type alone does not say it well."""

    text: str


class Options(BaseModel):
    """What all tables of options share: nothing unknown, nothing converted in silence, no number that is not finite."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


_TYPES: dict[Any, str] = {
    int: "a whole number", float: "a number", bool: "true or false", str: "a text", list: "a list", dict: "a table",
    type(None): "null",
}  # fmt: skip


def allowed(annotation: Any) -> str:
    """What an option may be, in words: "a whole number from 1 to 240, or null"."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *marks = get_args(annotation)
        said = next((mark.text for mark in marks if isinstance(mark, Words)), None)
        typed = next((mark.value for mark in marks if isinstance(mark, AsTyped)), None)
        return said or typed or allowed(base) + "".join(_bounds(mark) for mark in marks)
    if origin in (Union, types.UnionType):
        *front, last = [allowed(choice) for choice in get_args(annotation)]
        return f"{', '.join(front)}, or {last}"
    if origin is Literal:
        *front, last = [str(value) for value in get_args(annotation)]
        return f"{', '.join(front)} or {last}" if front else last
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return "a table of options"
    return _TYPES.get(origin or annotation, str(annotation))


def _bounds(mark: Any) -> str:
    named = (("ge", "from"), ("gt", "above"), ("le", "to"))
    return "".join(f" {word} {bound}" for name, word in named if (bound := getattr(mark, name, None)) is not None)


def how_typed(annotation: Any) -> AsTyped | None:
    """How the command line takes a value of this type, or None: by hydra's grammar."""
    if isinstance(annotation, AsTyped):
        return annotation
    return next((found for part in get_args(annotation) if (found := how_typed(part))), None)


def tables(annotation: Any) -> Iterator[type[Options]]:
    """The tables of options that a value of this type may be."""
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, Options):
        yield annotation
    for part in get_args(annotation):
        yield from tables(part)


def fields(table: type[Options]) -> dict[str, Any]:
    """Name on the command line -> annotation of every option of a table."""
    hints = get_type_hints(table, include_extras=True)
    return {field.alias or name: hints[name] for name, field in table.model_fields.items()}


def find(table: type[Options], key: str) -> Any:
    """The annotation of an option such as `dataset.root`, or None where the schema does not say."""
    first, _, rest = key.partition(".")
    annotation = fields(table).get(first)
    if get_origin(annotation) is dict and rest:  # any name, then the options of what it names
        _, _, rest = rest.partition(".")
    if not rest or annotation is None:
        return annotation
    return next((found for inner in tables(annotation) if (found := find(inner, rest)) is not None), None)


def shown(value: Any) -> str:
    """A value as it is written on the command line."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(shown(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{shown(item)}" for key, item in value.items()) + "}"
    return str(value)
