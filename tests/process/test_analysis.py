"""The analysis of a real exporter: a failure becomes an incident that rules can alert on, also after a restart."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from tests.process.house import House, fetch, scratch
from tests.servers import Servers, wait_until

RULES = """
groups:
  - name: analysed
    interval: 1s
    rules:
      - alert: AnalysedIncident
        expr: openmanager_incident_active{server="web-02"} == 1
        annotations: {summary: "an incident began with {{ $labels.metric }} of {{ $labels.server }}"}
"""


def asked(house: House, promql: str) -> list[Any]:
    """The result of an instant query."""
    answer = fetch(f"{house.exporter_url}/api/prometheus/api/v1/query?{urlencode({'query': promql})}")
    return list(answer["data"]["result"])


def report(house: House) -> Any:
    return fetch(f"{house.exporter_url}/api/ai-agent/optimized?lang=en")["data"]


def test_a_failure_of_a_fresh_fleet_is_an_incident_that_a_rule_alerts_on(servers: Servers) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"))
    house.exporter()
    house.alerter(RULES)
    fetch(
        f"{house.exporter_url}/api/scenarios",
        method="POST",
        body={"type": "cpu-saturation", "targets": ["web-02"], "duration": "10m"},
    )
    promql = 'openmanager_incident_active{server="web-02"}'
    wait_until(lambda: bool(asked(house, promql)), "the incident as a series", 120)
    assert asked(house, 'openmanager_health_score{server="web-02"} < 50')
    alerts = f"{house.alerter_url}/api/v1/alerts"
    wait_until(lambda: bool(fetch(alerts)["data"]["alerts"]), "the alert", 60)
    assert fetch(alerts)["data"]["alerts"][0]["labels"]["server"] == "web-02"
    wait_until(lambda: bool(report(house)["incidents"]), "the incident in the report", 60)
    (incident,) = (found for found in report(house)["incidents"] if found["root"]["server"] == "web-02")
    assert incident["evidence"][0]["text"].startswith("web-02: ")
    assert incident["recommendation"]


def test_after_a_restart_the_analysis_knows_the_stored_past(servers: Servers) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"))
    first = house.exporter()
    wait_until(lambda: len(asked(house, "count_over_time(openmanager_boot_time_seconds[5m]) >= 8")) == 20, "ticks", 60)
    assert first.stop() == 0
    second = house.exporter()
    wait_until(lambda: "analysis knows the stored past" in second.output(), "the past", 60)
    told = next(line for line in second.output().splitlines() if "analysis knows the stored past" in line)
    assert (
        int(told.rpartition("ticks=")[2].rstrip('"')) >= 7
    )  # a start within the last tick's second makes that one now


def test_the_machine_it_runs_on_is_analysed_too(servers: Servers) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"), source="host")
    house.exporter()
    wait_until(lambda: bool(asked(house, "openmanager_anomaly_score")), "scores", 60)
    found = report(house)
    assert len(found["servers"]) == 1
    assert {series["metric"]["metric"] for series in asked(house, "openmanager_anomaly_score")} >= {"cpu", "memory"}
