"""How far ahead of a step a query looks, and whether a step's value is its own affair."""

from __future__ import annotations

from exporter.promql.ast import Call, Expr, MatrixSelector, Subquery, VectorSelector, children

# They tell about the range that is asked for.
_OF_THE_RANGE = frozenset(("start", "end", "range", "step"))


def lead_ms(expr: Expr) -> int | None:
    """By how much the newest sample that a step can look at is later than the step; 0 without negative offsets.

    None where that cannot be said of each step alone: a query with `@`, or one that knows the range it is asked for.
    """
    furthest = 0
    pending = [(expr, 0)]
    while pending:
        node, ahead_ms = pending.pop()
        if not _stands_alone(node):
            return None
        if isinstance(node, VectorSelector | Subquery):
            ahead_ms -= node.offset_ms
            furthest = max(furthest, ahead_ms)
        pending += [(child, ahead_ms) for child in children(node)]
    return furthest


def _stands_alone(node: Expr) -> bool:
    match node:
        case VectorSelector():
            return node.at is None and node.offset_expr is None
        case MatrixSelector():
            return node.range_expr is None
        case Subquery():
            return node.at is None and not (node.range_expr or node.step_expr or node.offset_expr)
        case Call():
            return node.name not in _OF_THE_RANGE
        case _:
            return True
