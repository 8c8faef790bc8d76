"""`send-test`: one real message through every receiver and template, with each one's answer."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from typing import TextIO

from alerter.config import Config
from alerter.datasource.expansion import graph_link
from alerter.model import Alert, AlertState, DeliveryError, Notification
from alerter.receivers import Surroundings, wire
from alerter.secrets import Secrets
from exporter.model import make_labels

_SINCE_S = 300.0


class _Forgetful:
    """A memory for one command."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        return self._kept.get(key)

    def put(self, key: str, value: str | None) -> None:
        self._kept.pop(key, None)
        if value is not None:
            self._kept[key] = value


def send_test(config: Config, secrets: Secrets, out: TextIO) -> int:
    """Send an alert and its end and say what each receiver answered; 0 if all accepted, 1 otherwise.

    Raises ReceiverError.
    """
    wired = wire(config, secrets, _world(out))
    now = time.time()
    alert = _alert(config, now)
    over = dataclasses.replace(alert, state=AlertState.RESOLVED, resolved_at=now, resolved_value=12.5)
    told = [(each.receiver.name, each.receiver.send) for each in wired.receivers]
    failed = 0
    for name, send in told:
        for each in (alert, over):
            notification = _notification(config, each, now)
            failed += _fails(f"{name}: {each.state}", lambda send=send, it=notification: send(it), out)  # type: ignore[misc] # bound now
    for loop in wired.alertmanagers:
        failed += _fails(loop.name, lambda loop=loop: loop.post([(over, over.active_at, now)]), out)  # type: ignore[misc] # bound now
    return 1 if failed else 0


def _world(out: TextIO) -> Surroundings:
    def write(line: str) -> None:
        print(f"  {line}", file=out)

    return Surroundings(time.time, asyncio.sleep, lambda: 0.0, write, _Forgetful())


def _alert(config: Config, now: float) -> Alert:
    since = now - _SINCE_S
    labels = {"alertname": "OpenManagerTest", "server": "test-01", "severity": "info"}
    annotations = (
        ("description", "Nothing is wrong: somebody tests the receivers of openmanager-alerter."),
        ("summary", "Test message from OpenManager"),
    )
    link = graph_link(config.web.link, "vector(87.5) > 80")
    return Alert(make_labels(labels), annotations, AlertState.FIRING, 87.5, since, since, generator_url=link)


def _notification(config: Config, alert: Alert, now: float) -> Notification:
    group = make_labels({"alertname": alert.label["alertname"], "server": alert.label["server"]})
    sparklines = {alert.fingerprint: "▁▂▄▆█"}
    return Notification(f"test-{now:.3f}-{alert.state}", group, (alert,), now, config.web.link, sparklines)


def _fails(what: str, send: Callable[[], None], out: TextIO) -> bool:
    began = time.monotonic()
    try:
        send()
    except DeliveryError as err:
        print(f"{what}: not accepted: {err}", file=out)
        return True
    print(f"{what}: accepted in {(time.monotonic() - began) * 1_000:.0f} ms", file=out)
    return False
