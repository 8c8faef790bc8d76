"""The file format of unit tests, read as promtool reads it: strictly, its first document only.

Go's YAML decides what a number is: `0x1F`, `1_000`, `1e3`, `.5`, `-.inf` and `.NaN` are, and nothing in quotes.
Source: prometheus/cmd/promtool/unittest.go; go-yaml/yaml, resolve.go.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from exporter.duration import parse_duration

_VALUES = ("tests", "promql_expr_test", "exp_samples", "value")
_TEXT_MAPS = ("exp_labels", "exp_annotations", "external_labels")
_INTEGER = re.compile(r"(?P<sign>[+-]?)(?P<digits>0b[01]+|0x[0-9a-fA-F]+|0o?[0-7]+)")
_FLOAT = re.compile(r"[+-]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[+-]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


class UnitTestError(Exception):
    """A file of tests cannot be run: the message is one line."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Series(_Strict, frozen=True):
    """One input series."""

    series: str = ""
    values: str = ""


class ExpectedAlert(_Strict, frozen=True):
    """One alert that shall fire; a null is the empty text."""

    exp_labels: dict[str, str | None] = {}
    exp_annotations: dict[str, str | None] = {}


class AlertTest(_Strict, frozen=True):
    """What shall fire under a name at a time."""

    eval_time: str = "0"
    alertname: str = ""
    exp_alerts: list[ExpectedAlert] = []


class Sample(_Strict, frozen=True):
    """One element that shall be found. `value` is as it is written, in quotes where it stands in quotes."""

    labels: str = ""
    value: str = "0"


class ExprTest(_Strict, frozen=True):
    """What an expression shall be at a time."""

    expr: str = ""
    eval_time: str = "0"
    exp_samples: list[Sample] = []


class UnitTest(_Strict, frozen=True):
    """One test: series and what the rules make of them."""

    interval: str = "0"
    input_series: list[Series] = []
    alert_rule_test: list[AlertTest] = []
    promql_expr_test: list[ExprTest] = []
    external_labels: dict[str, str | None] = {}
    external_url: str = ""
    name: str = ""


class UnitFile(_Strict, frozen=True):
    """One file of tests."""

    rule_files: list[str] = []
    evaluation_interval: str = "0"
    group_eval_order: list[str] = []
    tests: list[UnitTest] = []
    fuzzy_compare: bool = False


class _Texts(yaml.SafeLoader):
    """YAML whose scalars stay as they are written, but for null: as Go reads them into strings."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping without repeated keys."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: {key.value} is set twice")
            seen.add(key.value if isinstance(key, ScalarNode) else "")
        return super().construct_mapping(node, deep)


_Texts.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path: str) -> UnitFile:
    """The file. Raises UnitTestError."""
    try:
        loader = _Texts(Path(path).read_text(encoding="utf-8"))
        root = loader.get_node() if loader.check_node() else None
        for node in () if root is None else _at(root, _VALUES):
            if isinstance(node, ScalarNode) and node.style:
                node.value = f"'{node.value}'"
        tree = None if root is None else loader.construct_document(root)
        return msgspec.convert({} if tree is None else _without_nulls(tree), UnitFile, strict=False)
    except OSError as err:
        raise UnitTestError(f"{path}: {err.strerror or type(err).__name__}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as err:
        raise UnitTestError(f"{path}: not YAML: {' '.join(str(err).split())}") from None
    except msgspec.ValidationError as err:
        raise UnitTestError(f"{path}: {err}") from None


def _at(node: Node, path: tuple[str, ...]) -> Iterator[Node]:
    """The nodes under these keys, in every item of lists on the way."""
    if isinstance(node, SequenceNode):
        for item in node.value:
            yield from _at(item, path)
    elif not path:
        yield node
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            if key.value == path[0]:
                yield from _at(value, path[1:])


def _without_nulls(tree: Any) -> Any:
    """What is null is as if it were not there; an item of a list is empty then."""
    if isinstance(tree, list):
        return [{} if item is None else _without_nulls(item) for item in tree]
    if isinstance(tree, dict):
        return {
            key: value if key in _TEXT_MAPS else _without_nulls(value)
            for key, value in tree.items()
            if value is not None
        }
    return tree


def duration_ms(text: str, where: str) -> int:
    """A duration. Raises UnitTestError."""
    try:
        return parse_duration(text)
    except ValueError as err:
        raise UnitTestError(f"{where}: {err}") from None


def number(text: str) -> float:
    """A YAML number. Raises ValueError."""
    plain = text.replace("_", "")
    if _WORD.fullmatch(text):
        return float(text.replace(".", ""))
    if (match := _INTEGER.fullmatch(plain)) is not None:
        digits = match["digits"]
        base = {"b": 2, "x": 16, "o": 8}.get(digits[1:2], 8)
        return float(int(match["sign"] + digits.removeprefix("0b").removeprefix("0x").removeprefix("0o"), base))
    if _FLOAT.fullmatch(plain):
        return float(plain)
    raise ValueError(f"value {text}: must be a number")
