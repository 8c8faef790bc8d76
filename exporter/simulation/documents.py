"""YAML texts as checked values: a mistake is told in one line with its place, its value and the rule."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
import yaml

T = TypeVar("T")

_RULES = (
    (r"Expected `(\w+)`, got `\w+`", r"must be {an}\1"),
    (r"Expected `array` of length >= (\d+)", r"must have at least \1 entries"),
    (r"Expected `array` of length (\d+)", r"must have \1 entries"),
    (r"Expected `\w+` >= (\S+)", r"must be at least \1"),
    (r"Expected `\w+` <= (\S+)", r"must be at most \1"),
    (r"Expected `\w+` > (\S+)", r"must be above \1"),
    (r"Expected `str` matching regex '(.*)'", r"must match \1"),
)
_KINDS = {
    "str": "a text",
    "float": "a number",
    "int": "a whole number",
    "array": "a list",
    "object": "a mapping",
    "bool": "true or false",
}
_LONGEST = 60


class DocumentError(ValueError):
    """A YAML text cannot be used. One line: place, value and rule."""


class _Once(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # which of the two is known at run time
    """A safe loader that takes no key twice."""


def _mapping(loader: Any, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key, _ in node.value:
        name = loader.construct_object(key, deep=True)
        if isinstance(name, (str, int, float)) and name in seen:
            raise yaml.MarkedYAMLError(problem=f"key {name!r} occurs twice", problem_mark=key.start_mark)
        if isinstance(name, (str, int, float)):
            seen.add(name)
    found: dict[Any, Any] = yaml.SafeLoader.construct_mapping(loader, node, deep=True)
    return found


_Once.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse_yaml(text: str, place: str) -> Any:
    """A YAML text as plain data. Raises DocumentError with line and column."""
    try:
        return yaml.load(text, Loader=_Once)  # noqa: S506 (a safe loader)
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        where = f"{place}:{mark.line + 1}:{mark.column + 1}" if mark else place
        raise DocumentError(f"{where}: {getattr(err, 'problem', None) or 'not YAML'}") from None


def convert(tree: Any, spec: type[T], place: str) -> T:
    """Plain data as a checked value. Raises DocumentError with the path of the mistake."""
    try:
        return msgspec.convert(tree, spec)
    except msgspec.ValidationError as err:
        raise DocumentError(f"{place}: {told(str(err), tree)}") from None


def told(message: str, tree: Any) -> str:
    """A message of the checker as `path: value: rule`, the value from the data that was checked."""
    match = re.fullmatch(r"(.*?)(?: - at `(?:key in )?\$?\.?(.*)`)?", message, re.DOTALL)
    reason, path = (match[1], (match[2] or "").removesuffix("[...]")) if match else (message, "")
    for pattern, rule in _RULES:
        if found := re.fullmatch(pattern, reason, re.DOTALL):
            kind = _KINDS.get(found[1], f"a value of type {found[1]}")
            return _joined(path, _shown(_at(tree, path)), rule.replace(r"{an}\1", kind).replace(r"\1", found[1]))
    if unknown := re.fullmatch("Object contains unknown field `(.*)`", reason):
        return _joined(f"{path}.{unknown[1]}".lstrip("."), "unknown key")
    if missing := re.fullmatch("Object missing required field `(.*)`", reason):
        return _joined(path, f"the key {missing[1]} is missing")
    return _joined(path, reason)


def _joined(*parts: str) -> str:
    return ": ".join(part for part in parts if part)


def _at(tree: Any, path: str) -> Any:
    for key, number in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        try:
            tree = tree[int(number)] if number else tree[key]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
