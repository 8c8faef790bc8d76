"""Settings: a frozen struct per process, filled from flags, the environment and one YAML file.

A flag beats an `OPENMANAGER_…` variable beats the file beats the default. The setting `web.listen_address`
is the flag `--web.listen-address`, the variable `OPENMANAGER_WEB_LISTEN_ADDRESS` and in the file

    web:
      listen_address: 127.0.0.1:3001

Secrets are never flags: they come from the environment or from a file that a variable names.
"""

from __future__ import annotations

import argparse
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

PREFIX = "OPENMANAGER_"
T = TypeVar("T", bound=msgspec.Struct)


class SettingsError(Exception):
    """A setting cannot be used. The message names the place, the value and the rule, in one line."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A group of settings. A field's help is its `msgspec.Meta(description=…)`.

    A field marked `extra={"file_only": True}` has no flag and no variable.
    Check what the types cannot say in `__post_init__`, raising ValueError.
    """


@dataclass(frozen=True, slots=True)
class Setting:
    """One leaf: `path` is ("web", "listen_address"); `repeatable` ones are tuples of strings."""

    path: tuple[str, ...]
    type: Any  # with its bounds
    default: Any
    help: str
    file_only: bool

    @property
    def flag(self) -> str:
        return "--" + ".".join(self.path).replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + "_".join(self.path).upper()

    @property
    def repeatable(self) -> bool:
        return typing.get_origin(_unwrap(self.type)[0]) is tuple


def settings(spec: type[Section], path: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Every leaf of a struct of sections, in the order in which they were declared."""
    hints = typing.get_type_hints(spec, include_extras=True)
    for field in msgspec.structs.fields(spec):
        kind, meta = _unwrap(hints[field.name])
        here = (*path, field.encode_name)
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from settings(kind, here)
            continue
        default = field.default if field.default is not msgspec.NODEFAULT else None
        if default is None and field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        file_only = bool(meta and meta.extra and meta.extra.get("file_only"))
        yield Setting(here, hints[field.name], default, (meta.description or "") if meta else "", file_only)


def add_flags(parser: argparse.ArgumentParser, spec: type[Section]) -> None:
    """One flag for each setting that may be a flag, plus `--config.file`. Unset flags stay None."""
    group = parser.add_argument_group("settings, the same for every command, as variables and in the file")
    group.add_argument("--config.file", dest="config_file", metavar="FILE", help="the YAML file with settings")
    for setting in settings(spec):
        if setting.file_only:
            continue
        shown = "" if setting.default in (None, "", ()) else f" (default: {_shown(setting.default)})"
        group.add_argument(
            setting.flag,
            dest=setting.flag,
            metavar=setting.path[-1].upper(),
            action="append" if setting.repeatable else "store",
            help=(setting.help + shown).replace("%", "%%"),
        )


def load(spec: type[T], flags: argparse.Namespace, environ: Mapping[str, str]) -> T:
    """The settings, checked. Raises SettingsError."""
    file_name = getattr(flags, "config_file", None) or environ.get(PREFIX + "CONFIG_FILE")
    tree = _read_yaml(Path(file_name)) if file_name else {}
    values = _convert(tree, spec, str(file_name))
    for setting in settings(typing.cast("type[Section]", spec)):
        if setting.file_only:
            continue
        given = getattr(flags, setting.flag, None)
        place = setting.flag
        if given is None and (text := environ.get(setting.variable)):
            given, place = ([text] if setting.repeatable else text), setting.variable
        if given is not None:
            values = _replaced(values, setting.path, _typed(given, setting, place), place)
    return values


def secret(name: str, environ: Mapping[str, str]) -> str | None:
    """The secret in the variable `name`, or in the file that `name_FILE` names; None if neither is set.

    Raises SettingsError without ever quoting the secret.
    """
    if value := environ.get(name, "").strip():
        return value
    path = environ.get(f"{name}_FILE")
    if not path:
        return None
    try:
        content = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as err:
        raise SettingsError(f"{name}_FILE: {path}: {_reason(err)}") from None
    if not content:
        raise SettingsError(f"{name}_FILE: {path}: the file is empty")
    return content


def _unwrap(hint: Any) -> tuple[Any, msgspec.Meta | None]:
    if typing.get_origin(hint) is typing.Annotated:
        kind, *extras = typing.get_args(hint)
        return kind, next((extra for extra in extras if isinstance(extra, msgspec.Meta)), None)
    return hint, None


def _shown(default: Any) -> str:
    return ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _reason(err: Exception) -> str:
    return err.strerror or type(err).__name__ if isinstance(err, OSError) else "not UTF-8 text"


def _read_yaml(path: Path) -> Any:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as err:
        raise SettingsError(f"{path}: {_reason(err)}") from None
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise SettingsError(f"{place}: {getattr(err, 'problem', None) or 'not YAML'}") from None
    return {} if tree is None else tree


def _convert(tree: Any, spec: type[T], place: str) -> T:
    try:
        return msgspec.convert(tree, spec)
    except msgspec.ValidationError as err:
        raise SettingsError(f"{place}: {_located(str(err))}") from None


def _located(message: str) -> str:
    """msgspec ends a message with ` - at `$.a.b``: put the place first."""
    reason, found, where = message.partition(" - at `")
    return f"{where.rstrip('`').removeprefix('$.').removeprefix('$')}: {reason}" if found else reason


def _typed(given: Any, setting: Setting, place: str) -> Any:
    try:
        return msgspec.convert(given, setting.type, strict=False)
    except msgspec.ValidationError as err:
        raise SettingsError(f"{place}: {given!r}: {err}") from None


def _replaced(values: Any, path: Sequence[str], value: Any, place: str) -> Any:
    name, *rest = path
    head = next(field.name for field in msgspec.structs.fields(values) if field.encode_name == name)
    inner = _replaced(getattr(values, head), rest, value, place) if rest else value
    try:
        changed = msgspec.structs.replace(values, **{head: inner})
    except ValueError as err:
        raise SettingsError(f"{place}: {err}") from None
    return changed
