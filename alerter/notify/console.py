"""What would have been sent, shown plainly, where no secret says where to send it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from typing import Any

from alerter.model import Notification
from alerter.notify.datadog_events import DatadogEvents
from alerter.notify.datadog_series import Counts, Point, lines, sendable
from alerter.notify.slack_message import SlackMessage, body_of

Write = Callable[[str], None]


class SlackConsole:
    """Shows Slack's messages, as the template makes them."""

    def __init__(self, message: SlackMessage, write: Write, *, name: str = "slack-console") -> None:
        self._message = message
        self._write = write
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def send(self, notification: Notification) -> None:
        """Raises DeliveryError where the template fails."""
        body = body_of(self._message, notification).decode()
        self._write(f"[not sent: no SLACK_WEBHOOK_URL] to Slack: {body}")


class EventsConsole:
    """Shows Datadog's events."""

    def __init__(self, events: DatadogEvents, write: Write, *, name: str = "datadog-console") -> None:
        self._events = events
        self._write = write
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def send(self, notification: Notification) -> None:
        """Never fails."""
        for event in self._events.events(notification):
            shown = json.dumps(dataclasses.asdict(event), ensure_ascii=False)
            self._write(f"[not sent: no DATADOG_API_KEY] event to Datadog: {shown}")


class SeriesConsole:
    """Shows Datadog's series: one line with one of them as an example, at most once in `interval_s`."""

    def __init__(
        self, write: Write, now: Callable[[], float], env: str = "production", interval_s: float = 60.0
    ) -> None:
        self._write = write
        self._now = now
        self._env = env
        self._interval_s = interval_s
        self._next_s = float("-inf")
        self._counts = Counts()
        self._unshown = 0

    def stats(self) -> Counts:
        """The counts so far; `sent` counts what would have been."""
        return self._counts

    def send(self, points: Iterable[Point]) -> None:
        """Never fails."""
        now_s = self._now()
        kept, left_out = sendable(points, now_s)
        self._counts = Counts(*_sums(self._counts, dataclasses.replace(left_out, sent=len(kept))))
        self._unshown += len(kept)
        if not kept or now_s < self._next_s:
            return
        self._next_s = now_s + self._interval_s
        series = lines(kept, self._env)
        example = f"{series[0].metric}{{{', '.join(series[0].tags)}}} {series[0].points[-1][1]:g}"
        count = f"{self._unshown} points since the last line, now {len(series)} series such as {example}"
        self._write(f"[not sent: no DATADOG_API_KEY] series to Datadog: {count}")
        self._unshown = 0


def _sums(*counts: Any) -> list[int]:
    return [sum(pair) for pair in zip(*map(dataclasses.astuple, counts), strict=True)]
