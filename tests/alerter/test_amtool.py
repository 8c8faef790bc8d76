"""Alertmanager's own tool against the alerter's process: silences made, asked, imported and expired."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from tests.alerter.http_inbox import HttpInbox
from tests.alerter.test_process import Alerter, Machine, get, slack
from tests.servers import Running, Servers, binary, wait_until


@pytest.fixture
def inbox() -> Iterator[HttpInbox]:
    with HttpInbox() as made:
        yield made


@pytest.fixture
def machine(servers: Servers) -> Iterator[Machine]:
    with Machine(servers.prometheus("{}", "--web.enable-remote-write-receiver").url) as made:
        yield made


@pytest.fixture
def alerter(servers: Servers, tmp_path: Path, machine: Machine, inbox: HttpInbox) -> Alerter:
    return Alerter(servers, tmp_path, machine.url, inbox, f"sqlite:///{tmp_path / 'state.db'}")


def amtool(running: Running, *arguments: str) -> str:
    command = [binary("amtool"), f"--alertmanager.url={running.url}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_json(running: Running, *arguments: str) -> Any:
    return json.loads(amtool(running, "-o", "json", *arguments))


def test_a_silence_keeps_alerts_quiet_until_it_is_expired(
    alerter: Alerter, machine: Machine, inbox: HttpInbox, tmp_path: Path
) -> None:
    running = alerter.start()
    key = amtool(
        running, "silence", "add", "server=~web-.*", 'severity!="none"', "-d", "1h", "-c", "works", "-a", "me"
    ).strip()
    machine.cpu = 97.5
    wait_until(lambda: len(as_json(running, "alert", "query", "-s", "alertname=CriticalCPUUsage")) == 4, "the alerts")
    assert as_json(running, "alert", "query", "server=web-01") == []
    (shown,) = as_json(running, "silence", "query")
    assert (shown["id"], shown["comment"], shown["createdBy"]) == (key, "works", "me")
    assert as_json(running, "silence", "query", "server=db-01") == []

    running.kill()  # silences outlive the process
    running = alerter.start()
    exported = tmp_path / "silences.json"
    exported.write_text(amtool(running, "-o", "json", "silence", "query"))
    assert slack(inbox) == []
    amtool(running, "silence", "expire", key)
    wait_until(lambda: len(slack(inbox)) == 1, "the message after the silence")
    assert len(as_json(running, "alert", "query", "alertname=CriticalCPUUsage")) == 4
    assert {each["status"]["state"] for each in as_json(running, "alert", "query", "-i")} == {"suppressed"}
    assert [each["id"] for each in as_json(running, "silence", "query", "--expired")] == [key]

    amtool(running, "silence", "import", "--force", str(exported))
    (again,) = as_json(running, "silence", "query")
    assert again["matchers"] == shown["matchers"]
    amtool(running, "silence", "update", "-d", "2h", "-c", "longer", again["id"])
    assert [each["comment"] for each in as_json(running, "silence", "query")] == ["longer"]


def test_status_and_groups_are_shown(alerter: Alerter, machine: Machine, inbox: HttpInbox) -> None:
    running = alerter.start()
    assert "disabled" in amtool(running, "cluster", "show")
    assert "receiver: slack,datadog" in amtool(running, "config", "show")
    assert amtool(running, "config", "routes", "test", "server=web-01").strip() == "slack,datadog"
    machine.cpu = 97.5
    wait_until(lambda: len(slack(inbox)) == 1, "the message")
    groups = get(f"{running.url}/api/v2/alerts/groups?inhibited=false")
    told = {"slack": [4], "datadog": [1, 1, 1, 1]}  # one message, and one event for each core
    assert {name: [len(each["alerts"]) for each in groups if each["receiver"]["name"] == name] for name in told} == told
    assert [each["labels"] for each in groups if each["receiver"]["name"] == "slack"] == [
        {"alertname": "CriticalCPUUsage", "server": "web-01"}
    ]
    assert get(f"{running.url}/api/v2/alerts/groups?receiver=sl.*&inhibited=false") == [
        {**each, "alerts": ANY} for each in groups if each["receiver"]["name"] == "slack"
    ]
    assert "web-01" in amtool(running, "-o", "extended", "alert", "query")


ROUTES = """
routes:
  - {matchers: ['role="database"'], receivers: [slack], group_by: [server], group_wait: 30s, continue: true}
  - {matchers: [severity=warning, 'env!~"dev|test"'], receivers: [datadog, slack], mute_times: [nights]}
mute_times:
  nights: [{times: [{start_time: "22:00", end_time: "24:00"}], weekdays: ["monday:friday"], location: Asia/Seoul}]
delivery: {inhibit: [{source: [severity=critical], target: ['severity=~"warning|info"'], equal: [server]}]}
"""


def test_routes_and_times_are_shown_as_alertmanager_writes_them(alerter: Alerter, tmp_path: Path) -> None:
    with alerter.config.open("a") as settings:
        settings.write(ROUTES)
    running = alerter.start()
    tested = {
        labels: amtool(running, "config", "routes", "test", *labels.split()).strip()
        for labels in (
            "role=database severity=warning",
            "role=database",
            "severity=warning env=dev",
            "severity=warning",
        )
    }
    assert list(tested.values()) == ["slack,datadog,slack", "slack", "slack,datadog", "datadog,slack"]
    assert '{env!~"dev|test",severity="warning"}  receiver: datadog,slack' in amtool(running, "config", "routes")
    written = tmp_path / "alertmanager.yml"
    written.write_text(amtool(running, "config", "show"))
    checked = subprocess.run([binary("amtool"), "check-config", str(written)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "1 inhibit rules" in checked.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["silence", "add", "server=~.*", "-c", "x", "-a", "me"], "at least one matcher must not match the empty"),
        (["silence", "expire", "nothing"], "404"),
    ],
)
def test_a_silence_that_cannot_be_is_refused_with_the_reason(
    alerter: Alerter, machine: Machine, arguments: list[str], said: str
) -> None:
    running = alerter.start()
    command = [binary("amtool"), f"--alertmanager.url={running.url}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode != 0
    assert said in done.stderr
