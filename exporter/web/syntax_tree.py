"""An expression as the JSON tree of `parse_query`.

Source: prometheus/web/api/v1/translate_ast.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exporter.model import Matcher
from exporter.promql.ast import (
    Aggregation,
    At,
    AtEdge,
    Binary,
    Call,
    Expr,
    MatrixSelector,
    NumberLiteral,
    Paren,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
)
from exporter.promql.gotext import format_f

Tree = dict[str, Any]


def tree(expr: Expr) -> Tree:
    """A node and what is below it."""
    match expr:
        case NumberLiteral():
            return {"type": "numberLiteral", "val": format_f(expr.value)}
        case StringLiteral():
            return {"type": "stringLiteral", "val": expr.value}
        case Paren():
            return {"type": "parenExpr", "expr": tree(expr.expr)}
        case Unary():
            return {"type": "unaryExpr", "op": expr.op, "expr": tree(expr.expr)}
        case VectorSelector():
            return {"type": "vectorSelector", **_selector(expr)}
        case MatrixSelector():
            return {"type": "matrixSelector", **_selector(expr.selector), "range": expr.range_ms}
        case Subquery():
            return _subquery(expr)
        case Binary():
            return _binary(expr)
        case Aggregation():
            return _aggregation(expr)
        case Call():
            return _call(expr)


def _selector(of: VectorSelector) -> Tree:
    return {
        "name": of.name,
        "offset": of.offset_ms,
        "matchers": [_matcher(matcher) for matcher in of.matchers],
        **_at(of.at),
    }


def _matcher(matcher: Matcher) -> Tree:
    return {"name": matcher.name, "value": matcher.value, "type": matcher.type.value}


def _at(at: At) -> Tree:
    edge = at.value if isinstance(at, AtEdge) else None
    return {"timestamp": at if isinstance(at, int) else None, "startOrEnd": edge}


def _subquery(of: Subquery) -> Tree:
    lengths = {"range": of.range_ms, "offset": of.offset_ms, "step": of.step_ms}
    return {"type": "subquery", "expr": tree(of.expr), **lengths, **_at(of.at)}


def _binary(of: Binary) -> Tree:
    """A chain of operators from the innermost out; a long one is deep, but not by recursion here."""
    first, chain = of.spine()
    made = tree(first)
    for node in chain:
        made = {
            "type": "binaryExpr",
            "op": node.op,
            "lhs": made,
            "rhs": tree(node.right),
            "matching": _matching(node),
            "bool": node.return_bool,
        }
    return made


def _matching(of: Binary) -> Tree | None:
    if of.matching is None:
        return None
    matching = of.matching
    return {
        "card": matching.card.value,
        "labels": _texts(matching.labels),
        "on": matching.on,
        "include": _texts(matching.include),
    }


def _aggregation(of: Aggregation) -> Tree:
    return {
        "type": "aggregation",
        "op": of.op,
        "expr": tree(of.expr),
        "param": None if of.param is None else tree(of.param),
        "grouping": _texts(of.grouping),
        "without": of.without,
    }


def _call(of: Call) -> Tree:
    function = {
        "name": of.function.name,
        "argTypes": [kind.value for kind in of.function.args],
        "variadic": of.function.variadic,
        "returnType": of.function.returns.value,
    }
    return {"type": "call", "func": function, "args": [tree(argument) for argument in of.args]}


def _texts(names: Sequence[str]) -> list[str]:
    return list(names)
