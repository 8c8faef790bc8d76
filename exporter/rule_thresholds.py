"""Which values matter to the loaded rules: no value is ever left out across one of them."""

from __future__ import annotations

import json
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping

from exporter.promql.ast import Binary, Expr, VectorSelector, walk
from exporter.promql.constant import constant
from exporter.promql.errors import ParseError
from exporter.promql.parser import parse

_COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
_TIMEOUT_S = 5.0


def thresholds(queries: Iterable[str]) -> dict[str, tuple[float, ...]]:
    """The numbers that metrics are compared with in these queries, by metric; queries that do not parse are none."""
    found: defaultdict[str, set[float]] = defaultdict(set)
    for query in queries:
        try:
            tree = parse(query)
        except ParseError:
            continue
        for metric, value in _compared(tree):
            found[metric].add(value)
    return {metric: tuple(sorted(values)) for metric, values in found.items()}


def _compared(tree: Expr) -> Iterable[tuple[str, float]]:
    for part in walk(tree):
        if isinstance(part, Binary) and part.op in _COMPARISONS:
            for one, other in ((part.left, part.right), (part.right, part.left)):
                value = constant(one)
                if value is not None:
                    yield from ((each.name, value) for each in walk(other) if isinstance(each, VectorSelector))


def of_alerter(url: str) -> Mapping[str, tuple[float, ...]]:
    """The thresholds of the rules that the alerter at this URL has loaded. Blocks; raises OSError or ValueError."""
    with urllib.request.urlopen(f"{url.rstrip('/')}/api/v1/rules", timeout=_TIMEOUT_S) as answer:  # noqa: S310 (http)
        groups = json.load(answer)["data"]["groups"]
    return thresholds(rule["query"] for group in groups for rule in group["rules"])
