"""What a rule file may say and hardly means: warnings of `check`, after those that have proved their worth in pint.

* a template uses a label that the query drops: its text will have a hole
* a label's template uses the value: each new value makes a new alert, and `for` begins anew
* `for` or `keep_firing_for` is shorter than the interval: it is decided at evaluations only
* no condition: the alert fires for every series there is, always
* the same rule twice: one of them is for nothing
* a metric that the datasource does not have: the rule finds nothing, now or ever
and of expressions what `promql_lints` finds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from alerter.rules.rules import AlertRule, Group, Mistake, RecordRule, Rule, RuleFile
from alerter.tools.promql_lints import CONDITIONS, about_expression, dropped, has_condition
from exporter.duration import format_duration
from exporter.model import Labels
from exporter.promql.ast import Call, Expr, VectorSelector, walk
from exporter.promql.parser import parse

_USED = re.compile(r"""(?:\$labels|\.Labels)\.([a-zA-Z_]\w*)|index\s+(?:\$labels|\.Labels)\s+["`](\w+)["`]""", re.A)
_OF_VALUE = re.compile(r"\{\{[^{}]*(?:\$value|\.Value)\b[^{}]*\}\}")
_CHOOSES = re.compile(r"\{\{-?\s*(?:else\s+)?(?:if|with)\b")


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A warning, and the piece of the rule's text that it is about."""

    warning: Mistake
    about: str


def lint(file: RuleFile, interval_s: float, types: Mapping[str, str]) -> list[Suspicion]:
    """The warnings about a file without mistakes, in the order of its rules.

    `interval_s`: how far samples are apart. `types`: those of metrics, by name, as far as they are known.
    """
    found = []
    seen: dict[tuple[str, str, Labels], int] = {}
    for group in file.groups:
        for rule in group.rules:
            said = dict.fromkeys([*_about(rule, group, interval_s, types), *_repeated(rule, seen)])
            found += [_suspicion(file, group, rule, text, about) for text, about in said]
    return found


def missing(files: Sequence[RuleFile], names: Collection[str]) -> dict[str, list[Suspicion]]:
    """By file, the warnings about metrics that a datasource with these names does not have.

    What other rules record is there, and so are the alerts of the alerter itself. `absent(x)` may ask for anything.
    """
    rules = [rule for file in files for group in file.groups for rule in group.rules]
    there = {*names, "ALERTS", "ALERTS_FOR_STATE", *(rule.name for rule in rules if isinstance(rule, RecordRule))}
    found: dict[str, list[Suspicion]] = {}
    for file in files:
        for group in file.groups:
            for rule in group.rules:
                found.setdefault(file.path, []).extend(
                    _suspicion(file, group, rule, f"the datasource has no metric {metric}", metric)
                    for metric in sorted(_asked(parse(rule.expr)) - there)
                )
    return found


def _suspicion(file: RuleFile, group: Group, rule: Rule, text: str, about: str) -> Suspicion:
    kind = "alert" if isinstance(rule, AlertRule) else "record"
    message = f"warning: group '{group.name}': {kind} '{rule.name}': {text}"
    return Suspicion(Mistake(file.path, rule.line, 0, message), about)


def _asked(expr: Expr) -> set[str]:
    """The metrics that an expression names and needs."""
    nodes = list(walk(expr))
    meant = {id(each) for node in nodes if isinstance(node, Call) and node.name in CONDITIONS for each in walk(node)}
    return {node.name for node in nodes if isinstance(node, VectorSelector) and node.name and id(node) not in meant}


def _about(rule: Rule, group: Group, interval_s: float, types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is suspicious, each with the piece of text it is about."""
    expr = parse(rule.expr)
    if isinstance(rule, AlertRule):
        yield from _about_labels(rule, expr)
        yield from _about_waits(rule, group)
        if not has_condition(expr):
            yield "expr has no comparison: it fires for every series there is, always", ""
    yield from about_expression(expr, interval_s, types)


def _about_labels(rule: AlertRule, expr: Expr) -> Iterator[tuple[str, str]]:
    texts = [text for _, text in (*rule.labels, *rule.annotations)]
    for name in sorted({found for text in texts for pair in _USED.findall(text) for found in pair if found}):
        if (why := dropped(name, expr)) is not None:
            yield f"a template uses $labels.{name}, but the query drops it: {why}", name
    for name, text in rule.labels:
        if _OF_VALUE.search(text) and not _CHOOSES.search(text):
            yield f"label {name} holds the value: each new value makes a new alert, and its wait begins anew", name


def _about_waits(rule: AlertRule, group: Group) -> Iterator[tuple[str, str]]:
    interval = format_duration(round(group.interval_s * 1_000))
    for field, length_s in (("for", rule.for_s), ("keep_firing_for", rule.keep_firing_for_s)):
        if 0 < length_s < group.interval_s:
            shown = format_duration(round(length_s * 1_000))
            effect = f"fires after {interval} at the earliest" if field == "for" else "resolves as if it were not there"
            yield f"{field} {shown} is shorter than the group's interval: it {effect}", f"{field}:"


def _repeated(rule: Rule, seen: dict[tuple[str, str, Labels], int]) -> Iterator[tuple[str, str]]:
    key = (rule.name, str(parse(rule.expr)), rule.labels)
    if key in seen:
        yield f"the same as the rule of line {seen[key]}: name, expr and labels are equal", ""
    seen.setdefault(key, rule.line)
