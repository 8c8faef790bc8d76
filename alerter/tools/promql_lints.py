"""What an expression may say and hardly means.

* a range vector or a string: no rule can be made of it
* a window into which two samples do not fit: of one no rate can be made
* a rate of a gauge, or a counter compared as it is (where the datasource tells what is what)
* a regex that matches everything, or a plain text
* operators that match by a label which one side has dropped: they find nothing, ever
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from exporter.duration import format_duration
from exporter.model import METRIC_NAME, Matcher, MatchType
from exporter.promql.ast import (
    COMPARISONS,
    SET_OPERATORS,
    Aggregation,
    Binary,
    Call,
    Card,
    Expr,
    MatrixSelector,
    Paren,
    Unary,
    VectorSelector,
    walk,
    without_parens,
)
from exporter.promql.signatures import ValueType

CONDITIONS = frozenset(("absent", "absent_over_time"))
_RATES = frozenset(("rate", "irate", "increase"))
_OF_TWO_SAMPLES = _RATES | {"delta", "idelta", "deriv", "predict_linear"}
_PLAIN = re.compile(r"[\w -]+")
_REGEXES = {MatchType.REGEX: "=", MatchType.NOT_REGEX: "!="}


def about_expression(expr: Expr, interval_s: float, types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is suspicious where samples are `interval_s` apart, each with the piece of text it is about."""
    if expr.type not in (ValueType.VECTOR, ValueType.SCALAR):
        yield f"expr is a {expr.type.documented}: a rule needs an instant vector or a scalar", "expr:"
    for node in walk(expr):
        if isinstance(node, Call):
            yield from _about_call(node, interval_s, types)
        elif isinstance(node, Binary):
            yield from _about_operator(node, types)
        elif isinstance(node, VectorSelector):
            for matcher in node.matchers:
                yield from _about_matcher(matcher)


def _about_call(call: Call, interval_s: float, types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    window = next((arg for arg in call.args if isinstance(arg, MatrixSelector)), None)
    if window is None:
        return
    if call.name in _OF_TWO_SAMPLES and 0 < window.range_ms < 1_000 * interval_s:
        shown, interval = format_duration(window.range_ms), format_duration(round(interval_s * 1_000))
        yield f"{call.name}() over {shown} finds nothing where samples are {interval} apart", f"[{shown}]"
    name = window.selector.name
    if call.name in _RATES and types.get(name) in ("gauge", "summary"):
        yield f"{call.name}() of {name}, which is a {types[name]}: counters alone have a rate", name


def _about_operator(node: Binary, types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    sides = (("left", node.left), ("right", node.right))
    if node.matching is not None and node.matching.on:
        for label in node.matching.labels:
            for side, expr in sides:
                if (why := dropped(label, expr)) is not None:
                    yield f"{node.op} on ({label}) finds nothing: the {side} side drops it: {why}", label
    if node.op in COMPARISONS and node.op not in ("==", "!="):
        for _, expr in sides:
            plain = without_parens(expr)
            if isinstance(plain, VectorSelector) and types.get(plain.name) == "counter":
                yield f"{plain.name} is a counter: compare its rate() or increase()", plain.name


def _about_matcher(matcher: Matcher) -> Iterator[tuple[str, str]]:
    plain = _REGEXES.get(matcher.type)
    if plain is None or matcher.name == METRIC_NAME:
        return
    about = f"{matcher.name}{matcher.type}"
    written = f'{about}"{matcher.value}"'
    if matcher.value == ".*":
        effect = "matches everything" if matcher.type is MatchType.REGEX else "matches nothing"
        yield f"{written} {effect}", about
    elif _PLAIN.fullmatch(matcher.value):
        yield f'{written} is no pattern: write {matcher.name}{plain}"{matcher.value}"', about


def has_condition(expr: Expr) -> bool:
    """Whether anything in it leaves series out."""
    for node in walk(expr):
        if isinstance(node, Binary) and (node.op in SET_OPERATORS or (node.op in COMPARISONS and not node.return_bool)):
            return True
        if isinstance(node, Call) and node.name in CONDITIONS:
            return True
    return not any(isinstance(node, VectorSelector) for node in walk(expr))  # vector(1) is meant


def dropped(label: str, expr: Expr) -> str | None:
    """The clause that takes a label away, None where the label may be there."""
    while isinstance(expr, Paren | Unary):
        expr = expr.expr
    if isinstance(expr, Aggregation):
        return _dropped_by(label, expr)
    if isinstance(expr, Binary):
        return _dropped_by_operator(label, expr)
    if isinstance(expr, Call):
        return _dropped_by_call(label, expr)
    return None


def _dropped_by_call(label: str, expr: Call) -> str | None:
    if expr.name in CONDITIONS:
        selector = next((node for node in walk(expr) if isinstance(node, VectorSelector)), None)
        equal = {each.name for each in selector.matchers if each.type is MatchType.EQUAL} if selector else set()
        return None if label in equal else f"{expr.name}() has the labels alone that are matched with ="
    if expr.name == "vector":
        return "vector() has no labels"
    return None


def _dropped_by(label: str, expr: Aggregation) -> str | None:
    if expr.op in ("topk", "bottomk", "limitk", "limit_ratio"):
        return dropped(label, expr.expr)
    if expr.op == "count_values":
        return None
    names = ", ".join(expr.grouping)
    if expr.without:
        return f"{expr.op} without ({names})" if label in expr.grouping else dropped(label, expr.expr)
    return dropped(label, expr.expr) if label in expr.grouping else f"{expr.op} by ({names})"


def _dropped_by_operator(label: str, expr: Binary) -> str | None:
    if expr.op == "or":
        left, right = dropped(label, expr.left), dropped(label, expr.right)
        return left if left and right else None
    vectors = [side for side in (expr.left, expr.right) if side.type is ValueType.VECTOR]
    if len(vectors) == 1:
        return dropped(label, vectors[0])
    if expr.matching is None or label in expr.matching.include:
        return None
    many = expr.right if expr.matching.card is Card.ONE_TO_MANY else expr.left
    return dropped(label, many)
