"""A real Alertmanager takes what it is posted; a webhook gets Alertmanager's JSON."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from alerter.model import DeliveryError
from alerter.notify.alertmanager import BATCH, Alertmanager
from alerter.notify.rfc3339 import rfc3339
from alerter.notify.webhook import Webhook, payload
from tests.alerter.notify.examples import AT, alert, notification, resolved
from tests.alerter.receivers import Drop, FakeWebhook, Status
from tests.servers import Servers


def held(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=5) as response:
        found = json.load(response)
    assert isinstance(found, list)
    return found


def test_a_real_alertmanager_holds_what_fires_and_forgets_what_has_resolved(servers: Servers) -> None:
    running = servers.alertmanager()
    now = 4_000_000_000.0  # ends far from now: nothing ends while the test runs
    receiver = Alertmanager(running.url, now=lambda: AT)
    firing = [alert(f"web-{i:03}", description="a <b> & 한글") for i in range(BATCH + 10)]
    receiver.send(notification(*firing, at=now))
    found = held(running.url)
    assert len(found) == BATCH + 10
    assert found[0]["startsAt"] == rfc3339(AT - 60)
    assert found[0]["annotations"]["description"] == "a <b> & 한글"
    receiver.send(notification(resolved("web-000"), at=now))
    assert len(held(running.url)) == BATCH + 9


def test_an_alertmanager_that_refuses_is_told_apart_from_one_that_is_away(servers: Servers) -> None:
    running = servers.alertmanager()
    receiver = Alertmanager(running.url, now=lambda: AT)
    with pytest.raises(DeliveryError) as caught:
        receiver.post([(alert(), AT, AT - 3600)])
    assert not caught.value.retryable
    running.kill()
    with pytest.raises(DeliveryError) as caught:
        receiver.post([(alert(), AT, AT + 3600)])
    assert caught.value.retryable


def test_the_webhooks_body_is_alertmanagers() -> None:
    made = payload(notification(alert("a"), resolved("b")), "hook")
    assert made["version"] == "4"
    assert made["status"] == "firing"
    assert made["groupKey"] == '{}:{alertname="CriticalCPUUsage"}'
    assert made["commonLabels"] == {"alertname": "CriticalCPUUsage", "severity": "critical"}
    assert made["commonAnnotations"] == {}
    firing, over = made["alerts"]
    assert (firing["status"], firing["endsAt"]) == ("firing", "0001-01-01T00:00:00Z")
    assert (over["status"], over["endsAt"]) == ("resolved", "2023-11-14T22:13:20.000Z")
    assert firing["fingerprint"] == alert("a").fingerprint


def test_a_webhook_that_fails_says_whether_to_try_again() -> None:
    with FakeWebhook() as hook:
        receiver = Webhook(f"{hook.url}/token-of-mine", now=lambda: AT)
        hook.script(Status(400, "no token-of-mine"), Status(429, "", {"Retry-After": "3"}), Status(502), Drop())
        outcomes = []
        for _ in range(4):
            with pytest.raises(DeliveryError) as caught:
                receiver.send(notification())
            assert "token-of-mine" not in str(caught.value)
            outcomes.append((caught.value.retryable, caught.value.retry_after_s))
        receiver.send(notification())
        assert outcomes == [(False, None), (True, 3.0), (True, None), (True, None)]
        assert len(hook.accepted) == 1
