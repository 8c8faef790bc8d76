"""Tells an Alertmanager as Prometheus does: after every evaluation what is due, again and again, and never waits.

What was not accepted is due again at the next evaluation, so nothing needs a queue that outlives the process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from alerter.decisions.evaluation import RuleState
from alerter.decisions.sends import Send, sends
from alerter.loops.patience import DeliveryStats
from alerter.model import Alert, DeliveryError
from exporter.model import Labels

log = logging.getLogger(__name__)
MOST_WAITING = 100_000

Posted = tuple[Alert, float, float]


class Poster(Protocol):
    """Posts alerts with when they began and end. Blocks for a bounded time; raises DeliveryError."""

    @property
    def name(self) -> str: ...

    def post(self, alerts: Iterable[Posted]) -> None: ...


class AlertmanagerLoop:
    """Sends to one Alertmanager. Durations are seconds, times Unix seconds."""

    def __init__(self, poster: Poster, resend_delay_s: float, now: Callable[[], float]) -> None:
        self._poster = poster
        self._now = now
        self._resend_delay_s = resend_delay_s
        self._sent: dict[str, dict[Labels, float]] = {}
        self._waiting: list[tuple[str, Send]] = []
        self._news = asyncio.Event()
        self.stats = DeliveryStats()

    @property
    def name(self) -> str:
        """The receiver's name."""
        return self._poster.name

    def post(self, alerts: Iterable[Posted]) -> None:
        """Post these now. Blocks; raises DeliveryError."""
        self._poster.post(alerts)

    def offer(self, states: Mapping[str, RuleState], t: float, interval_s: float) -> None:
        """Take what is due of these rules after their evaluation at `t`."""
        for key, state in states.items():
            if state.evaluated_at != t:
                continue  # its evaluation failed: nothing is sent
            sent = {labels: min(at, t) for labels, at in self._sent.get(key, {}).items()}  # clocks are put back
            due, self._sent[key] = sends(state, sent, t, resend_delay_s=self._resend_delay_s, interval_s=interval_s)
            self._waiting += [(key, send) for send in due]
        del self._waiting[:-MOST_WAITING]
        self.stats.waiting = len(self._waiting)
        if self._waiting:
            self._news.set()

    async def run(self) -> None:
        """Send what is offered, for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            batch, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._poster.post, [(s.alert, s.starts_at, s.ends_at) for _, s in batch])
            except DeliveryError as err:
                self._refused(batch, err)
            except Exception:
                log.exception("receiver failed receiver=%s", self.name)
                self._refused(batch, DeliveryError("failed", retryable=True))
            else:
                self.stats.sent += len(batch)
                self.stats.failing_since, self.stats.last_error = None, ""
                self.stats.last_sent_at = self._now()
            self.stats.waiting = len(self._waiting)

    def _refused(self, batch: Sequence[tuple[str, Send]], err: DeliveryError) -> None:
        for key, send in batch:
            self._sent.get(key, {}).pop(send.alert.labels, None)
        self.stats.failures["temporary" if err.retryable else "permanent"] += 1
        if self.stats.last_error != str(err):
            log.warning("alerts not accepted, due again receiver=%s err=%s", self.name, err)
        self.stats.last_error = str(err)
        self.stats.failing_since = self.stats.failing_since or self._now()
