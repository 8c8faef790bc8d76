"""The alerter's own alerts: a datasource that is silent, a rule that fails, a silence that is about to end.

They are evaluated like any rule, so they wait, fire, resolve and are told like any alert.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from alerter.datasource.datasource import Datasource
from alerter.decisions.evaluation import Element, Expand, RuleState, evaluate
from alerter.decisions.inhibition import Known
from alerter.loops.group_loop import GroupLoop, Health
from alerter.model import AlertState
from alerter.rules.rules import AlertRule
from alerter.state.board import Board
from alerter.state.silences import Silence, Silences
from alerter.state.state import Store

log = logging.getLogger(__name__)
KEY = "self;"
GROUP = "openmanager-alerter"
INTERVAL_S = 15.0
REMIND_S = 900.0
_LONG_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to say: labels that name it, and a sentence."""

    labels: tuple[tuple[str, str], ...]
    sentence: str


def silent_datasource(datasource: Datasource) -> list[Finding]:
    """The datasource, while it does not answer."""
    if datasource.down_since is None:
        return []
    sentence = f"{datasource.shown_url} does not answer, alerts stay as they were: {datasource.last_error}"
    return [Finding((("datasource", datasource.shown_url),), sentence)]


def failing_rules(loops: Iterable[GroupLoop], datasource: Datasource) -> list[Finding]:
    """The rules whose last evaluation failed, while the datasource answers."""
    if datasource.down_since is not None:
        return []
    return [
        Finding(
            (("rule", rule.name), ("rule_group", loop.group.name), ("rule_key", run.key)),
            f"rule {rule.name} of group {loop.group.name} cannot be evaluated: {run.last_error}",
        )
        for loop in loops
        for rule, run in zip(loop.group.rules, loop.runs, strict=True)
        if run.health is Health.ERR
    ]


def ending_silences(silences: Silences, known: Sequence[Known], now: float) -> list[Finding]:
    """The silences of an hour or more that end within a quarter of one while they keep a firing alert quiet."""
    soon = [each for each in silences.active() if _ends_soon(each, now)]
    firing = [each.alert.labels for each in known if each.alert.state is AlertState.FIRING]
    return [
        Finding(
            (("silence", silence.id),),
            f"the silence of {silence.created_by} ({silence.comment}) ends soon, and alerts behind it still fire",
        )
        for silence in soon
        if any(silences.silenced_by(labels, [silence]) for labels in firing)
    ]


def _ends_soon(silence: Silence, now: float) -> bool:
    return silence.ends_at - now <= REMIND_S and silence.ends_at - silence.starts_at >= _LONG_S


Look = Callable[[], list[Finding]]


class SelfWatch:
    """Evaluates these alerts every 15 s. `after_s`: how long a trouble lasts before it is told; 0 tells of none."""

    def __init__(
        self,
        *,
        silent: Look,
        failing: Look,
        ending: Look,
        board: Board,
        store: Store,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        after_s: float,
    ) -> None:
        self._rules = [
            (AlertRule("AlerterDatasourceDown", "", after_s, labels=(("severity", "critical"),)), silent),
            (AlertRule("AlerterRuleFailing", "", after_s, labels=(("severity", "warning"),)), failing),
            (AlertRule("SilenceEndsSoon", "", labels=(("severity", "info"),)), ending),
        ]
        self._board, self._store = board, store
        self._now, self._sleep = now, sleep
        self._after_s = after_s
        self._states: dict[str, RuleState] = {}

    async def run(self) -> None:
        """Look every 15 s, for ever."""
        self._states = {key: state for key, state in self._store.rules().items() if key.startswith(KEY)}
        while self._after_s:
            try:
                self.look()
            except Exception:
                log.exception("self watch failed")
            await self._sleep(INTERVAL_S)
        await asyncio.Event().wait()

    def look(self) -> None:
        """Evaluate once, keep and post what was found."""
        now = self._now()
        for rule, look in self._rules:
            key = f"{KEY}{rule.name}"
            findings = look()
            sentences = {finding.labels: finding.sentence for finding in findings}
            told = AlertRule(rule.name, "", rule.for_s, labels=rule.labels, annotations=(("summary", "SENTENCE"),))
            elements = [Element(finding.labels, 1.0) for finding in findings]
            before = self._states.get(key, RuleState())
            state = evaluate(told, before, elements, now, expand=_expand(sentences))
            if state.alerts or before.alerts:
                self._store.put_rule(key, state)
            self._states[key] = state
        self._board.post(GROUP, self._states)


def _expand(sentences: dict[tuple[tuple[str, str], ...], str]) -> Expand:
    return lambda text, element: sentences[element.labels] if text == "SENTENCE" else text
