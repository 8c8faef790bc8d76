"""YAML texts as checked values: every mistake is told in one line with its place, its value and the rule."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import yaml

T = TypeVar("T")
Path = tuple[str | int, ...]
"""How to get to a value: keys of mappings and positions in lists."""

_RULES = (
    (r"Expected `(\w+)`, got `\w+`", r"must be {an}\1"),
    (r"Expected `array` of length >= (\d+)", r"must have at least \1 entries"),
    (r"Expected `array` of length (\d+)", r"must have \1 entries"),
    (r"Expected `\w+` >= (\S+)", r"must be at least \1"),
    (r"Expected `\w+` <= (\S+)", r"must be at most \1"),
    (r"Expected `\w+` > (\S+)", r"must be above \1"),
    (r"Expected `str` matching regex '\^\(([\w|-]+)\)\$'", r"must be one of \1"),
    (r"Expected `str` matching regex '(.*)'", r"must match \1"),
    (r"Expected `(\w+(?: \| \w+)+)`, got `\w+`", r"must be {an}\1"),
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


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong in a document. line, column: from 1, 0 where there is no place."""

    line: int
    column: int
    message: str

    def at(self, file: str) -> str:
        """`file:line:column: message`."""
        return f"{file}:{self.line}:{self.column}: {self.message}" if self.line else f"{file}: {self.message}"


class DocumentError(ValueError):
    """A YAML text cannot be used. One line, the first of `mistakes`: place, value and rule."""

    def __init__(self, place: str, mistakes: Sequence[Mistake]) -> None:
        super().__init__(mistakes[0].at(place))
        self.mistakes = tuple(mistakes)


class Document:
    """A YAML text as plain data that knows where everything stands. Raises DocumentError if it is not YAML."""

    def __init__(self, text: str, place: str) -> None:
        self.place = place
        try:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
            self._root = loader.get_single_node()
            self.repeated = tuple(_repeated(self._root))
            self.tree: Any = None if self._root is None else loader.construct_document(self._root)
        except yaml.YAMLError as err:
            mark = getattr(err, "problem_mark", None)
            reason = getattr(err, "problem", None) or str(err).partition("\n")[0]
            line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
            raise DocumentError(place, [Mistake(line, column, " ".join(reason.split()))]) from None
        except (ValueError, RecursionError, TypeError) as err:
            raise DocumentError(place, [Mistake(1, 1, f"not YAML: {' '.join(str(err).split())}")]) from None

    def mistake(self, path: Path, message: str) -> Mistake:
        """A mistake at a path, or at the nearest thing around it that is there."""
        node, mark = self._root, self._root.start_mark if self._root else None
        for step in path:
            if isinstance(node, yaml.MappingNode):
                found = [(key, value) for key, value in node.value if key.value == str(step)]
                if not found:
                    break
                mark, node = found[-1][0].start_mark, found[-1][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                mark = node.start_mark
            else:
                break
        return Mistake(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, message)

    def convert(self, spec: type[T]) -> T:
        """The document as a checked value. Raises DocumentError with every mistake."""
        if wrong := [*self.repeated, *(self.mistake(path, text) for path, text in mistakes(self.tree, spec))]:
            raise DocumentError(self.place, sorted(wrong, key=lambda mistake: (mistake.line, mistake.column)))
        try:
            return msgspec.convert(self.tree, spec)
        except msgspec.ValidationError as err:
            raise DocumentError(self.place, [self.mistake((), told(str(err), self.tree))]) from None


def _repeated(root: yaml.Node | None) -> Iterator[Mistake]:
    """A mapping's key that was there already."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            names: set[str] = set()
            for key, value in node.value:
                if key.value.__hash__ and str(key.value) in names:
                    mark = key.start_mark
                    yield Mistake(mark.line + 1, mark.column + 1, f"key {key.value!r} occurs twice")
                names.add(str(key.value))
                waiting.append(value)
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def mistakes(tree: Any, spec: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Where plain data is not what `spec` says: every place, with value and rule."""
    kind = _unwrapped(spec)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(tree, dict):
        yield from _of_fields(tree, kind, path)
    elif (each := _elements(kind)) is not None and isinstance(tree, list):
        inside = [found for number, value in enumerate(tree) for found in mistakes(value, each, (*path, number))]
        yield from inside or _of_value(tree, spec, path)
    else:
        yield from _of_value(tree, spec, path)


def _of_fields(tree: dict[Any, Any], kind: type[msgspec.Struct], path: Path) -> Iterator[tuple[Path, str]]:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    wrong = False
    for name in tree:
        if name not in fields:
            wrong = True
            yield (*path, name), f"{shown_path((*path, name))}: unknown key; known are {', '.join(fields)}"
    for name, field in fields.items():
        if name not in tree:
            if field.required:
                wrong = True
                yield path, _joined(shown_path(path), f"the key {name} is missing")
            continue
        for found in mistakes(tree[name], hints[field.name], (*path, name)):
            wrong = True
            yield found
    if not wrong:
        yield from _of_value(tree, kind, path)


def _of_value(tree: Any, spec: Any, path: Path) -> Iterator[tuple[Path, str]]:
    try:
        msgspec.convert(tree, spec)
    except msgspec.ValidationError as err:
        deeper, reason = _deeper(tree, told(str(err), tree))
        yield (*path, *deeper), _joined(shown_path((*path, *deeper)), reason)


def _deeper(tree: Any, message: str) -> tuple[Path, str]:
    """The path that a message begins with, if there is something there, and the rest of the message."""
    first, _, rest = message.partition(": ")
    steps = first.split(".")
    for step in steps:
        if not isinstance(tree, dict) or step not in tree:
            return (), message
        tree = tree[step]
    return tuple(steps), rest


def _unwrapped(spec: Any) -> Any:
    """A type without its bounds and without the None it may be instead."""
    while typing.get_origin(spec) is typing.Annotated:
        spec = typing.get_args(spec)[0]
    others = [kind for kind in typing.get_args(spec) if kind is not type(None)]
    optional = type(None) in typing.get_args(spec) and len(others) == 1
    return _unwrapped(others[0]) if optional else spec


def _elements(kind: Any) -> Any:
    """What a list's entries must be, None for what is no list."""
    arguments = typing.get_args(kind)
    is_list = typing.get_origin(kind) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis
    return arguments[0] if is_list else None


def shown_path(path: Path) -> str:
    """`phases[0].level`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def told(message: str, tree: Any) -> str:
    """A message of the checker as `path: value: rule`, the value from the data that was checked."""
    match = re.fullmatch(r"(.*?)(?: - at `(?:key in )?\$?\.?(.*)`)?", message, re.DOTALL)
    reason, path = (match[1], (match[2] or "").removesuffix("[...]")) if match else (message, "")
    for pattern, rule in _RULES:
        if found := re.fullmatch(pattern, reason, re.DOTALL):
            kinds = [_KINDS.get(kind, f"a value of type {kind}") for kind in found[1].split(" | ") if kind != "null"]
            if rule.startswith("must be one of"):
                return _joined(path, _shown(_at(tree, path)), f"must be one of {', '.join(found[1].split('|'))}")
            told_rule = rule.replace(r"{an}\1", " or ".join(kinds)).replace(r"\1", found[1])
            return _joined(path, _shown(_at(tree, path)), told_rule)
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
