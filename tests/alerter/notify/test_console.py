"""Without a secret, what would have been sent is shown plainly."""

from __future__ import annotations

import json

from alerter.notify.console import EventsConsole, SeriesConsole, SlackConsole
from alerter.notify.datadog_client import DatadogClient
from alerter.notify.datadog_events import DatadogEvents
from alerter.notify.datadog_series import Point
from alerter.notify.slack_message import SlackMessage
from tests.alerter.notify.examples import AT, alert, notification


def test_slacks_message_is_shown_as_it_would_be_sent() -> None:
    shown: list[str] = []
    SlackConsole(SlackMessage(), shown.append).send(notification(alert()))
    [line] = shown
    mark, _, body = line.partition(" to Slack: ")
    assert mark == "[not sent: no SLACK_WEBHOOK_URL]"
    assert json.loads(body) == SlackMessage().payload(notification(alert()))


def test_each_event_is_shown() -> None:
    shown: list[str] = []
    events = DatadogEvents(DatadogClient("unused", "http://127.0.0.1:1", lambda: AT))
    EventsConsole(events, shown.append).send(notification(alert("a"), alert("b")))
    assert ["Critical CPU usage on a" in line for line in shown] == [True, False]
    assert all(line.startswith("[not sent: no DATADOG_API_KEY] event to Datadog: {") for line in shown)


def test_series_are_one_line_in_a_while() -> None:
    shown: list[str] = []
    now = [AT]
    console = SeriesConsole(shown.append, lambda: now[0], interval_s=60)
    for _ in range(9):
        console.send([Point("openmanager.cpu.usage", {"server": f"web-{i}"}, 75.3, now[0]) for i in range(20)])
        now[0] += 15
    assert len(shown) == 3
    assert "20 series such as openmanager.cpu.usage{server:web-0, env:production} 75.3" in shown[0]
    assert "80 points" in shown[1]
    assert console.stats().sent == 180
