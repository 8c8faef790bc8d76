"""Names as Datadog keeps them. Source: docs.datadoghq.com, Getting started with tags; Metrics, Naming."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MOST_CHARACTERS = 200

_NOT_IN_METRIC = re.compile(r"[^a-zA-Z0-9_.]+")
_SEPARATORS = re.compile(r"_{2,}")


def tag(name: str, value: str) -> str:
    """`name:value` in lower case, other characters than letters, digits and `_-:./` as `_`; "" if nothing is left.

    It starts with a letter, holds no run of underscores and does not end in one.
    """
    text = f"{name}:{value}".lower()
    text = "".join(char if char.isalnum() or char in "_-:./" else "_" for char in text)
    start = next((i for i, char in enumerate(text) if char.isalpha()), len(text))
    return _SEPARATORS.sub("_", text[start:])[:MOST_CHARACTERS].rstrip("_:")


def tags(*groups: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[str]:
    """The tags of labels, each once, in order."""
    pairs = [pair for group in groups for pair in (group.items() if isinstance(group, Mapping) else group)]
    return list(dict.fromkeys(text for name, value in pairs if (text := tag(name, value))))


def metric(name: str) -> str:
    """A metric's name: ASCII letters, digits, `_` and `.`, starting with a letter."""
    text = _SEPARATORS.sub("_", _NOT_IN_METRIC.sub("_", name))
    return text.lstrip("0123456789_.")[:MOST_CHARACTERS].rstrip("_")
