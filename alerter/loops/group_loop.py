"""Loop 1, one for each group: at every slot ask, evaluate, save and post. Nothing stops it but being cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from alerter.datasource.querier import Query, QueryError
from alerter.decisions import evaluation
from alerter.decisions.evaluation import (
    Element,
    EvaluationError,
    Expand,
    LimitExceededError,
    Restoration,
    RuleState,
    Transition,
)
from alerter.decisions.schedule import slots
from alerter.rules.rules import AlertRule, Group, RecordRule, rule_keys
from alerter.state.board import Board
from exporter.model import Labels

log = logging.getLogger(__name__)


DEFAULT_RESTORATION = Restoration()


class Health(StrEnum):
    """How a rule's last evaluation went."""

    UNKNOWN = "unknown"
    OK = "ok"
    ERR = "err"


class Templates(Protocol):
    """Renders the templates of a rule at a time."""

    def expander(self, rule: AlertRule, t: float) -> Expand: ...

    def asks(self, rule: AlertRule) -> bool:
        """Whether rendering may query: then it must not run on the event loop."""
        ...


class Writer(Protocol):
    """Where recorded series and ALERTS go."""

    async def write(self, series: Sequence[Element], ended: Sequence[Labels], t: float) -> None:
        """Write samples at `t`, and a stale marker for each series that ended. Raises QueryError."""
        ...


@dataclass(slots=True)
class RuleRun:
    """A rule's state and how its last evaluation went. Times are Unix seconds, durations seconds.

    `group` is the key of the group that last had the rule; "" where only the state was kept.
    """

    key: str
    group: str = ""
    state: RuleState = field(default_factory=RuleState)
    kept: bool = False  # the state comes from before a restart and waits for the first evaluation
    health: Health = Health.UNKNOWN
    last_error: str = ""
    evaluated_at: float | None = None
    took_s: float = 0.0
    written: frozenset[Labels] = frozenset()


@dataclass(slots=True)
class GroupStats:
    """Counters of a group since the start."""

    evaluations: int = 0
    missed: int = 0
    failures: int = 0
    took_s: float = 0.0
    evaluated_at: float | None = None


Saved = Callable[["GroupLoop", float, Sequence[Transition]], None]
"""Called after each evaluation of a group with its time and what changed."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a group's loop needs of the world."""

    query: Query
    templates: Templates
    board: Board
    saved: Saved
    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    link: Callable[[str], str]
    restoration: Restoration = DEFAULT_RESTORATION
    writer: Writer | None = None


