"""Lengths of time that depend on the query's step and range, worked out before it is evaluated.

Source: prometheus/promql/durations.go.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from exporter.promql.ast import (
    Aggregation,
    Binary,
    Call,
    DurationExpr,
    Expr,
    Length,
    MatrixSelector,
    NumberLiteral,
    Paren,
    Subquery,
    Unary,
    VectorSelector,
    walk,
)
from exporter.promql.errors import ExecutionError

_LONGEST_S = (1 << 63) / 1e9


@dataclass(frozen=True, slots=True)
class Durations:
    """step_s, range_s: what `step()` and `range()` stand for, in seconds."""

    step_s: float
    range_s: float

    def resolved(self, expr: Expr) -> Expr:
        """The tree with every length a number. Raises ExecutionError for a length that cannot be."""
        return self._tree(expr) if any(_has_expression(node) for node in walk(expr)) else expr

    def _tree(self, expr: Expr) -> Expr:
        match expr:
            case VectorSelector():
                return self._selector(expr)
            case MatrixSelector():
                range_ms = self._length_ms(expr.range_expr, expr.range_ms)
                return replace(expr, selector=self._selector(expr.selector), range_ms=range_ms, range_expr=None)
            case Subquery():
                return self._subquery(expr)
            case Paren() | Unary():
                return replace(expr, expr=self._tree(expr.expr))
            case Binary():
                return self._chain(expr)
            case Aggregation():
                param = None if expr.param is None else self._tree(expr.param)
                return replace(expr, expr=self._tree(expr.expr), param=param)
            case Call():
                return replace(expr, args=tuple(self._tree(arg) for arg in expr.args))
            case _:
                return expr

    def _chain(self, expr: Binary) -> Expr:
        first, chain = expr.spine()
        left = self._tree(first)
        for node in chain:
            left = replace(node, left=left, right=self._tree(node.right))
        return left

    def _selector(self, expr: VectorSelector) -> VectorSelector:
        offset_ms = self._length_ms(expr.offset_expr, expr.offset_ms, may_be_negative=True)
        return replace(expr, offset_ms=offset_ms, offset_expr=None)

    def _subquery(self, expr: Subquery) -> Subquery:
        return replace(
            expr,
            expr=self._tree(expr.expr),
            offset_ms=self._length_ms(expr.offset_expr, expr.offset_ms, may_be_negative=True),
            offset_expr=None,
            step_ms=self._length_ms(expr.step_expr, expr.step_ms),
            step_expr=None,
            range_ms=self._length_ms(expr.range_expr, expr.range_ms),
            range_expr=None,
        )

    def _length_ms(self, expr: DurationExpr | None, known_ms: int, *, may_be_negative: bool = False) -> int:
        if expr is None:
            return known_ms
        seconds = self._seconds(expr)
        if not math.isfinite(seconds):
            raise _error(expr, "duration is NaN or infinite")
        if seconds <= 0 and not may_be_negative:
            raise _error(expr, "duration must be greater than 0")
        if abs(seconds) > _LONGEST_S:
            raise _error(expr, "duration is out of range")
        return math.trunc(seconds * 1000)

    def _seconds(self, length: Length | None) -> float:
        if length is None:
            return 0.0
        if isinstance(length, NumberLiteral):
            return length.value
        if length.op in ("step", "range"):
            return self.step_s if length.op == "step" else self.range_s
        return _operation(length, self._seconds(length.left), self._seconds(length.right))


def _has_expression(node: Expr) -> bool:
    match node:
        case VectorSelector():
            return node.offset_expr is not None
        case MatrixSelector():
            return node.range_expr is not None
        case Subquery():
            return any(expr is not None for expr in (node.range_expr, node.step_expr, node.offset_expr))
        case _:
            return False


def _operation(expr: DurationExpr, left: float, right: float) -> float:
    if expr.op in "/%" and right == 0:
        raise _error(expr, f"{'division' if expr.op == '/' else 'modulo'} by zero")
    match expr.op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
        case "%":
            return math.fmod(left, right)
        case "^":
            return _power(left, right)
        case "min_of":
            return min(left, right)
        case _:
            return max(left, right)


def _power(left: float, right: float) -> float:
    try:
        return math.pow(left, right)
    except (OverflowError, ValueError):
        return math.nan


def _error(expr: DurationExpr, message: str) -> ExecutionError:
    return ExecutionError(f"{expr.span.start}:{expr.span.end}: {message}")
