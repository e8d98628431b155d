"""`name=value` as people type it, made into what hydra's grammar reads: file names and sentences need no second quoting.

Paths and texts (the schema knows which options they are) are taken as they are typed, whatever characters they hold:

- a path that begins with `~` lies in a home folder, unless a file of exactly that name exists;
- where several paths may stand, a file or folder of exactly that name comes first; else `[a.wav,b.wav]` is a list, whose
  items may be quoted ("a,b.wav") to hold a comma; else the value is one path or pattern;
- `null` means none; a file of that name is `./null`;
- under `-m` commas separate the values of a sweep, unless a file of exactly that name exists.

Everything else (`steps=10`, `+trainer.devices=2`, `~option`, groups, -m with its functions) is hydra's own grammar.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf

from diffspeaker3d.config.compose import CONF_DIR, literal
from diffspeaker3d.config.kinds import AsTyped, Options, allowed, fields, find, how_typed
from diffspeaker3d.config.schema import COMMANDS
from diffspeaker3d.errors import InputError

_OPTION = re.compile(r"(?P<added>\+{0,2})(?P<key>[A-Za-z_][\w./@:-]*)=(?P<value>.*)", re.DOTALL)
# hydra's own switches that are followed by a value of theirs
_WITH_VALUE = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--info", "-i"}  # fmt: skip
_FOREIGN_CONFIGURATION = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn")
_ITEM = re.compile(r"""\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^,]*?))\s*(?:,|$)""", re.DOTALL)


def for_hydra(arguments: Sequence[str], command: str) -> list[str]:
    """The arguments of a command as hydra reads them.

    Args:
        arguments: as the shell hands them over.
        command: whose.

    Raises:
        InputError: an argument that is no `name=value`, an option that does not exist (the nearest is named), an unknown
            member of a group, or several values where one is needed.
    """
    table, choices = COMMANDS[command], groups(command)
    many = any(argument in ("-m", "--multirun") for argument in arguments)
    own_groups = not any(argument.startswith(_FOREIGN_CONFIGURATION) for argument in arguments)
    translated, passed = [], False
    for argument in arguments:
        if passed or argument.startswith("-") or re.match(r"~\w[^=/\\]*(=|$)", argument):
            translated.append(argument)
            passed = argument in _WITH_VALUE
            continue
        option = _OPTION.fullmatch(argument)
        if option is None:
            raise InputError(f"{argument}: options are written name=value, such as {_first(table)}=...; see --help")
        key, value = option["key"], option["value"]
        if not option["added"] and own_groups:
            _check_key(key, {*fields(table), *choices})
        how = how_typed(find(table, key))
        head = f"{option['added']}{key}="
        if how is not None:
            translated.append(head + _verbatim(key, value, how, many))
        else:
            translated.append(head + _grammatical(key, value, table, many))
            if own_groups and not many and key in choices:
                _check_member(key, value, choices[key])
    return translated


def unknown(key: str, known: Iterable[str]) -> str:
    """The sentence about an option that does not exist, with the nearest that does."""
    near = difflib.get_close_matches(key, sorted(known), 1, 0.5)
    return f"{key}: no such option{f'; did you mean {near[0]}?' if near else ''}; see --help"


def groups(command: str) -> dict[str, list[str]]:
    """The groups that a command composes its configuration from, and their members."""
    defaults = OmegaConf.to_container(OmegaConf.load(CONF_DIR / f"{command}.yaml"), resolve=False)["defaults"]  # type: ignore[index,call-overload]
    names = [name for entry in defaults if isinstance(entry, dict) for name in entry if " " not in name]
    members = {name: sorted(path.stem for path in (CONF_DIR / name).glob("*.yaml")) for name in names}
    optional = [
        name for entry in defaults if isinstance(entry, dict) for name, choice in entry.items() if choice is None
    ]
    return {name: [*found, *(["null"] if name in optional else [])] for name, found in members.items()}


def _check_key(key: str, known: set[str]) -> None:
    """Raise InputError unless the option can exist: its first part is in the schema, a group, or hydra's own."""
    if re.split(r"[./@]", key, maxsplit=1)[0] not in {*known, "hydra"}:
        raise InputError(unknown(key, known))


