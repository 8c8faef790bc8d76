"""Which expressions have the same value at every step, so that one evaluation is enough.

Source: prometheus/promql/engine.go, preprocessExprHelper.
"""

from __future__ import annotations

from exporter.promql.ast import (
    Aggregation,
    Binary,
    Call,
    Expr,
    MatrixSelector,
    NumberLiteral,
    StringLiteral,
    Subquery,
    VectorSelector,
    without_parens,
)
from exporter.promql.dates import DATE_PARTS

# Their results depend on when they are evaluated, whatever their arguments.
TIME_DEPENDENT = DATE_PARTS | {"time", "predict_linear", "timestamp", "start", "end", "range", "step"}


class Invariance:
    """Remembers its answers for the nodes of one tree."""

    def __init__(self) -> None:
        self._known: dict[int, bool] = {}

    def of(self, expr: Expr) -> bool:
        """Whether the expression has one value for all steps."""
        known = self._known.get(id(expr))
        if known is None:
            known = self._known[id(expr)] = self._decide(expr)
        return known

    def _decide(self, expr: Expr) -> bool:
        match expr:
            case NumberLiteral() | StringLiteral():
                return True
            case VectorSelector() | Subquery():
                return expr.at is not None
            case MatrixSelector():
                return expr.selector.at is not None
            case Aggregation():  # as there, its parameter does not count
                return self.of(expr.expr)
            case Binary():
                return self._chain(expr)
            case Call():
                return self._call(expr)
            case _:
                return self.of(expr.expr)

    def _chain(self, expr: Binary) -> bool:
        first, chain = expr.spine()
        invariant = self.of(first)
        for node in chain:
            invariant = invariant and self.of(node.right)
            self._known[id(node)] = invariant
        return invariant

    def _call(self, expr: Call) -> bool:
        args = [without_parens(arg) for arg in expr.args]
        if expr.name == "timestamp" and isinstance(args[0], VectorSelector):
            return self.of(args[0])
        return expr.name not in TIME_DEPENDENT and all(self.of(arg) for arg in args)
