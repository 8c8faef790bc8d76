"""The real process: a real Prometheus as its datasource, a local server in the place of Slack and Datadog."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import yaml

from alerter.datasource.remote_write import RemoteWriter
from alerter.decisions.evaluation import Element
from exporter.model import make_labels
from tests.alerter.http_inbox import HttpInbox
from tests.servers import Running, Servers, answers, free_port, wait_until

RULES = {
    "groups": [
        {
            "name": "cpu_alerts",
            "interval": "500ms",
            "rules": [
                {
                    "alert": "HighCPUUsage",
                    "expr": "openmanager_cpu_usage_percent > 80",
                    "for": "1s",
                    "labels": {"severity": "warning"},
                    "annotations": {"summary": "High CPU usage on {{ $labels.server }}"},
                },
                {
                    "alert": "CriticalCPUUsage",
                    "expr": "openmanager_cpu_usage_percent > 95",
                    "for": "1s",
                    "labels": {"severity": "critical"},
                    "annotations": {"summary": "Critical CPU usage on {{ $labels.server }}"},
                },
            ],
        }
    ]
}


class Machine:
    """Writes the cpu of a server with four cores into a Prometheus, ten times a second."""

    def __init__(self, url: str) -> None:
        self.cpu = 20.0
        self.url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self) -> None:
        async with RemoteWriter(f"{self.url}/api/v1/write", 10) as writer:
            while not self._stop.is_set():
                names = [
                    make_labels({"__name__": "openmanager_cpu_usage_percent", "server": "web-01", "core": str(core)})
                    for core in range(4)
                ]
                await writer.write([Element(labels, self.cpu) for labels in names], [], time.time())
                await asyncio.sleep(0.1)

    def __enter__(self) -> Machine:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


class Alerter:
    """Starts the alerter's process with one set of files, as often as it is asked."""

    def __init__(self, servers: Servers, folder: Path, datasource: str, inbox: HttpInbox, state: str) -> None:
        self.servers, self.folder = servers, folder
        self.rules = folder / "rules.yml"
        self.rules.write_text(yaml.safe_dump(RULES))
        self.config = folder / "alerter.yml"
        settings = {
            "rules": [str(self.rules)],
            "state": {"url": state},
            "datasource": {"url": datasource},
            "datadog": {"api_url": inbox.url, "interval": "1s"},
        }
        self.config.write_text(yaml.safe_dump(settings))
        self.environment = {"SLACK_WEBHOOK_URL": f"{inbox.url}/slack", "DD_API_KEY": "0123456789abcdef0123456789abcdef"}

    def start(self, **environment: str) -> Running:
        port = free_port()
        command = [sys.executable, "-m", "alerter", "--config.file", str(self.config)]
        command += ["--web.listen-address", f"127.0.0.1:{port}"]
        env = environment or self.environment
        url = f"http://127.0.0.1:{port}"
        return self.servers.start(command, port, lambda: answers(f"{url}/-/ready"), url=url, env=env)


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as response:
        return json.loads(response.read())


@pytest.fixture
def inbox() -> Iterator[HttpInbox]:
    with HttpInbox() as made:
        yield made


@pytest.fixture
def machine(servers: Servers) -> Iterator[Machine]:
    prometheus = servers.prometheus("{}", "--web.enable-remote-write-receiver")
    with Machine(prometheus.url) as made:
        yield made


@pytest.fixture(params=["sqlite", "redis"])
def alerter(
    request: pytest.FixtureRequest, servers: Servers, tmp_path: Path, machine: Machine, inbox: HttpInbox
) -> Alerter:
    state = servers.redis().url if request.param == "redis" else f"sqlite:///{tmp_path / 'state.db'}"
    return Alerter(servers, tmp_path, machine.url, inbox, state)


def slack(inbox: HttpInbox) -> list[str]:
    return [body["text"] for body in inbox.to("/slack")]


