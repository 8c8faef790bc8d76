"""Numbers that stand in a query as they are."""

from __future__ import annotations

from exporter.promql.ast import Expr, NumberLiteral, Unary, without_parens


def constant(expr: Expr) -> float | None:
    """The value of a number literal, signed or in parentheses; None for every other expression."""
    plain = without_parens(expr)
    if isinstance(plain, Unary):
        inner = constant(plain.expr)
        return None if inner is None else -inner if plain.op == "-" else inner
    return plain.value if isinstance(plain, NumberLiteral) else None
