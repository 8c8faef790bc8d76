"""The alerter beside real peers: its API against Prometheus', ALERTS by remote write, and a real Alertmanager."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerter.http_inbox import HttpInbox
from tests.alerter.test_process import RULES, Alerter, Machine, get
from tests.servers import Running, Servers, answers, binary, free_port, wait_until


@pytest.fixture
def inbox() -> Iterator[HttpInbox]:
    with HttpInbox() as made:
        yield made


def alertmanager(servers: Servers, folder: Path) -> Running:
    port = free_port()
    config = folder / "alertmanager.yml"
    config.write_text("{route: {receiver: none}, receivers: [{name: none}]}")
    command = [binary("prometheus-alertmanager"), f"--config.file={config}", f"--storage.path={folder / 'am'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    url = f"http://127.0.0.1:{port}"
    return servers.start(command, port, lambda: answers(f"{url}/-/ready"), url=url)


def with_rules(url: str, path: str) -> Any:
    return get(f"{url}{path}")["data"]


def shape(value: Any) -> Any:
    """What there is and of which type, without what it says."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return "number" if isinstance(value, int | float) else type(value).__name__


def test_rules_and_alerts_have_the_shapes_of_a_prometheus_with_the_same_rules(
    servers: Servers, tmp_path: Path, inbox: HttpInbox
) -> None:
    rules = {
        "groups": [
            *RULES["groups"],
            {"name": "zz", "rules": [{"record": "cpu:max", "expr": "max(openmanager_cpu_usage_percent)"}]},
        ]
    }
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(rules))
    config = f"{{rule_files: ['{file}'], global: {{evaluation_interval: 500ms}}}}"
    prometheus = servers.prometheus(config, "--web.enable-remote-write-receiver")
    with Machine(prometheus.url) as machine:
        machine.cpu = 97.5
        alerter = Alerter(servers, tmp_path, prometheus.url, inbox, f"sqlite:///{tmp_path / 's.db'}")
        file.write_text(yaml.safe_dump(rules))
        running = alerter.start()

        def both_fire() -> bool:
            shown = [with_rules(url, "/api/v1/alerts")["alerts"] for url in (prometheus.url, running.url)]
            return all(sum(alert["state"] == "firing" for alert in alerts) == 8 for alerts in shown)

        wait_until(both_fire, "eight firing alerts in both")
        wait_until(lambda: "unknown" not in str(with_rules(running.url, "/api/v1/rules")), "every rule evaluated")
        theirs, ours = (with_rules(url, "/api/v1/rules") for url in (prometheus.url, running.url))
    assert shape(ours) == shape(theirs)
    for mine, their in zip(ours["groups"], theirs["groups"], strict=True):
        assert (mine["name"], mine["limit"]) == (their["name"], their["limit"])
        for my_rule, their_rule in zip(mine["rules"], their["rules"], strict=True):
            for name in ("name", "query", "health", "type", "state", "duration", "keepFiringFor", "labels"):
                assert my_rule.get(name) == their_rule.get(name)
            assert _values(my_rule) == _values(their_rule)


def _values(rule: dict[str, Any]) -> list[Any]:
    names = ("labels", "annotations", "state", "value")
    return sorted(([alert[name] for name in names] for alert in rule.get("alerts", ())), key=str)


def test_alerts_are_written_back_and_ended_with_a_stale_marker(
    servers: Servers, tmp_path: Path, inbox: HttpInbox
) -> None:
    prometheus = servers.prometheus("{}", "--web.enable-remote-write-receiver")
    with Machine(prometheus.url) as machine:
        alerter = Alerter(servers, tmp_path, prometheus.url, inbox, f"sqlite:///{tmp_path / 's.db'}")
        settings = yaml.safe_load(alerter.config.read_text())
        settings["remote_write"] = {"url": f"{prometheus.url}/api/v1/write"}
        alerter.config.write_text(yaml.safe_dump(settings))
        alerter.start()

        def count(expr: str) -> int:
            return len(get(f"{prometheus.url}/api/v1/query?query={expr}")["data"]["result"])

        machine.cpu = 97.5
        wait_until(lambda: count('ALERTS{alertstate="pending"}') > 0, "pending alerts")
        wait_until(lambda: count('ALERTS{alertstate="firing"}') == 8, "firing alerts")
        wait_until(lambda: count('ALERTS{alertstate="pending"}') == 0, "the end of the pending ones")
        assert count("ALERTS_FOR_STATE") == 8
        machine.cpu = 20.0
        wait_until(lambda: count('{__name__=~"ALERTS.*"}') == 0, "the end of them all")


def test_an_alertmanager_gets_what_fires_and_what_is_over(servers: Servers, tmp_path: Path, inbox: HttpInbox) -> None:
    prometheus = servers.prometheus("{}", "--web.enable-remote-write-receiver")
    peer = alertmanager(servers, tmp_path)
    with Machine(prometheus.url) as machine:
        alerter = Alerter(servers, tmp_path, prometheus.url, inbox, f"sqlite:///{tmp_path / 's.db'}")
        settings = yaml.safe_load(alerter.config.read_text())
        settings |= {"alertmanager": {"url": peer.url}, "evaluation": {"resend_delay": "1s"}}
        alerter.config.write_text(yaml.safe_dump(settings))
        alerter.start()
        machine.cpu = 97.5
        wait_until(lambda: len(get(f"{peer.url}/api/v2/alerts")) == 8, "the alerts")
        peer.kill()
        port = peer.port
        command = [binary("prometheus-alertmanager"), f"--config.file={tmp_path / 'alertmanager.yml'}"]
        command += [f"--storage.path={tmp_path / 'am2'}", "--cluster.listen-address="]
        command += [f"--web.listen-address=127.0.0.1:{port}"]
        again = servers.start(command, port, lambda: answers(f"{peer.url}/-/ready"), url=peer.url)
        wait_until(lambda: len(get(f"{again.url}/api/v2/alerts")) == 8, "the alerts, after it was away")
        machine.cpu = 20.0
        wait_until(lambda: get(f"{again.url}/api/v2/alerts") == [], "their end")
