"""`backtest`: a rule file over any Prometheus' past, one evaluation for each step of each group's interval.

The same loops as in the running alerter evaluate, on the answers of range queries. What the rules record is seen by
those that read it, as if the file had been there all the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from alerter.datasource.querier import Query
from alerter.decisions import evaluation
from alerter.decisions.evaluation import Element, RuleState, Transition
from alerter.loops.group_loop import GroupLoop, RuleRun, Surroundings, Templates
from alerter.model import Alert
from alerter.rules.rules import AlertRule, Group, RecordRule, Rule
from alerter.state.board import Board
from alerter.tools.answers import STEPS_AT_ONCE, Answers
from alerter.tools.replay import History, Replay
from alerter.tools.split import reads
from exporter.promql.parser import parse

_STEPS_AT_ONCE_WITH_RECORDS = 500  # whose parts may be wide
_OF_ALERTS = ("ALERTS", "ALERTS_FOR_STATE")
_MS = 1_000


@dataclass(frozen=True, slots=True)
class Step:
    """What one instant found: active alerts in the order of rules, and errors by alert name.

    `transitions` have the index of their rule among all alerting rules.
    """

    t: float
    alerts: tuple[Alert, ...]
    transitions: tuple[tuple[int, Transition], ...]
    errors: dict[str, str]


class Backtest:
    """Walks rules through the past from `start` to `end` (Unix seconds)."""

    def __init__(
        self,
        groups: Sequence[Group],
        past: History,
        templates: Callable[[Query], Templates],
        start: float,
        end: float,
        *,
        link: Callable[[str], str] = lambda expr: "",
    ) -> None:
        made = _made([rule for group in groups for rule in group.rules])
        self._start_ms, self._end_ms = round(start * _MS), round(end * _MS)
        self._replay = Replay(past, made, start)
        self._answers = Answers(past)
        self._at_once = _STEPS_AT_ONCE_WITH_RECORDS if made else STEPS_AT_ONCE
        world = Surroundings(
            query=self._query,
            templates=templates(self._replay.query),
            board=Board(),
            saved=lambda loop, t, steps: None,
            now=lambda: 0.0,
            sleep=asyncio.sleep,
            link=link,
            writer=self._replay if made else None,
        )
        self._loops = [GroupLoop(group, world) for group in groups]

    async def _query(self, expr: str, t: float) -> list[Element]:
        t_ms = round(t * _MS)
        return await self._replay.rest(
            expr, t, [self._answers.get(part, t_ms) for part in self._replay.split(expr).parts]
        )

    async def walk(self) -> AsyncIterator[Step]:
        """One step for each instant at which any group is evaluated. Raises QueryError."""
        span_ms = self._end_ms - self._start_ms
        intervals = {_interval_ms(loop) for loop in self._loops} or {15_000}
        instants = sorted({n for interval in intervals for n in range(0, span_ms + 1, interval)})
        for first in range(0, len(instants), self._at_once):
            piece = instants[first : first + self._at_once]
            await self._ask(piece)
            for n in piece:
                yield await self._step(n)
            self._replay.forget((self._start_ms + piece[-1]) / _MS)

    async def _ask(self, piece: Sequence[int]) -> None:
        self._answers.forget()
        asked = {}
        for loop in self._loops:
            offset_ms, step_ms = round(loop.group.query_offset_s * _MS), _interval_ms(loop)
            instants = [self._start_ms + n - offset_ms for n in piece if n % step_ms == 0]
            for split in (self._replay.split(rule.expr) for rule in loop.group.rules):
                for part in split.parts:
                    ask = partial(self._answers.ask, part, instants, step_ms, only_at_once=split.only_at_once)
                    asked[part, step_ms, offset_ms] = ask
        await asyncio.gather(*(ask() for ask in asked.values()))

    async def _step(self, n: int) -> Step:
        t = (self._start_ms + n) / _MS
        steps: list[tuple[int, Transition]] = []
        errors: dict[str, str] = {}
        before = [run.state for _, run in self._alerting()]
        for loop in self._loops:
            if n % _interval_ms(loop) == 0:
                await loop.evaluate(t)
        for index, ((rule, run), state) in enumerate(zip(self._alerting(), before, strict=True)):
            if run.state is not state and run.state.evaluated_at is not None:
                steps += [(index, step) for step in evaluation.transitions(state, run.state, t)]
            if run.last_error:
                errors[rule.name] = run.last_error
        alerts = tuple(alert for _, run in self._alerting() for alert in run.state.active)
        return Step(t, alerts, tuple(steps), errors)

    def _alerting(self) -> list[tuple[AlertRule, RuleRun]]:
        return [
            (rule, run)
            for loop in self._loops
            for rule, run in zip(loop.group.rules, loop.runs, strict=True)
            if isinstance(rule, AlertRule)
        ]

    def states(self) -> list[tuple[str, RuleState]]:
        """Every alerting rule's state after the last step, by its key."""
        return [(run.key, run.state) for _, run in self._alerting()]


def _interval_ms(loop: GroupLoop) -> int:
    return round(loop.group.interval_s * _MS)


def _made(rules: Sequence[Rule]) -> set[str]:
    """The names that the rules make and that any of them reads, in its expression or in a template."""
    names = {*_OF_ALERTS, *(rule.name for rule in rules if isinstance(rule, RecordRule))}
    expressions = [parse(rule.expr) for rule in rules]
    texts = [text for rule in rules if isinstance(rule, AlertRule) for _, text in rule.annotations + rule.labels]
    asking = " ".join(text for text in texts if "query" in text)
    return {name for name in names if name in asking or any(reads(expr, (name,)) for expr in expressions)}
