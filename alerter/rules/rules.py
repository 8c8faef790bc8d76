"""The words of rule files: groups, alerting and recording rules, and the mistakes files can have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from exporter.model import Labels


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An alerting rule. Durations are seconds; label and annotation texts are templates."""

    name: str
    expr: str
    for_s: float = 0.0
    keep_firing_for_s: float = 0.0
    labels: Labels = ()
    annotations: Labels = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class RecordRule:
    """A recording rule: the series `name` with `labels` set on every element of `expr`."""

    name: str
    expr: str
    labels: Labels = ()
    line: int = 0


Rule: TypeAlias = AlertRule | RecordRule


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other at the same instants. Durations are seconds.

    `limit` 0 means none. `labels` are already merged into the rules.
    """

    name: str
    file: str
    interval_s: float
    rules: tuple[Rule, ...]
    limit: int = 0
    query_offset_s: float = 0.0
    labels: Labels = ()

    @property
    def key(self) -> str:
        """What names the group among all files. Source: prometheus/rules/group.go, GroupKey."""
        return f"{self.file};{self.name}"


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong at one place of a file. Lines and columns count from 1; 0 means unknown."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        """One line: place, then what is wrong there."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class RuleFileError(Exception):
    """Rule files cannot be used. All their mistakes, in the order of the files' lines."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        first, more = mistakes[0], len(mistakes) - 1
        super().__init__(f"{first} (and {more} more)" if more else str(first))
        self.mistakes = tuple(mistakes)


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One rule file that was read: its groups, or what is wrong with it."""

    path: str
    groups: tuple[Group, ...] = ()
    mistakes: tuple[Mistake, ...] = field(default=())


def rule_keys(group: Group) -> list[str]:
    """A name for each rule of a group that survives edits elsewhere in the file.

    It is made of the group, the rule's name and its labels; equal ones are numbered in file order.
    Source: prometheus/rules/group.go, CopyState.
    """
    seen: dict[str, int] = {}
    keys = []
    for rule in group.rules:
        labels = ",".join(f"{name}={value!r}" for name, value in rule.labels)
        base = f"{group.key};{rule.name};{{{labels}}}"
        number = seen[base] = seen.get(base, -1) + 1
        keys.append(f"{base};{number}" if number else base)
    return keys
