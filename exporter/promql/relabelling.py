"""label_replace and label_join: they look at labels only.

Source: prometheus/promql/functions.go, evalLabelReplace and evalLabelJoin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from exporter.model import METRIC_NAME, Labels, compile_regex
from exporter.promql.errors import ExecutionError
from exporter.promql.labelsets import value_of, with_label
from exporter.promql.series import Series, merged

_REFERENCE = re.compile(r"\$(?:\$|(?P<bare>\w+)|\{(?P<braced>\w+)\})")


def label_replace(series: Series, target: str, template: str, source: str, pattern: str) -> Series:
    """`target` set to the template, expanded, where the pattern matches the whole of `source`."""
    try:
        regex = compile_regex(pattern)
    except ValueError:
        raise ExecutionError(f"invalid regular expression in label_replace(): {pattern}") from None
    if not is_label_name(target):
        raise ExecutionError(f"invalid destination label name in label_replace(): {target}")
    expanded: dict[str, str | None] = {}

    def relabelled(labels: Labels) -> Labels:
        value = value_of(labels, source)
        if value not in expanded:
            match = regex.fullmatch(value)
            expanded[value] = None if match is None else expand(template, match)
        new = expanded[value]
        return labels if new is None else with_label(labels, target, new)

    return _relabelled(series, relabelled, target)


def label_join(series: Series, target: str, separator: str, sources: Sequence[str]) -> Series:
    """`target` set to the values of the sources, joined."""
    for source in sources:
        if not is_label_name(source):
            raise ExecutionError(f"invalid source label name in label_join(): {source}")
    if not is_label_name(target):
        raise ExecutionError(f"invalid destination label name in label_join(): {target}")

    def relabelled(labels: Labels) -> Labels:
        values = dict(labels)
        return with_label(labels, target, separator.join(values.get(source, "") for source in sources))

    return _relabelled(series, relabelled, target)


def _relabelled(series: Series, change: Callable[[Labels], Labels], target: str) -> Series:
    labels = [change(own) for own in series.labels]
    drop_name = series.drop_name
    if target == METRIC_NAME:  # the name that was written stays
        changed = [new is not old for new, old in zip(labels, series.labels, strict=True)]
        drop_name = drop_name.copy()
        drop_name[changed] = False
    return merged(replace(series, labels=labels, drop_name=drop_name))


def expand(template: str, match: Any) -> str:
    """The template with `$1`, `${1}`, `$name` and `${name}` filled in; what is not there is empty; `$$` is `$`.

    Source: Go's regexp, Expand.
    """

    def reference(found: re.Match[str]) -> str:
        name = found["bare"] or found["braced"]
        if name is None:
            return "$"
        try:
            return match.group(int(name) if name.isdecimal() else name) or ""
        except (IndexError, KeyError, ValueError):
            return ""

    return _REFERENCE.sub(reference, template)


def is_label_name(name: str) -> bool:
    """Any UTF-8 text but the empty one."""
    return bool(name) and not any(0xD800 <= ord(char) < 0xE000 for char in name)