def _check_member(group: str, value: str, members: list[str]) -> None:
    if value not in members and not value.startswith("["):
        near = difflib.get_close_matches(value, members, 1, 0.5)
        guess = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"{group}={value}: no such {group}{guess}; known: {', '.join(members)}")


def _grammatical(key: str, value: str, table: type[Options], many: bool) -> str:
    """A value for hydra's grammar; what that cannot read is a text, which the schema then judges."""
    try:
        parsed = OverridesParser.create().parse_override(f"{key}={value}")
    except HydraException:
        return _quoted(value)
    if parsed.is_sweep_override() and not many:
        annotation = find(table, key)
        wanted = f"give {allowed(annotation)}" if annotation is not None else "give one value"
        raise InputError(f"{key}={value}: {wanted}; a list is written [a,b], and -m runs one value after the other")
    return value


def _verbatim(key: str, value: str, how: AsTyped, many: bool) -> str:
    """A path or text in hydra's grammar, quoted as often as that needs."""
    if value == "null":
        return value
    if not value:
        raise InputError(f"{key}: is empty; give {how.value}, or null for none")
    is_path = how not in (AsTyped.TEXT, AsTyped.TEXTS)
    exists = is_path and _exists(value)
    if many and "," in value and not exists and not value.startswith(("[", "{")):
        return ",".join(_quoted(_path(item) if is_path else item) for item in value.split(","))
    if how is AsTyped.PATH_OR_TABLE and not exists and value.startswith("{"):
        return value
    if how is AsTyped.NAMED_PATHS:
        return _named_paths(key, value)
    if how in (AsTyped.PATHS, AsTyped.TEXTS) and not exists and value.startswith("[") and value.endswith("]"):
        return f"[{','.join(_quoted(_path(item) if is_path else item) for item in _items(value))}]"
    return _quoted(_path(value) if is_path else value)


def _named_paths(key: str, value: str) -> str:
    if not (value.startswith("{") and value.endswith("}")):
        raise InputError(f"{key}={value}: give {AsTyped.NAMED_PATHS.value}, or null for none")
    pairs = [item.partition(":") for item in _items(value)]
    if any(not colon or not re.fullmatch(r"[\w .-]+", name.strip()) for name, colon, _ in pairs):
        raise InputError(f"{key}={value}: give {AsTyped.NAMED_PATHS.value}, or null for none")
    return "{" + ",".join(f"{name.strip()}:{_quoted(_path(path.strip()))}" for name, _, path in pairs) + "}"


def _items(value: str) -> list[str]:
    """What stands between the brackets, separated by commas outside quotes."""
    inner, found, at = value[1:-1], [], 0
    while at < len(inner) and (match := _ITEM.match(inner, at)):
        found.append(next(part for part in (match["double"], match["single"], match["bare"]) if part is not None))
        at = match.end()
    return found


def _path(text: str) -> str:
    """The path with its home folder written out. `???`, hydra's sign for a missing value, becomes the pattern it is."""
    if text == "???":
        return "./???"
    return expanded(text)


def expanded(text: str) -> str:
    """A path whose leading `~` or `~user` is written out, unless a file of exactly that name exists.

    Raises:
        InputError: there is no such user; a folder called `~user` is never made.
    """
    if not text.startswith("~") or _exists(text):
        return text
    path = os.path.expanduser(text)
    user, *rest = re.split(r"[/\\]", text, maxsplit=1)
    if path == text and rest:
        raise InputError(f"{text}: there is no user {user[1:]} here; write the folder out")
    return path


def _exists(text: str) -> bool:
    try:
        return os.path.lexists(text)
    except (OSError, ValueError):  # too long for a name, or a character that no name can hold
        return False


def _quoted(text: str) -> str:
    return QuotedString(literal(text), Quote.single).with_quotes()


def _first(table: type[Options]) -> str:
    return next(iter(fields(table)))
