"""What a rule file may say and hardly means: warnings of `check`.

* a template uses a label that the query drops: its text will have a hole
* `for` is shorter than the interval: it can only fire one interval later
* no condition: the alert fires for every series there is, always
* a metric that the datasource does not have: the rule finds nothing, now or ever
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from alerter.rules.rules import AlertRule, Group, Mistake, RecordRule, RuleFile
from exporter.duration import format_duration
from exporter.promql.ast import (
    COMPARISONS,
    SET_OPERATORS,
    Aggregation,
    Binary,
    Call,
    Card,
    Expr,
    Paren,
    Unary,
    VectorSelector,
    walk,
)
from exporter.promql.parser import parse
from exporter.promql.signatures import ValueType

_USED = re.compile(r"(?:\$labels|\.Labels)\.([a-zA-Z_][a-zA-Z0-9_]*)")
_CONDITIONS = frozenset(("absent", "absent_over_time"))


def lint(file: RuleFile) -> list[Mistake]:
    """The warnings about the alerting rules of a file without mistakes, in the order of the rules."""
    found = []
    for group in file.groups:
        for rule in group.rules:
            if isinstance(rule, AlertRule):
                where = f"group '{group.name}': alert '{rule.name}'"
                found += [Mistake(file.path, rule.line, 0, f"warning: {where}: {text}") for text in _about(rule, group)]
    return found


def missing(files: Sequence[RuleFile], names: Collection[str]) -> dict[str, list[tuple[Mistake, str]]]:
    """By file, the warnings about metrics that a datasource with these names does not have, each with the metric.

    What other rules record is there, and so are the alerts of the alerter itself. `absent(x)` may ask for anything.
    """
    rules = [rule for file in files for group in file.groups for rule in group.rules]
    there = {*names, "ALERTS", "ALERTS_FOR_STATE", *(rule.name for rule in rules if isinstance(rule, RecordRule))}
    found: dict[str, list[tuple[Mistake, str]]] = {}
    for file in files:
        for group in file.groups:
            for rule in group.rules:
                kind = "alert" if isinstance(rule, AlertRule) else "record"
                for metric in sorted(_asked(parse(rule.expr)) - there):
                    where = f"warning: group '{group.name}': {kind} '{rule.name}'"
                    text = f"{where}: the datasource has no metric {metric}"
                    found.setdefault(file.path, []).append((Mistake(file.path, rule.line, 0, text), metric))
    return found


def _asked(expr: Expr) -> set[str]:
    """The metrics that an expression names and needs."""
    nodes = list(walk(expr))
    meant = {id(each) for node in nodes if isinstance(node, Call) and node.name in _CONDITIONS for each in walk(node)}
    return {node.name for node in nodes if isinstance(node, VectorSelector) and node.name and id(node) not in meant}


def _about(rule: AlertRule, group: Group) -> Iterator[str]:
    expr = parse(rule.expr)
    for name in sorted(_used(rule)):
        if (why := _dropped(name, expr)) is not None:
            yield f"a template uses $labels.{name}, but the query drops it: {why}"
    if 0 < rule.for_s < group.interval_s:
        shown, interval = (format_duration(round(each * 1_000)) for each in (rule.for_s, group.interval_s))
        yield f"for {shown} is shorter than the group's interval: it fires after {interval} at the earliest"
    if not _has_condition(expr):
        yield "expr has no comparison: it fires for every series there is, always"


def _used(rule: AlertRule) -> set[str]:
    return {name for _, text in (*rule.labels, *rule.annotations) for name in _USED.findall(text)}


def _has_condition(expr: Expr) -> bool:
    for node in walk(expr):
        if isinstance(node, Binary) and (node.op in SET_OPERATORS or (node.op in COMPARISONS and not node.return_bool)):
            return True
        if isinstance(node, Call) and node.name in _CONDITIONS:
            return True
    return not any(isinstance(node, VectorSelector) for node in walk(expr))  # vector(1) is meant


def _dropped(label: str, expr: Expr) -> str | None:
    """The clause that takes a label away, None where the label may be there."""
    while isinstance(expr, Paren | Unary):
        expr = expr.expr
    if isinstance(expr, Aggregation):
        return _dropped_by(label, expr)
    if isinstance(expr, Binary):
        return _dropped_by_operator(label, expr)
    return None


def _dropped_by(label: str, expr: Aggregation) -> str | None:
    if expr.op in ("topk", "bottomk", "limitk", "limit_ratio"):
        return _dropped(label, expr.expr)
    if expr.op == "count_values":
        return None
    names = ", ".join(expr.grouping)
    if expr.without:
        return f"{expr.op} without ({names})" if label in expr.grouping else _dropped(label, expr.expr)
    return None if label in expr.grouping else f"{expr.op} by ({names})"


def _dropped_by_operator(label: str, expr: Binary) -> str | None:
    if expr.op == "or":
        left, right = _dropped(label, expr.left), _dropped(label, expr.right)
        return left if left and right else None
    vectors = [side for side in (expr.left, expr.right) if side.type is ValueType.VECTOR]
    if len(vectors) == 1:
        return _dropped(label, vectors[0])
    if expr.matching is None or label in expr.matching.include:
        return None
    many = expr.right if expr.matching.card is Card.ONE_TO_MANY else expr.left
    return _dropped(label, many)
