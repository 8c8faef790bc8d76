"""What is true now, as the last evaluations left it: loop 1 posts it, loop 2, the page and the APIs read it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from alerter.decisions.evaluation import RESOLVED_RETENTION_S, RuleState
from alerter.decisions.inhibition import Known
from alerter.model import Alert
from exporter.model import Labels


class Board:
    """The alerts of every rule by rule key; every posting wakes those who wait for news."""

    def __init__(self) -> None:
        self._posted: dict[str, tuple[str, RuleState]] = {}
        self._ended: dict[Labels, tuple[str, Alert]] = {}
        self._known: tuple[Known, ...] | None = None
        self._news = asyncio.Event()
        self.version = 0

    def post(self, group_key: str, states: Mapping[str, RuleState]) -> None:
        """What one evaluation of a group found, all of it at once: its alerts make one piece of news."""
        for key, state in states.items():
            self._posted[key] = (group_key, state)
        self._changed()

    def withdraw(self, keys: Iterable[str]) -> None:
        """These rules are no more."""
        for key in keys:
            self._posted.pop(key, None)
        self._changed()

    def post_ended(self, group_key: str, alerts: Iterable[Alert], now: float) -> None:
        """The last word about alerts of rules that are no more; kept as long as any resolved alert."""
        self._ended = {
            labels: (group, alert)
            for labels, (group, alert) in self._ended.items()
            if alert.resolved_at is not None and now - alert.resolved_at <= RESOLVED_RETENTION_S
        }
        self._ended.update({alert.labels: (group_key, alert) for alert in alerts})
        self._changed()

    def touch(self) -> None:
        """Something else that decides about messages has changed, such as a silence."""
        self._changed()

    def _changed(self) -> None:
        self._known = None
        self.version += 1
        news, self._news = self._news, asyncio.Event()
        news.set()

    def states(self) -> Mapping[str, RuleState]:
        """The state of every rule by its key."""
        return {key: state for key, (_, state) in self._posted.items()}

    def known(self) -> tuple[Known, ...]:
        """Every alert with its rule group, those of rules that are no more first."""
        if self._known is None:
            gone = [Known(alert, group) for group, alert in self._ended.values()]
            live = [Known(alert, group) for group, state in self._posted.values() for alert in state.alerts.values()]
            self._known = (*gone, *live)
        return self._known

    async def changed_since(self, version: int) -> None:
        """Returns once the version is another one."""
        while self.version == version:
            await self._news.wait()
