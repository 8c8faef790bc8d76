"""An expression in two: what a datasource can be asked as it is, and the rest over those answers.

    job:cpu:avg > on (server) (cpu_limit * 0.9)
    asked of the datasource     (cpu_limit * 0.9)
    worked out here             job:cpu:avg > on (server) __asked__{part="0"}

Each part is the largest that reads nothing that the rules make. What stands in a subquery is never a part of its
own, because it is needed at other times.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from exporter.model import METRIC_NAME, Matcher, MatchType
from exporter.promql.ast import (
    Aggregation,
    AtEdge,
    Binary,
    Call,
    Expr,
    Paren,
    Subquery,
    Unary,
    VectorSelector,
    walk,
)
from exporter.promql.parser import parse
from exporter.promql.signatures import ValueType

ASKED = "__asked__"
PART = "part"


@dataclass(frozen=True, slots=True)
class Split:
    """`rest` over the answers to `parts`; where nothing of the expression is made here, `rest` is "" and it is the
    only part. `only_at_once`: its value at an instant is not that of a range query at that step.
    """

    rest: str
    parts: tuple[str, ...]
    only_at_once: bool = False


def split(text: str, made: Collection[str]) -> Split:
    """Split a valid expression by the names of the metrics that are made here."""
    expr = parse(text)
    at_once = any(isinstance(each, VectorSelector | Subquery) and isinstance(each.at, AtEdge) for each in walk(expr))
    if not reads(expr, made):
        return Split("", (text,), at_once)
    parts: list[str] = []
    return Split(str(_rest(expr, frozenset(made), parts)), tuple(parts), at_once)


def reads(expr: Expr, made: Collection[str]) -> bool:
    """Whether the expression may read any of these metrics."""
    return any(isinstance(node, VectorSelector) and _may_name(node, made) for node in walk(expr))


def _may_name(selector: VectorSelector, made: Collection[str]) -> bool:
    named = [matcher for matcher in selector.matchers if matcher.name == METRIC_NAME]
    return any(all(matcher.matches(name) for matcher in named) for name in made)


def _rest(expr: Expr, made: frozenset[str], parts: list[str]) -> Expr:
    """The expression with its parts replaced; the texts of those are appended to `parts`."""
    if not reads(expr, made) and expr.type is ValueType.VECTOR:
        return _asked(expr, parts)
    match expr:
        case Paren() | Unary():
            return dataclasses.replace(expr, expr=_rest(expr.expr, made, parts))
        case Binary():
            return _chained(expr, made, parts)
        case Aggregation():
            param = None if expr.param is None else _rest(expr.param, made, parts)
            return dataclasses.replace(expr, expr=_rest(expr.expr, made, parts), param=param)
        case Call():
            return dataclasses.replace(expr, args=tuple(_rest(arg, made, parts) for arg in expr.args))
        case _:  # selectors of made series, and subqueries over them
            return expr


def _chained(expr: Binary, made: frozenset[str], parts: list[str]) -> Expr:
    """A chain of operations: as much of its beginning as is one part, then each operand by itself."""
    first, chain = expr.spine()
    whole: Expr = first
    length = 0
    if not reads(first, made):
        length = next((i for i, node in enumerate(chain) if reads(node.right, made)), len(chain))
        length = max((i + 1 for i in range(length) if chain[i].type is ValueType.VECTOR), default=0)
        whole = chain[length - 1] if length else first
    rest = _rest(whole, made, parts)
    for node in chain[length:]:
        rest = dataclasses.replace(node, left=rest, right=_rest(node.right, made, parts))
    return rest


def _asked(expr: Expr, parts: list[str]) -> Expr:
    parts.append(str(expr))
    return _selector(len(parts) - 1)


@cache
def _selector(part: int) -> VectorSelector:
    name = Matcher(MatchType.EQUAL, METRIC_NAME, ASKED)
    return VectorSelector(ASKED, (Matcher(MatchType.EQUAL, PART, str(part)), name))
