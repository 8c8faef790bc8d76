"""Rule files: Prometheus' YAML, read strictly, every mistake with its place.

Accepted are Prometheus' own files and Kubernetes PrometheusRule objects, whose groups stand under `spec`.
Source: prometheus/model/rulefmt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from alerter.rules.rules import AlertRule, Group, Mistake, RecordRule, Rule, RuleFile, RuleFileError
from exporter.duration import parse_duration
from exporter.model import METRIC_NAME, Labels

_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
_BAD_UTF8 = re.compile("[\ud800-\udfff]")
_PLACE = re.compile(r"(?P<line>\d+):(?P<column>\d+): ")
MAX_FILE_BYTES = 16 << 20

T = TypeVar("T")
Check = Callable[[str], None]
"""Raises ValueError where a text is not what it should be; PromQL's message starts with `line:column: `."""


@dataclass(frozen=True, slots=True)
class Language:
    """What rule texts are written in: `expression` checks PromQL, `template(rule's name, text)` Go templates."""

    expression: Check
    template: Callable[[str, str], None]


def load(paths: Sequence[str], language: Language, interval_s: float) -> tuple[Group, ...]:
    """The groups of all files, in the given order. Raises RuleFileError with every mistake of every file."""
    files = [read(path, language, interval_s) for path in paths]
    if mistakes := [mistake for file in files for mistake in file.mistakes]:
        raise RuleFileError(mistakes)
    return tuple(group for file in files for group in file.groups)


def read(path: str, language: Language, interval_s: float) -> RuleFile:
    """One file, or what is wrong with it. `interval_s` is for groups that name none."""
    try:
        raw = Path(path).read_bytes()
    except OSError as err:
        return RuleFile(path, mistakes=(Mistake(path, 0, 0, err.strerror or type(err).__name__),))
    if len(raw) > MAX_FILE_BYTES:
        return RuleFile(path, mistakes=(Mistake(path, 0, 0, f"{len(raw)} bytes: at most {MAX_FILE_BYTES}"),))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = raw[: err.start].count(b"\n") + 1
        return RuleFile(path, mistakes=(Mistake(path, line, 1, "not UTF-8 text"),))
    return parse(text, path, language, interval_s)


def parse(text: str, path: str, language: Language, interval_s: float) -> RuleFile:
    """The groups in a file's text, or what is wrong with it."""
    reader = _Reader(path, text, language, interval_s)
    try:
        documents = list(yaml.compose_all(text, _Loader))
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        return RuleFile(path, mistakes=(Mistake(path, line, column, f"yaml: {_yaml_reason(err)}"),))
    except RecursionError:
        return RuleFile(path, mistakes=(Mistake(path, 0, 0, "yaml: nested too deeply"),))
    groups = reader.file(documents)
    mistakes = tuple(sorted(reader.mistakes, key=lambda mistake: (mistake.line, mistake.column)))
    return RuleFile(path, () if mistakes else groups, mistakes)


def _yaml_reason(err: yaml.YAMLError) -> str:
    problem = getattr(err, "problem", None) or getattr(err, "reason", None) or "not YAML"
    context = getattr(err, "context", None)
    return f"{context}: {problem}" if context else str(problem)


@dataclass(slots=True)
class _Fields:
    """A mapping's values by key; the place of the mapping itself for what is missing."""

    node: Node
    values: dict[str, Node]

    def get(self, key: str) -> Node | None:
        return self.values.get(key)


