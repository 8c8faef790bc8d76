"""Label sets taken apart and put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from exporter.model import METRIC_NAME, Labels, Matcher, MatchType
from exporter.promql.ast import format_matcher

_METADATA = frozenset((METRIC_NAME, "__type__", "__unit__"))


def value_of(labels: Labels, name: str) -> str:
    """The label's value; "" when it is absent."""
    for key, value in labels:
        if key == name:
            return value
    return ""


def metric_name(labels: Labels) -> str:
    """The value of `__name__`; "" when it is absent."""
    return value_of(labels, METRIC_NAME)


def without_metadata(labels: Labels) -> Labels:
    """Without the metric's name, type and unit. Source: prometheus/schema, IsMetadataLabel."""
    if labels and labels[0][0] == METRIC_NAME and (len(labels) == 1 or labels[1][0] not in _METADATA):
        return labels[1:]
    return tuple(pair for pair in labels if pair[0] not in _METADATA)


def keeper(names: Iterable[str]) -> Callable[[Labels], Labels]:
    """A function that keeps the labels with these names."""
    kept = frozenset(names)
    return lambda labels: tuple(pair for pair in labels if pair[0] in kept)


def dropper(names: Iterable[str]) -> Callable[[Labels], Labels]:
    """A function that drops the labels with these names."""
    dropped = frozenset(names)
    return lambda labels: tuple(pair for pair in labels if pair[0] not in dropped)


def with_label(labels: Labels, name: str, value: str) -> Labels:
    """With one label set; an empty value removes it."""
    others = [pair for pair in labels if pair[0] != name]
    if not value:
        return tuple(others)
    others.append((name, value))
    return tuple(sorted(others))


def groups_of(keys: Sequence[Labels]) -> tuple[list[int], list[int]]:
    """For each key the number of its group, and for each group its first member; in order of appearance."""
    numbers: dict[Labels, int] = {}
    codes: list[int] = []
    firsts: list[int] = []
    for i, key in enumerate(keys):
        number = numbers.get(key)
        if number is None:
            number = numbers[key] = len(firsts)
            firsts.append(i)
        codes.append(number)
    return codes, firsts


def format_labelset(labels: Labels) -> str:
    """`{a="1", b="2"}`, as Prometheus' messages show a label set."""
    return "{" + ", ".join(format_matcher(Matcher(MatchType.EQUAL, name, value)) for name, value in labels) + "}"
