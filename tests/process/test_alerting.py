"""The whole job: an incident in the fleet, one message in Slack, series and events in Datadog, one resolve."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.alerter.receivers import FakeDatadog, FakeSlack
from tests.conftest import SHARED
from tests.process.house import QUICK_RULES, House, fetch, page, scratch
from tests.servers import Running, Servers, wait_until

FOR_S, INTERVAL_S = 3, 1
SCHEMAS = SHARED / "data" / "datadog-v1-v2-schemas.json"

ALWAYS_TRUE = """
groups:
  - name: quick
    interval: 1s
    rules:
      - alert: MachineIsOn
        expr: openmanager_memory_usage_percent > 0
        for: 2s
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.server }} is on"}
"""


@dataclass
class Told:
    """Where the messages arrive."""

    slack: FakeSlack
    datadog: FakeDatadog

    @property
    def settings(self) -> str:
        return f"datadog: {{api_url: '{self.datadog.url}', interval: 1s}}\n"

    @property
    def env(self) -> dict[str, str]:
        return {"SLACK_WEBHOOK_URL": self.slack.webhook, "DATADOG_API_KEY": self.datadog.key}

    def firing(self) -> list[Any]:
        return [message for message in self.slack.accepted if "resolved" not in str(message).lower()]

    def resolved(self) -> list[Any]:
        return [message for message in self.slack.accepted if "resolved" in str(message).lower()]


@pytest.fixture
def told() -> Iterator[Told]:
    """A local Slack and a local Datadog, which check what they are sent."""
    with FakeSlack() as slack, FakeDatadog(schemas=SCHEMAS if SCHEMAS.exists() else None) as datadog:
        yield Told(slack, datadog)


def inject(house: House, failure: str, duration: str = "1h") -> float:
    """Break web-01 and return when its cpu is over 95 %."""
    body = {"type": "cpu-saturation", "targets": ["web-01"], "duration": duration, "id": failure}
    fetch(f"{house.exporter_url}/api/scenarios", method="POST", body=body)
    api = f"{house.exporter_url}/api/prometheus/api/v1/query?query=min(openmanager_cpu_usage_percent"
    wait_until(
        lambda: bool(fetch(f'{api}{{server="web-01"}})>95'.replace('"', "%22").replace(">", "%3E"))["data"]["result"]),
        "every core over 95 %",
    )
    return time.monotonic()


def clear(house: House, failure: str) -> None:
    import urllib.request

    request = urllib.request.Request(f"{house.exporter_url}/api/scenarios/{failure}", method="DELETE")
    with urllib.request.urlopen(request, timeout=10):
        pass


def quiet_for(told: Told, seconds: float) -> None:
    """Long enough for a second message to come, if one were to come."""
    known = len(told.slack.requests)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.1)
        assert len(told.slack.requests) == known


def test_an_incident_is_told_once_and_its_end_once(servers: Servers, told: Told) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"))
    house.exporter()
    house.alerter(settings=told.settings, env=told.env)
    above = inject(house, "one")
    wait_until(lambda: bool(told.slack.accepted), "the Slack message")
    # one interval for the tick to be seen, one for the evaluation, and the time to send it
    assert time.monotonic() - above <= FOR_S + 2 * INTERVAL_S + 1
    (message,) = told.slack.accepted
    assert (message["channel"], message["username"], message["icon_emoji"]) == (
        "#monitoring",
        "OpenManager Bot",
        ":robot_face:",
    )
    assert message["text"] == "🚨 Critical CPU usage on web-01"
    (attachment, *_) = message["attachments"]
    assert attachment["color"] == "danger"
    fields = {field["title"]: field["value"] for field in attachment["fields"]}
    assert fields["서버"] == "web-01"
    assert float(fields["현재 값"].removesuffix("%")) > 95
    quiet_for(told, 4)

    clear(house, "one")
    wait_until(lambda: len(told.slack.accepted) == 2, "the resolve")
    assert told.slack.accepted[1]["attachments"][0]["color"] == "good"
    quiet_for(told, 4)
    assert_datadog_was_told(told)


def assert_datadog_was_told(told: Told) -> None:
    names = {series["metric"] for series in told.datadog.series}
    assert {"openmanager.cpu.usage", "openmanager.memory.usage", "openmanager.disk.usage"} <= names
    assert {"openmanager.network.receive", "openmanager.network.transmit"} <= names
    cpu = [series for series in told.datadog.series if series["metric"] == "openmanager.cpu.usage"]
    assert {"server:web-01", "env:production"} <= set(cpu[0]["tags"])
    assert cpu[0]["host"] == "openmanager-v5"
    points = [(series["metric"], *series["tags"], series["points"][0][0]) for series in told.datadog.series]
    assert len(points) == len(set(points))
    kinds = [(event["aggregation_key"], event["alert_type"]) for event in told.datadog.events]
    assert len(kinds) == len(set(kinds))
    assert {kind for _, kind in kinds} == {"error", "success"}


@pytest.mark.parametrize("moment", ["while pending", "while firing", "while resolved"])
def test_both_killed_in_the_middle_nothing_is_lost_or_doubled(servers: Servers, told: Told, moment: str) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"))
    running = _both(house, told)
    inject(house, "one")
    if moment != "while pending":
        wait_until(lambda: bool(told.slack.accepted), "the Slack message")
    if moment == "while resolved":
        clear(house, "one")
        wait_until(lambda: len(told.slack.accepted) == 2, "the resolve")
    for process in running:
        process.kill()
    _both(house, told)
    wait_until(lambda: bool(told.slack.accepted), "the Slack message")
    quiet_for(told, 3)
    if moment != "while resolved":
        assert len(told.slack.accepted) == 1
        clear(house, "one")
        wait_until(lambda: len(told.slack.accepted) == 2, "the resolve")
    quiet_for(told, 3)
    assert [message["attachments"][0]["color"] for message in told.slack.accepted] == ["danger", "good"]


def _both(house: House, told: Told) -> tuple[Running, Running]:
    exporter = house.exporter()
    settings = told.settings + "evaluation: {grace: 3s}\n"
    return exporter, house.alerter(settings=settings, env=told.env)


def test_the_same_with_the_machine_it_runs_on(servers: Servers, told: Told) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"), source="host")
    house.exporter()
    house.alerter(ALWAYS_TRUE, told.settings, told.env)
    wait_until(lambda: bool(told.slack.accepted), "the Slack message")
    (message,) = told.slack.accepted
    assert message["text"].endswith(" is on")
    wait_until(lambda: bool(told.datadog.events), "the event")
    quiet_for(told, 3)
    assert {series["metric"] for series in told.datadog.series} >= {"openmanager.cpu.usage", "openmanager.memory.usage"}


def test_a_redis_that_stops_in_the_middle_changes_nothing_for_slack(servers: Servers, told: Told) -> None:
    redis = servers.redis()
    house = House(servers, redis.url)
    house.exporter()
    house.alerter(settings=told.settings, env=told.env)
    redis.kill()
    inject(house, "one")
    wait_until(lambda: bool(told.slack.accepted), "the Slack message")
    servers.redis(port=redis.port)
    quiet_for(told, 3)
    assert len(told.slack.accepted) == 1


def test_no_secret_is_in_a_log_a_page_or_a_file(servers: Servers, told: Told) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"))
    house.exporter()
    alerter = house.alerter(settings=told.settings, env=told.env)
    inject(house, "one")
    wait_until(lambda: bool(told.slack.accepted), "the Slack message")
    secrets = (told.slack.path, told.datadog.key)
    seen = alerter.output() + "".join(page(house.alerter_url + path) for path in ("/", "/metrics", "/api/v1/alerts"))
    assert not any(secret in seen for secret in secrets)
    kept = b"".join(file.read_bytes() for file in Path(servers.folder).iterdir() if file.is_file())
    assert not any(secret.encode() in kept for secret in secrets)


def test_without_secrets_the_messages_are_printed_and_marked(servers: Servers) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"))
    house.exporter()
    alerter = house.alerter(QUICK_RULES)
    inject(house, "one")
    wait_until(lambda: "Critical CPU usage on web-01" in alerter.output(), "the printed message")
    printed = [line for line in alerter.output().splitlines() if "Critical CPU usage on web-01" in line]
    assert any("not sent" in line for line in alerter.output().splitlines())
    assert printed


def test_a_server_in_maintenance_pages_nobody_until_it_is_over(servers: Servers, told: Told) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"))
    house.exporter("--failures.rate", "0")
    web_01 = f"{house.exporter_url}/api/servers/web-01"
    window = {"start": time.time() - 60, "end": time.time() + 3_600, "reason": "new disk"}
    fetch(web_01, method="PATCH", body={"maintenance": [window]})
    house.alerter(settings=told.settings, env=told.env)
    silences = f"{house.alerter_url}/api/v2/silences"
    wait_until(lambda: bool(fetch(silences)), "the silence")
    (silence,) = fetch(silences)
    assert (silence["createdBy"], silence["comment"], silence["status"]["state"]) == (
        "maintenance",
        "new disk",
        "active",
    )
    inject(house, "quiet")
    alerts = f"{house.alerter_url}/api/v2/alerts"
    wait_until(
        lambda: any(silence["id"] in alert["status"]["silencedBy"] for alert in fetch(alerts)), "the silenced alert"
    )
    quiet_for(told, 5)
    assert not told.slack.requests
    fetch(web_01, method="PATCH", body={"maintenance": []})
    wait_until(lambda: bool(told.slack.accepted), "the message after the window")
    assert "web-01" in told.slack.accepted[0]["text"]