class _Reader:
    """Reads nodes into rules and notes every mistake on the way."""

    def __init__(self, path: str, text: str, language: Language, interval_s: float) -> None:
        self.path = path
        self.lines = text.splitlines()
        self.language = language
        self.interval_s = interval_s
        self.mistakes: list[Mistake] = []

    def wrong(self, node: Node, message: str, *, line: int = 0, column: int = 0) -> None:
        mark = node.start_mark
        self.mistakes.append(Mistake(self.path, line or mark.line + 1, column or mark.column + 1, message))

    # -- the file ---------------------------------------------------------------------------------

    def file(self, documents: Sequence[Node | None]) -> tuple[Group, ...]:
        """The groups of the first document. A second one would be ignored by Prometheus: that is a mistake."""
        root = documents[0] if documents else None
        for extra in documents[1:]:
            if extra is not None and extra.tag != _NULL:
                self.wrong(extra, "a second YAML document: a rule file is one document")
        if root is None or root.tag == _NULL:
            return ()
        if isinstance(root, MappingNode) and _is_kubernetes(root):
            return self._kubernetes(root)
        return self._groups(self._fields(root, "rule file", ("groups",)))

    def _kubernetes(self, root: MappingNode) -> tuple[Group, ...]:
        spec = next((value for key, value in root.value if key.value == "spec"), None)
        if spec is None:
            self.wrong(root, "PrometheusRule: field spec is missing")
            return ()
        return self._groups(self._fields(spec, "spec", ("groups",)))

    def _groups(self, fields: _Fields) -> tuple[Group, ...]:
        seen: set[str] = set()
        groups = []
        for node in self._sequence(fields.get("groups"), "groups"):
            group = self._group(node)
            if group.name and group.name in seen:
                self.wrong(node, f"groupname: {_quoted(group.name)} is repeated in the same file")
            seen.add(group.name)
            groups.append(group)
        return tuple(groups)

    def _group(self, node: Node) -> Group:
        known = ("name", "interval", "limit", "query_offset", "labels", "rules", "partial_response_strategy")
        fields = self._fields(node, "group", known)
        name = self._string(fields.get("name"))
        where = f"group '{name}'"
        if not name:
            self.wrong(node, "group: field name must be set")
        labels = self._map(fields.get("labels"), f"{where}: labels")
        self._check_label_names(fields.get("labels"), where)
        rules = [self._rule(item, where, labels) for item in self._sequence(fields.get("rules"), f"{where}: rules")]
        return Group(
            name=name,
            file=self.path,
            interval_s=self._duration(fields.get("interval"), where) or self.interval_s,
            rules=tuple(rule for rule in rules if rule is not None),
            limit=self._whole_number(fields.get("limit"), f"{where}: limit"),
            query_offset_s=self._duration(fields.get("query_offset"), where),
            labels=_labels(labels),
        )

    # -- one rule ---------------------------------------------------------------------------------

    def _rule(self, node: Node, where: str, group_labels: Mapping[str, str]) -> Rule | None:
        known = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")
        fields = self._fields(node, f"{where}: rule", known)
        alert, record = self._string(fields.get("alert")), self._string(fields.get("record"))
        if bool(alert) == bool(record):
            rule = "only one of 'record' and 'alert' must be set" if alert else "one of 'record' or 'alert' must be set"
            self.wrong(fields.get("record") or node, f"{where}: {rule}")
            return None
        where = f"{where}: {'alert' if alert else 'record'} '{alert or record}'"
        expr = self._expression(fields, where)
        labels = {**group_labels, **self._map(fields.get("labels"), f"{where}: labels")}
        self._check_label_names(fields.get("labels"), where)
        line = node.start_mark.line + 1
        if record:
            self._check_record(fields, record, where)
            return RecordRule(record, expr, _labels(labels), line)
        return AlertRule(
            name=alert,
            expr=expr,
            for_s=self._duration(fields.get("for"), where),
            keep_firing_for_s=self._duration(fields.get("keep_firing_for"), where),
            labels=_labels(self._templates(fields.get("labels"), labels, alert, f"{where}: label")),
            annotations=_labels(self._annotations(fields, alert, where)),
            line=line,
        )

    def _expression(self, fields: _Fields, where: str) -> str:
        node = fields.get("expr")
        expr = self._string(node)
        if node is None or not expr.strip():
            self.wrong(node or fields.node, f"{where}: field 'expr' must be set in rule")
            return ""
        try:
            self.language.expression(expr)
        except ValueError as err:
            line, column = self._inside(node, str(err))
            self.wrong(node, f"{where}: expr: {err}", line=line, column=column)
        return expr

    def _annotations(self, fields: _Fields, alert: str, where: str) -> dict[str, str]:
        node = fields.get("annotations")
        annotations = self._map(node, f"{where}: annotations")
        self._check_label_names(node, where, what="annotation")
        return self._templates(node, annotations, alert, f"{where}: annotation")

    def _check_record(self, fields: _Fields, record: str, where: str) -> None:
        for name in ("for", "keep_firing_for", "annotations"):
            if (node := fields.get(name)) is not None:
                self.wrong(node, f"{where}: invalid field '{name}' in recording rule")
        if "{" in record or "}" in record:
            rule = "braces present in the recording rule name; should it be in expr?"
            self.wrong(fields.get("record") or fields.node, f"{where}: {rule}")

    def _templates(self, node: Node | None, texts: dict[str, str], alert: str, where: str) -> dict[str, str]:
        """The texts, each of those that stand in the node checked as a template."""
        for key, value in _pairs(node):
            text = texts.get(key.value, "")
            try:
                self.language.template(alert, text)
            except ValueError as err:
                self.wrong(value, f"{where} {_quoted(key.value)}: {err}")
        return texts

    def _check_label_names(self, node: Node | None, where: str, what: str = "label") -> None:
        for key, value in _pairs(node):
            name = key.value
            if not name or _BAD_UTF8.search(name) or (what == "label" and name == METRIC_NAME):
                self.wrong(key, f"{where}: invalid {what} name: {_quoted(name)}")
            if isinstance(value, ScalarNode) and _BAD_UTF8.search(value.value):
                self.wrong(value, f"{where}: invalid {what} value of {_quoted(name)}: not UTF-8")

    # -- values -----------------------------------------------------------------------------------

    def _fields(self, node: Node, where: str, known: Sequence[str]) -> _Fields:
        """A mapping's values by key; unknown and repeated keys are mistakes."""
        if not isinstance(node, MappingNode):
            self.wrong(node, f"{where}: must be a mapping, not {_kind(node)}")
            return _Fields(node, {})
        values: dict[str, Node] = {}
        for key, value in _merged(node):
            if key.value not in known:
                self.wrong(key, f"{where}: field {key.value} not found; known are {', '.join(known[:7])}")
            elif key.value in values:
                self.wrong(key, f"{where}: key {_quoted(key.value)} is set twice")
            elif value.tag != _NULL:
                values[key.value] = value
        return _Fields(node, values)

    def _sequence(self, node: Node | None, where: str) -> Sequence[Node]:
        if node is None:
            return ()
        if not isinstance(node, SequenceNode):
            self.wrong(node, f"{where}: must be a list, not {_kind(node)}")
            return ()
        items: list[Node] = node.value
        return items

    def _string(self, node: Node | None) -> str:
        if node is None:
            return ""
        if not isinstance(node, ScalarNode):
            self.wrong(node, f"must be a text, not {_kind(node)}")
            return ""
        return str(node.value)

    def _map(self, node: Node | None, where: str) -> dict[str, str]:
        """Texts by name, as Go's map[string]string takes them: a null is the empty text."""
        if node is not None and not isinstance(node, MappingNode):
            self.wrong(node, f"{where}: must be a mapping, not {_kind(node)}")
        texts: dict[str, str] = {}
        for key, value in _pairs(node):
            if key.value in texts:
                self.wrong(key, f"{where}: key {_quoted(key.value)} is set twice")
            if not isinstance(value, ScalarNode):
                self.wrong(value, f"{where}: {_quoted(key.value)} must be a text, not {_kind(value)}")
                continue
            texts[key.value] = "" if value.tag == _NULL else str(value.value)
        return texts

    def _duration(self, node: Node | None, where: str) -> float:
        text = self._string(node)
        if node is None or not isinstance(node, ScalarNode):
            return 0.0
        try:
            return parse_duration(text) / 1_000
        except ValueError as err:
            reason = str(err).split(":", maxsplit=1)[0]
            self.wrong(node, f"{where}: duration '{text}': {reason}")
            return 0.0

    def _whole_number(self, node: Node | None, where: str) -> int:
        text = self._string(node)
        if node is None:
            return 0
        try:
            return int(text)
        except ValueError:
            self.wrong(node, f"{where} '{text}': must be a whole number")
            return 0

    def _inside(self, node: Node, message: str) -> tuple[int, int]:
        """The file's line and column of a message that starts with a place in the node's text."""
        match = _PLACE.search(message)
        if match is None or not isinstance(node, ScalarNode):
            return 0, 0
        line, column = int(match["line"]), int(match["column"])
        texts = node.value.rstrip("\n").split("\n")
        if line > len(texts):  # after the end: that of the last line is to be seen
            line, column = len(texts), len(texts[-1]) + 1
        first = node.start_mark.line
        if node.style == "|":
            return first + line + 1, self._indent(first + 1) + column
        if node.end_mark.line == first and node.style != ">":
            return first + 1, node.start_mark.column + column + (1 if node.style else 0)
        if node.style == '"' or len(texts) > 1:
            return 0, 0
        return self._folded(node, column)

    def _indent(self, first: int) -> int:
        """How far the first line that is not empty from `first` on is indented."""
        return next((len(text) - len(text.lstrip(" ")) for text in self.lines[first:] if text.strip()), 0)

    def _folded(self, node: ScalarNode, column: int) -> tuple[int, int]:
        """The place in the file of a character of a text that was written on several lines and read as one."""
        row = node.start_mark.line
        start = node.start_mark.column + (1 if node.style == "'" else 0)
        if node.style == ">":
            row += 1
            start = self._indent(row)
        left = column - 1
        for number in range(row, min(node.end_mark.line + 1, len(self.lines))):
            text = self.lines[number][start:].rstrip()
            if text and left <= len(text):
                return number + 1, start + left + 1
            left -= len(text) + 1 if text else 0
            following = self.lines[number + 1] if number + 1 < len(self.lines) else ""
            start = start if node.style == ">" else len(following) - len(following.lstrip())
        return 0, 0


def _is_kubernetes(root: MappingNode) -> bool:
    return any(key.value == "kind" and value.value == "PrometheusRule" for key, value in root.value)


def _pairs(node: Node | None) -> Iterator[tuple[ScalarNode, Node]]:
    if isinstance(node, MappingNode):
        yield from _merged(node)


def _merged(node: MappingNode) -> Iterator[tuple[ScalarNode, Node]]:
    """The pairs of a mapping; what `<<` merges in comes last and never replaces a key of its own."""
    own = {key.value for key, _ in node.value if isinstance(key, ScalarNode) and key.tag != _MERGE}
    for key, value in node.value:
        if key.tag != _MERGE and isinstance(key, ScalarNode):
            yield key, value
    for key, value in node.value:
        if key.tag != _MERGE:
            continue
        for source in value.value if isinstance(value, SequenceNode) else [value]:
            if not isinstance(source, MappingNode) or source is node:
                continue
            for name, inner in _merged(source):
                if name.value not in own:
                    own.add(name.value)
                    yield name, inner


def _labels(texts: Mapping[str, str]) -> Labels:
    return tuple(sorted(texts.items()))


def _kind(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    return "nothing" if node.tag == _NULL else f"the text '{node.value}'"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