def test_an_incident_is_one_message_and_its_end_another_through_kills(
    alerter: Alerter, machine: Machine, inbox: HttpInbox
) -> None:
    running = alerter.start()
    machine.cpu = 97.5
    wait_until(lambda: metric(running, "notifications_total") == 9, "the message and eight events, recorded")
    running.kill()
    running = alerter.start()
    wait_until(lambda: evaluated(running), "an evaluation after the restart")
    running.kill()
    machine.cpu = 20.0
    running = alerter.start()
    wait_until(lambda: len(slack(inbox)) == 2, "the end")
    wait_until(lambda: len(inbox.to("/api/v1/events")) == 16, "the events of four cores and two rules")
    seen = evaluations(running)
    wait_until(lambda: evaluations(running) > seen + 2, "two more evaluations")
    assert running.interrupt() == 0
    assert ["Critical CPU usage on web-01" in text for text in slack(inbox)] == [True, True]
    assert len(inbox.to("/api/v1/events")) == 16
    kinds = [event["alert_type"] for event in inbox.to("/api/v1/events")]
    assert (kinds.count("error"), kinds.count("warning"), kinds.count("success")) == (4, 4, 8)
    names = {series["metric"] for body in inbox.to("/api/v1/series") for series in body["series"]}
    assert names == {"openmanager.cpu.usage"}
    points = [
        point[0] for body in inbox.to("/api/v1/series") for series in body["series"] for point in series["points"]
    ]
    assert len(points) == len(set(points)), "no point was sent twice"


def metric(running: Running, name: str) -> float:
    with urllib.request.urlopen(f"{running.url}/metrics", timeout=5) as response:
        lines = response.read().decode().splitlines()
    found = [line for line in lines if line.startswith(f"openmanager_alerter_{name}")]
    return sum(float(line.split()[-1]) for line in found)


def evaluations(running: Running) -> float:
    return metric(running, "group_evaluations_total")


def evaluated(running: Running) -> bool:
    return evaluations(running) >= 2


def test_without_secrets_it_says_what_it_would_have_sent(
    servers: Servers, tmp_path: Path, machine: Machine, inbox: HttpInbox
) -> None:
    alerter = Alerter(servers, tmp_path, machine.url, inbox, f"sqlite:///{tmp_path / 's.db'}")
    running = alerter.start(SLACK_WEBHOOK_URL="", DD_API_KEY="", DATADOG_API_KEY="")
    machine.cpu = 99.0
    wait_until(lambda: "[not sent: no SLACK_WEBHOOK_URL]" in running.output(), "the line for Slack")
    wait_until(lambda: "[not sent: no DATADOG_API_KEY] event" in running.output(), "the line for Datadog")
    wait_until(lambda: "[not sent: no DATADOG_API_KEY] series" in running.output(), "the series for Datadog")
    assert running.interrupt() == 0
    assert inbox.requests == []


def test_a_bad_reload_leaves_the_old_rules_running_and_a_good_one_keeps_their_state(
    servers: Servers, tmp_path: Path, machine: Machine, inbox: HttpInbox
) -> None:
    alerter = Alerter(servers, tmp_path, machine.url, inbox, f"sqlite:///{tmp_path / 's.db'}")
    running = alerter.start()
    machine.cpu = 97.5
    wait_until(lambda: len(slack(inbox)) == 1, "the message")
    good = alerter.rules.read_text()
    alerter.rules.write_text(good.replace("> 80", "> > 80"))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(f"{running.url}/-/reload", method="POST"), timeout=5)
    assert "group 'cpu_alerts': alert 'HighCPUUsage': expr: 1:33: parse error" in refused.value.read().decode()
    assert len(get(f"{running.url}/api/v1/rules")["data"]["groups"][0]["rules"]) == 2
    since = {alert["activeAt"] for alert in get(f"{running.url}/api/v1/alerts")["data"]["alerts"]}
    alerter.rules.write_text(good.replace("> 80", "> 70"))
    urllib.request.urlopen(urllib.request.Request(f"{running.url}/-/reload", method="POST"), timeout=5).close()
    queries = [rule["query"] for rule in get(f"{running.url}/api/v1/rules")["data"]["groups"][0]["rules"]]
    assert queries[0] == "openmanager_cpu_usage_percent > 70"
    seen = evaluations(running)
    wait_until(lambda: evaluations(running) != seen, "an evaluation")
    assert {alert["activeAt"] for alert in get(f"{running.url}/api/v1/alerts")["data"]["alerts"]} == since
    alerter.rules.write_text(good.replace("> 80", "> 60"))
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "> 60" in str(get(f"{running.url}/api/v1/rules")), "the rules after SIGHUP")
    alerter.rules.write_text("groups: [")
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: metric(running, "reload_failures_total") == 2, "the refusal")
    assert running.output().count("rules not reloaded, the old ones run on") == 2
    with urllib.request.urlopen(alert_link(running), timeout=5) as response:
        assert "4 series now" in response.read().decode()
    machine.cpu = 20.0
    wait_until(lambda: len(slack(inbox)) == 2, "the end")


