"""Incidents, forecasts and the report."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import orjson
import pytest

from exporter.analysis.analyst import Analyst
from exporter.analysis.forecast import Filling, line
from exporter.analysis.incidents import Anomaly, Incidents
from exporter.model import Snapshot
from exporter.web.live import Live
from tests.web.fleet import FleetMaker


def odd(metric: str, since: float, server: str = "web-01", score: float = 0.9) -> Anomaly:
    return Anomaly(server, metric, score, 97.0, (30.0, 50.0), since)


def test_one_odd_series_for_a_moment_is_no_incident() -> None:
    incidents = Incidents()
    for t_s in (0.0, 15.0, 30.0):
        incidents.observe(t_s, [odd("cpu", 0.0)])
    assert incidents.open() == []


def test_two_odd_series_of_one_server_are_an_incident_rooted_in_the_first() -> None:
    incidents = Incidents()
    incidents.observe(15.0, [odd("response", 15.0), odd("cpu", 0.0), odd("cpu", 0.0, "db-01")])
    (incident,) = incidents.open()
    assert (incident.server, incident.root.metric, incident.started) == ("web-01", "cpu", 0.0)
    assert incident.confidence > 0.8


def test_one_odd_series_that_stays_odd_is_an_incident() -> None:
    incidents = Incidents()
    incidents.observe(300.0, [odd("memory", 0.0)])
    assert [incident.root.metric for incident in incidents.open()] == ["memory"]


def test_an_incident_ends_after_a_while_of_quiet_and_is_remembered() -> None:
    incidents = Incidents()
    incidents.observe(15.0, [odd("cpu", 0.0), odd("response", 15.0)])
    incidents.observe(100.0, [])
    assert len(incidents.open()) == 1
    incidents.observe(195.0, [])
    assert incidents.open() == []
    assert [incident.ended for incident in incidents.recent()] == [15.0]


def test_evidence_keeps_the_oddest_value_of_each_measure() -> None:
    incidents = Incidents()
    incidents.observe(15.0, [odd("cpu", 0.0, score=0.6), odd("response", 15.0)])
    incidents.observe(30.0, [odd("cpu", 30.0, score=0.99)])
    incidents.observe(45.0, [odd("cpu", 30.0, score=0.7)])
    cpu = incidents.open()[0].evidence[0]
    assert (cpu.metric, cpu.score, cpu.since) == ("cpu", 0.99, 0.0)


def test_a_line_is_found_exactly() -> None:
    t_s = np.arange(10.0) * 60
    slope, level, fit = line(t_s, np.stack([3 + 0.5 * t_s, np.full(10, 7.0)]))
    assert slope == pytest.approx([0.5, 0.0])
    assert level == pytest.approx([3.0, 7.0])
    assert fit == pytest.approx([1.0, 0.0])


def test_a_disk_that_fills_is_foretold_and_a_wobbling_one_is_not() -> None:
    snapshot = FleetMaker("web-01").at(1)
    index = snapshot.columns[2].index
    rng = random.Random(1)
    filling = Filling()
    for minute in range(60):
        filling.observe(minute * 60.0, index, np.array([40.0 + minute, 50 + rng.gauss(0, 1)]))
    (forecast,) = filling.forecasts()
    assert (forecast.server, forecast.mount, forecast.per_hour) == ("web-01", "/", 60.0)
    assert forecast.seconds_to_full == pytest.approx(60.0)


def noisy(maker: FleetMaker, tick: int, rng: random.Random, **changed: dict[str, float]) -> Snapshot:
    """A tick of a fleet whose measures move a little."""
    usual = {
        server.replace("-", "_"): {
            "cpu_usage_percent": 40 + rng.gauss(0, 2),
            "memory_usage_percent": 50 + rng.gauss(0, 0.5),
            **changed.get(server.replace("-", "_"), {}),
        }
        for server in maker.servers
    }
    return maker.at(tick, **usual)


def test_a_failure_becomes_an_incident_in_the_report() -> None:
    maker, rng = FleetMaker("api-01", "web-01"), random.Random(1)
    live, analyst = Live(), Analyst()
    broken = {"cpu_usage_percent": 97.0, "memory_usage_percent": 96.0}
    for tick in range(1, 420):
        snapshot = noisy(maker, tick, rng, **({"web_01": broken} if tick >= 410 else {}))
        live.publish(snapshot)
        analyst.observe(snapshot, live.fleet())
    report = orjson.loads(orjson.dumps(analyst.run(snapshot, live.fleet())))
    (incident,) = report["incidents"]
    assert incident["servers"] == ["web-01"]
    assert {found["metric"] for found in incident["evidence"]} == {"cpu", "memory"}
    assert incident["evidence"][0]["expected"][1] < 97
    assert set(incident["recommendation"]) == set(incident["title"]) == {"en", "ko"}
    health = {server["server"]: server["health_score"] for server in report["servers"]}
    assert health["api-01"] > 90 > 30 > health["web-01"]
    assert analyst.report() is not None
    assert analyst.stats().incidents == 1


def test_a_server_that_falls_silent_is_an_incident_at_once() -> None:
    live, analyst = Live(), Analyst()
    live.publish(FleetMaker("api-01", "web-01").at(1))
    snapshot = FleetMaker("api-01").at(2)
    live.publish(snapshot)
    report: dict[str, Any] = dict(analyst.run(snapshot, live.fleet()))
    (incident,) = report["incidents"]
    assert (incident["root"], incident["title"]["en"]) == ({"server": "web-01", "metric": "up"}, "web-01: no samples")
    assert analyst.stats().anomalies == 0


def test_a_restart_is_an_incident_and_a_clock_that_is_set_is_not() -> None:
    live, analyst, maker = Live(), Analyst(), FleetMaker("api-01", "web-01")
    boots = {"api_01": {"boot_time_seconds": 1_748_000_010.0}, "web_01": {"boot_time_seconds": 1_748_600_000.0}}
    for snapshot in (maker.at(1), maker.at(2, **boots)):
        live.publish(snapshot)
        report: dict[str, Any] = dict(analyst.run(snapshot, live.fleet()))
    assert [incident["root"] for incident in report["incidents"]] == [{"server": "web-01", "metric": "restart"}]


def test_what_is_odd_but_too_small_to_matter_is_no_anomaly() -> None:
    live, analyst, maker, rng = Live(), Analyst(), FleetMaker("web-01"), random.Random(2)
    for tick in range(1, 420):
        cpu = 40 + rng.gauss(0, 0.1) + (3 if tick > 410 else 0)
        snapshot = maker.at(tick, web_01={"cpu_usage_percent": cpu})
        live.publish(snapshot)
        analyst.observe(snapshot, live.fleet())
    assert analyst.scores()["web-01", "cpu"] > 0.5
    assert analyst.stats().anomalies == 0


def test_a_tick_that_was_seen_is_not_counted_again() -> None:
    live, analyst = Live(), Analyst()
    snapshot = FleetMaker().at(1)
    live.publish(snapshot)
    analyst.run(snapshot, live.fleet())
    samples = analyst.stats().samples
    analyst.run(snapshot, live.fleet())
    assert analyst.stats().samples == samples > 0
