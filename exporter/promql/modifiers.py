"""What `[…]`, `offset` and `@` do to the expression before them.

Source: prometheus/promql/parser/parse.go, addOffset, setTimestamp, getAtModifierVars.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeAlias

from exporter.promql.ast import (
    At,
    AtEdge,
    DurationExpr,
    Expr,
    Length,
    MatrixSelector,
    Span,
    Subquery,
    VectorSelector,
)
from exporter.promql.errors import ParseError

_ONLY_SELECTORS = "must be preceded by an instant vector selector or range vector selector or a subquery"


Duration: TypeAlias = tuple[int, DurationExpr | None]
"""Milliseconds, and the expression that will say how many once the query's step and range are known."""


def duration_of(length: Length) -> Duration:
    """Whole milliseconds of a length in seconds, cut towards zero as Go cuts its nanoseconds."""
    if isinstance(length, DurationExpr):
        return 0, length
    return (math.trunc(round(length.value * 1e9) / 1e6) if math.isfinite(length.value) else 0), None


def ranged(expr: Expr, length: Duration, start: int, end: int, query: str) -> MatrixSelector:
    """`expr[range]`."""
    if not isinstance(expr, VectorSelector):
        raise ParseError("ranges only allowed for vector selectors", start, query)
    if expr.offset_ms or expr.offset_expr is not None:
        raise ParseError("no offset modifiers allowed before range", start, query)
    if expr.at is not None:
        raise ParseError("no @ modifiers allowed before range", start, query)
    return MatrixSelector(expr, *length, span=Span(expr.span.start, end))


def add_offset(expr: Expr, offset: Duration, end: int, query: str) -> Expr:
    """`expr offset …`."""
    selector = _selector(expr)
    if selector is None:
        raise ParseError(f"offset modifier {_ONLY_SELECTORS}", expr.span.start, query)
    if selector.offset_ms or selector.offset_expr is not None:
        raise ParseError("offset may not be set multiple times", expr.span.start, query)
    return _with(expr, replace(selector, offset_ms=offset[0], offset_expr=offset[1]), end)


def at_edge(word: str) -> AtEdge:
    """The edge that `start` or `end` names."""
    return AtEdge(word)


def add_at(expr: Expr, when: float | AtEdge, end: int, query: str) -> Expr:
    """`expr @ seconds`, `expr @ start()`."""
    start = expr.span.start
    at: At = when if isinstance(when, AtEdge) else _timestamp_ms(when, start, query)
    selector = _selector(expr)
    if selector is None:
        raise ParseError(f"@ modifier {_ONLY_SELECTORS}", start, query)
    if selector.at is not None:
        raise ParseError("@ <timestamp> may not be set multiple times", start, query)
    return _with(expr, replace(selector, at=at), end)


def _timestamp_ms(seconds: float, start: int, query: str) -> int:
    if not abs(seconds) < 2.0**63:
        shown = f"{seconds:+f}" if math.isinf(seconds) else f"{seconds:f}"
        shown = {"+inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(shown, shown)
        raise ParseError(f"timestamp out of bounds for @ modifier: {shown}", start, query)
    scaled = seconds * 1000
    return int(math.copysign(math.floor(abs(scaled) + 0.5), scaled))


def _selector(expr: Expr) -> VectorSelector | Subquery | None:
    """The node that carries the modifiers of this expression, if it can have any."""
    if isinstance(expr, MatrixSelector):
        return expr.selector
    return expr if isinstance(expr, VectorSelector | Subquery) else None


def _with(expr: Expr, selector: VectorSelector | Subquery, end: int) -> Expr:
    if isinstance(expr, MatrixSelector) and isinstance(selector, VectorSelector):
        return replace(expr, selector=selector, span=Span(expr.span.start, end))
    return replace(selector, span=Span(selector.span.start, end))