def alert_link(running: Running) -> str:
    alerts = get(f"{running.url}/api/v2/alerts")
    return str(alerts[0]["generatorURL"].replace("http://127.0.0.1:3002", running.url))


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--web.listen-address", "nonsense"], {}, "must be HOST:PORT"),
        (["--rules", "/nowhere/*.yml"], {}, "/nowhere/*.yml: no such rule file"),
        (["--state.url", "sqlite:////proc/nowhere/s.db"], {}, "/proc/nowhere"),
        (["--state.url", "postgres://x"], {}, "must start with"),
        (["--state.url", "redis://:secret@host:port/0"], {}, "state.url: not a usable Redis URL"),
        (["--slack.template", "/nowhere.j2"], {}, "slack.template: /nowhere.j2: No such file or directory"),
        (["--evaluation.interval", "soon"], {}, "not a valid duration"),
        ([], {"SLACK_WEBHOOK_URL_FILE": "/nowhere"}, "SLACK_WEBHOOK_URL_FILE: /nowhere: No such file or directory"),
        ([], {"SLACK_WEBHOOK_URL": "hooks.slack.example/T0/B0/secret"}, "SLACK_WEBHOOK_URL: not an http or https URL"),
    ],
)
def test_unusable_input_is_one_line_and_exit_code_2(
    arguments: list[str], environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    base = ["--state.url", f"sqlite:///{tmp_path / 's.db'}", "--web.listen-address", f"127.0.0.1:{free_port()}"]
    done = run_to_the_end([*base, *arguments], environment)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "secret" not in done.stderr


def run_to_the_end(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alerter", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)


def test_a_port_in_use_is_one_line_and_exit_code_2(inbox: HttpInbox, tmp_path: Path) -> None:
    address = inbox.url.removeprefix("http://")
    done = run_to_the_end(["--web.listen-address", address, "--state.url", f"sqlite:///{tmp_path / 's.db'}"], {})
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert f"--web.listen-address {address}: Address already in use" in done.stderr


def test_a_rule_file_with_mistakes_is_one_line_at_the_start_and_all_of_them_in_check(tmp_path: Path) -> None:
    rules = tmp_path / "node.yml"
    rules.write_text(
        "groups:\n- name: node\n  rules:\n  - alert: HostDown\n    expr: up == (\n    for: 5 minutes\n"
        '    annotations: {a: "{{ nope }}"}\n'
    )
    started = run_to_the_end(["--rules", str(rules), "--state.url", f"sqlite:///{tmp_path / 's.db'}"], {})
    assert (started.returncode, len(started.stderr.splitlines())) == (2, 1)
    assert f"{rules}:5:" in started.stderr
    assert "(and 2 more)" in started.stderr
    checked = run_to_the_end(["check", str(rules)], {})
    assert checked.returncode == 1
    assert "node.yml:6:10: group 'node': alert 'HostDown': duration '5 minutes': not a valid duration string\n" in (
        checked.stdout
    )
    assert "    for: 5 minutes\n" in checked.stdout
    assert checked.stdout.endswith("3 mistakes\n")


def test_two_alerters_on_one_redis_tell_once_and_the_other_takes_over(
    servers: Servers, tmp_path: Path, machine: Machine, inbox: HttpInbox
) -> None:
    alerter = Alerter(servers, tmp_path, machine.url, inbox, servers.redis().url)
    first, second = alerter.start(), alerter.start()
    wait_until(lambda: "another alerter leads, standing by" in second.output(), "the second standing by")
    silence = Request(f"{second.url}/api/v2/silences", b"{}", {"Content-Type": "application/json"})
    with pytest.raises(HTTPError, match="503"):
        urlopen(silence, timeout=5)
    machine.cpu = 97.5
    wait_until(lambda: metric(first, "notifications_total") == 9, "the message and eight events")
    first.kill()
    wait_until(lambda: evaluated(second), "the second leading", 15)
    machine.cpu = 20.0
    wait_until(lambda: metric(second, "notifications_total") == 9, "the end, and the ends of eight")
    assert (len(slack(inbox)), len(inbox.to("/api/v1/events"))) == (2, 16)
    third = alerter.start()
    wait_until(lambda: "another alerter leads, standing by" in third.output(), "the third standing by")
    assert third.interrupt() == 0
    assert second.interrupt() == 0


def test_a_leader_that_was_paused_tells_nothing_that_another_one_has_told_meanwhile(
    servers: Servers, tmp_path: Path, machine: Machine, inbox: HttpInbox
) -> None:
    alerter = Alerter(servers, tmp_path, machine.url, inbox, servers.redis().url)
    first, second = alerter.start(), alerter.start()
    wait_until(lambda: "another alerter leads, standing by" in second.output(), "the second standing by")
    first.process.send_signal(signal.SIGSTOP)
    machine.cpu = 97.5
    wait_until(lambda: evaluated(second), "the second leading", 15)
    wait_until(lambda: metric(second, "notifications_total") == 9, "the message and eight events")
    first.process.send_signal(signal.SIGCONT)
    wait_until(lambda: "another alerter leads now" in first.output(), "the first noticing")
    wait_until(lambda: "another alerter leads, standing by" in first.output(), "the first standing by")
    assert (len(slack(inbox)), len(inbox.to("/api/v1/events"))) == (1, 8)
    second.kill()
    wait_until(lambda: evaluated(first), "the first leading again", 15)
    machine.cpu = 20.0
    wait_until(lambda: metric(first, "notifications_total") == 9, "the ends")
    assert (len(slack(inbox)), len(inbox.to("/api/v1/events"))) == (2, 16)
    assert first.interrupt() == 0


def test_send_test_says_what_every_receiver_answered(inbox: HttpInbox, tmp_path: Path) -> None:
    config = tmp_path / "alerter.yml"
    config.write_text(yaml.safe_dump({"datadog": {"api_url": inbox.url}}))
    secrets = {"SLACK_WEBHOOK_URL": f"{inbox.url}/slack", "DD_API_KEY": "0123456789abcdef0123456789abcdef"}
    arguments = ["send-test", "--config.file", str(config)]
    done = run_to_the_end(arguments, secrets)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(" in ")[0] for line in done.stdout.splitlines()] == [
        "slack: firing: accepted",
        "slack: resolved: accepted",
        "datadog: firing: accepted",
        "datadog: resolved: accepted",
    ]
    assert ["Test message from OpenManager" in text for text in slack(inbox)] == [True, True]
    inbox.answer = lambda path: (403, "invalid_token", {}) if path == "/slack" else None
    done = run_to_the_end(arguments, secrets)
    assert done.returncode == 1
    assert "slack: firing: not accepted: 403 invalid_token\n" in done.stdout


def test_a_redis_that_is_away_stops_nothing_and_is_caught_up(
    servers: Servers, tmp_path: Path, machine: Machine, inbox: HttpInbox
) -> None:
    port = free_port()
    alerter = Alerter(servers, tmp_path, machine.url, inbox, f"redis://127.0.0.1:{port}/0")
    running = alerter.start()
    machine.cpu = 97.5
    wait_until(lambda: len(slack(inbox)) == 1, "the message without redis")
    assert running.output().count("kept state not read") == 1
    assert running.output().count("state not written") == 1
    servers.redis(port=port)
    wait_until(lambda: "state written again" in running.output(), "the catching up")
    running.kill()
    running = alerter.start()
    wait_until(lambda: evaluated(running), "an evaluation after the restart")
    machine.cpu = 20.0
    wait_until(lambda: len(slack(inbox)) == 2, "the end")
    assert ["🚨" in text for text in slack(inbox)] == [True, False]
