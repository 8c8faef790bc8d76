"""`backtest`: a rule file over any Prometheus' past, one evaluation for each step of each group's interval.

The same `evaluate` as in the running alerter. A range query answers many steps at once; where the answer is an
error, those steps are asked one by one, because an error belongs to its step.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from alerter.datasource.querier import QueryError, RangeSeries, split_steps
from alerter.decisions import evaluation
from alerter.decisions.evaluation import Element, EvaluationError, LimitExceededError, RuleState, Transition
from alerter.loops.group_loop import Templates
from alerter.model import Alert
from alerter.rules.rules import AlertRule, Group, rule_keys

STEPS_AT_ONCE = 5_000
_MS = 1_000


class History(Protocol):
    """A past that can be asked. Raises QueryError."""

    async def instant(self, expr: str, t: float) -> list[Element]: ...

    async def range(self, expr: str, start: float, end: float, step_s: float) -> list[RangeSeries]: ...


@dataclass(frozen=True, slots=True)
class Step:
    """What one instant found: active alerts in the order of rules, and errors by alert name."""

    t: float
    alerts: tuple[Alert, ...]
    transitions: tuple[Transition, ...]
    errors: dict[str, str]


@dataclass(slots=True)
class _Rule:
    key: str
    rule: AlertRule
    group: Group
    state: RuleState = field(default_factory=RuleState)
    answers: dict[int, list[Element] | QueryError] = field(default_factory=dict)


class Backtest:
    """Walks alerting rules through the past. Recording rules are not replayed: their series are read."""

    def __init__(
        self,
        groups: Sequence[Group],
        past: History,
        templates: Templates,
        *,
        link: Callable[[str], str] = lambda expr: "",
    ) -> None:
        self._rules = [
            _Rule(key, rule, group)
            for group in groups
            for key, rule in zip(rule_keys(group), group.rules, strict=True)
            if isinstance(rule, AlertRule)
        ]
        self._past = past
        self._templates = templates
        self._link = link

    async def walk(self, start: float, end: float) -> AsyncIterator[Step]:
        """One step for each instant at which any group is evaluated, from start to end (Unix seconds)."""
        base = round(start * _MS)
        count = round(end * _MS) - base
        intervals = {round(each.group.interval_s * _MS) for each in self._rules} or {15_000}
        instants = sorted({n for interval in intervals for n in range(0, count + 1, interval)})
        for first in range(0, len(instants), STEPS_AT_ONCE):
            piece = [base + n for n in instants[first : first + STEPS_AT_ONCE]]
            for each in self._rules:
                await self._ask(each, [t for t in piece if (t - base) % round(each.group.interval_s * _MS) == 0])
            for t_ms in piece:
                yield await self._step(t_ms)

    async def _ask(self, each: _Rule, instants: Sequence[int]) -> None:
        """The answers of a rule's query at these instants."""
        each.answers = {}
        if not instants:
            return
        offset, step_s = each.group.query_offset_s, each.group.interval_s
        spans = split_steps(instants[0] / _MS - offset, instants[-1] / _MS - offset, step_s, STEPS_AT_ONCE)
        try:
            series = [
                found for start, end in spans for found in await self._past.range(each.rule.expr, start, end, step_s)
            ]
        except QueryError as err:
            if not err.reachable:
                raise
            await self._ask_one_by_one(each, instants)
            return
        each.answers = {t: [] for t in instants}
        for one in series:
            for t, value in one.points:
                answer = each.answers[round((t + offset) * _MS)]
                assert isinstance(answer, list)
                answer.append(Element(one.labels, value))

    async def _ask_one_by_one(self, each: _Rule, instants: Sequence[int]) -> None:
        for t_ms in instants:
            try:
                each.answers[t_ms] = await self._past.instant(each.rule.expr, t_ms / _MS - each.group.query_offset_s)
            except QueryError as err:
                if not err.reachable:
                    raise
                each.answers[t_ms] = err

    async def _step(self, t_ms: int) -> Step:
        t = t_ms / _MS
        steps: list[Transition] = []
        errors: dict[str, str] = {}
        for each in self._rules:
            if (answer := each.answers.pop(t_ms, None)) is None:
                continue
            before = each.state
            try:
                each.state = await self._evaluated(each, answer, t)
            except LimitExceededError as err:
                each.state = RuleState()
                errors[each.rule.name] = str(err)
            except (EvaluationError, QueryError) as err:
                errors[each.rule.name] = str(err)
            else:
                steps += evaluation.transitions(before, each.state, t)
        alerts = tuple(alert for each in self._rules for alert in each.state.active)
        return Step(t, alerts, tuple(steps), errors)

    async def _evaluated(self, each: _Rule, answer: list[Element] | QueryError, t: float) -> RuleState:
        if isinstance(answer, QueryError):
            raise answer
        expand = self._templates.expander(each.rule, t)

        def evaluated() -> RuleState:
            return evaluation.evaluate(
                each.rule,
                each.state,
                answer,
                t,
                expand=expand,
                limit=each.group.limit,
                generator_url=self._link(each.rule.expr),
            )

        if self._templates.asks(each.rule):
            return await asyncio.to_thread(evaluated)
        return evaluated()

    def states(self) -> list[tuple[str, RuleState]]:
        """Every rule's state after the last step, by its key."""
        return [(each.key, each.state) for each in self._rules]