class GroupLoop:
    """Evaluates one group's rules in file order at the group's slots."""

    def __init__(self, group: Group, world: Surroundings) -> None:
        self.group = group
        self.runs = [RuleRun(key, group.key) for key in rule_keys(group)]
        self.stats = GroupStats()
        self._world = world

    def adopt(self, run: RuleRun) -> bool:
        """Take over a rule's state, if the group has that rule."""
        for index, mine in enumerate(self.runs):
            if mine.key == run.key:
                run.group = self.group.key
                self.runs[index] = run
                return True
        return False

    def is_late(self, now: float) -> bool:
        """Whether more than three intervals, and a minute, have passed since the last evaluation."""
        last = self.stats.evaluated_at
        return last is not None and now - last > max(60.0, 3 * self.group.interval_s)

    async def run(self) -> None:
        """Evaluate at every slot, for ever, the one that has begun first.

        Slots that passed meanwhile are counted, never run in a burst.
        """
        timing = slots(self.group)
        slot = timing.at_or_before(self._world.now())
        if not self._has_evaluated(slot):
            await self._evaluate_safely(slot)
        while True:
            slot, missed = timing.after(slot, self._world.now())
            if missed:
                self.stats.missed += missed
                log.warning("slots missed group=%s missed=%d", self.group.key, missed)
            if (wait := slot - self._world.now()) > 0:
                await self._world.sleep(wait)
            if slot - self._world.now() > self.group.interval_s:
                continue  # the clock was put back meanwhile: nothing is known of that future
            await self._evaluate_safely(slot)

    def _has_evaluated(self, slot: float) -> bool:
        """Whether the states that were taken over know the slot."""
        known = [run.state.evaluated_at for run in self.runs if run.state.evaluated_at is not None]
        return any(t >= slot for t in known)

    async def _evaluate_safely(self, slot: float) -> None:
        try:
            await self.evaluate(slot)
        except Exception:
            log.exception("group not evaluated group=%s", self.group.key)

    async def evaluate(self, t: float) -> list[Transition]:
        """All rules at one instant; what they found is posted together."""
        began = self._world.now()
        steps: list[Transition] = []
        for rule, run in zip(self.group.rules, self.runs, strict=True):
            before = run.state
            await self._evaluate_rule(rule, run, t)
            if run.state is not before and run.state.evaluated_at is not None:
                steps += evaluation.transitions(before, run.state, t)
        self.stats.evaluations += 1
        self.stats.evaluated_at = began
        self.stats.took_s = max(0.0, self._world.now() - began)
        alerting = [run for rule, run in zip(self.group.rules, self.runs, strict=True) if isinstance(rule, AlertRule)]
        self._world.saved(self, t, steps)
        self._world.board.post(self.group.key, {run.key: run.state for run in alerting})
        return steps

    async def _evaluate_rule(self, rule: AlertRule | RecordRule, run: RuleRun, t: float) -> None:
        run.evaluated_at = began = self._world.now()
        try:
            elements = await self._world.query(rule.expr, self._sampled_at(t))
            if isinstance(rule, AlertRule):
                await self._alerts(rule, run, elements, t)
            else:
                await self._write(run, evaluation.record(rule, elements, limit=self.group.limit), t)
        except LimitExceededError as err:
            run.state = RuleState()  # wiped, and nobody is told
            self._failed(rule, run, err)
        except (EvaluationError, QueryError) as err:
            self._failed(rule, run, err)
        except Exception as err:
            log.exception("rule not evaluated rule=%s", run.key)
            self._failed(rule, run, err)
        else:
            run.health, run.last_error = Health.OK, ""
        run.took_s = max(0.0, self._world.now() - began)

    async def _alerts(self, rule: AlertRule, run: RuleRun, elements: Sequence[Element], t: float) -> None:
        before = run.state
        if run.kept:
            before = evaluation.restored(rule, before, t, self.group.interval_s, self._world.restoration)
        expand = self._world.templates.expander(rule, t)

        def evaluated() -> RuleState:
            link = self._world.link(rule.expr)
            return evaluation.evaluate(
                rule, before, elements, t, expand=expand, limit=self.group.limit, generator_url=link
            )

        asks = self._world.templates.asks(rule)
        run.state = await asyncio.to_thread(evaluated) if asks else evaluated()
        run.kept = False
        if self._world.writer is not None:
            await self._write(run, evaluation.exposed(run.state), t)

    def _sampled_at(self, t: float) -> float:
        """The time of the samples that an evaluation at `t` reads and writes."""
        return t - self.group.query_offset_s

    async def _write(self, run: RuleRun, series: Sequence[Element], t: float) -> None:
        if self._world.writer is None:
            return
        written = frozenset(element.labels for element in series)
        ended = sorted(run.written - written)
        if series or ended:
            await self._world.writer.write(series, ended, self._sampled_at(t))
        run.written = written

    def _failed(self, rule: AlertRule | RecordRule, run: RuleRun, err: Exception) -> None:
        self.stats.failures += 1
        away = isinstance(err, QueryError) and not err.reachable  # the datasource's own line says that, once
        if run.health is not Health.ERR and not away:
            log.warning("rule not evaluated rule=%s err=%s", run.key, err)
        run.health, run.last_error = Health.ERR, str(err)
