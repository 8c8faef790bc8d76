"""A query over several lines where one would be long, as `promtool promql format` writes it.

Source: prometheus/promql/parser/prettier.go.
"""

from __future__ import annotations

from exporter.promql.ast import Aggregation, Binary, Call, Expr, Paren, Subquery, Unary, format_labels

_WIDTH = 100  # bytes of a node that stays on one line
_INDENT = "  "
_DEEPEST = 50  # levels; the indentation of more would outgrow the query


def pretty(expr: Expr, level: int = 0) -> str:
    """The expression, each line indented by at least so many levels; parsed again it is the same."""
    margin = _INDENT * level
    text = str(expr)
    if level >= _DEEPEST or len(text.encode()) <= _WIDTH:
        # the margin of a subquery that fits is missing there too
        return text if isinstance(expr, Subquery) else margin + text
    match expr:
        case Aggregation():
            return f"{margin}{_head(expr)}({_inside([expr.param, expr.expr], level)})"
        case Call() if expr.args:
            return f"{margin}{expr.name}({_inside(list(expr.args), level)})"
        case Paren():
            return f"{margin}({_inside([expr.expr], level)})"
        case Binary():
            left, right = pretty(expr.left, level + 1), pretty(expr.right, level + 1)
            return f"{left}\n{margin}{expr.infix()}\n{right}"
        case Unary():
            return f"{margin}{expr.op}{pretty(expr.expr, level).strip()}"
        case Subquery():
            return pretty(expr.expr, level) + text.removeprefix(str(expr.expr))
        case _:
            return margin + text


def _inside(exprs: list[Expr | None], level: int) -> str:
    lines = ",\n".join(pretty(expr, level + 1) for expr in exprs if expr is not None)
    return f"\n{lines}\n{_INDENT * level}"


def _head(expr: Aggregation) -> str:
    """`sum by (job) `, up to the parenthesis."""
    if not expr.without and not expr.grouping:
        return expr.op
    return f"{expr.op} {'without' if expr.without else 'by'} ({format_labels(expr.grouping)}) "
