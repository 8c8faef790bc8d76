"""Incidents, forecasts and the report."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import orjson
import pytest

from exporter.analysis.analyst import Analyst
from exporter.analysis.forecast import DISK_S, Filling, line
from exporter.model import Snapshot
from exporter.web.live import Live
from tests.web.fleet import FleetMaker


def test_a_line_is_found_exactly() -> None:
    t_s = np.arange(10.0) * 60
    slope, level, fit = line(t_s, np.stack([3 + 0.5 * t_s, np.full(10, 7.0)]))
    assert slope == pytest.approx([0.5, 0.0])
    assert level == pytest.approx([3.0, 7.0])
    assert fit == pytest.approx([1.0, 0.0])


def test_a_line_goes_through_the_numbers_there_are() -> None:
    t_s = np.arange(10.0) * 60
    gappy = 3 + 0.5 * t_s
    gappy[[0, 4, 5]] = np.nan
    slope, level, fit = line(t_s, np.stack([gappy, np.full(10, np.nan)]))
    assert (slope[0], level[0], fit[0]) == pytest.approx((0.5, 3.0, 1.0))
    assert (slope[1], fit[1]) == (0, 0)


def test_a_disk_that_fills_is_foretold_and_a_wobbling_one_is_not() -> None:
    index = FleetMaker("web-01").at(1).columns[2].index
    rng = random.Random(1)
    filling = Filling(DISK_S)
    for minute in range(61):
        filling.observe(minute * 60.0, index, np.array([40.0 + minute / 2, 50 + rng.gauss(0, 1)]))
    (forecast,) = filling.forecasts()
    assert (forecast.server, forecast.mount, forecast.per_hour) == ("web-01", "/", 30.0)
    assert forecast.seconds_to_full == pytest.approx(3600.0)
    assert Filling(60.0).forecasts() == []


def test_a_server_that_vanishes_costs_the_others_no_memory() -> None:
    both, alone = FleetMaker("web-01", "web-02").at(1), FleetMaker("web-02").at(1)
    filling = Filling(DISK_S)
    for minute in range(0, 60, 2):
        filling.observe(minute * 60.0, both.columns[2].index, np.full(4, 40.0) + minute)
    filling.observe(3600.0, alone.columns[2].index, np.array([100.0, 30.0]) - 1)
    assert [(found.server, found.mount) for found in filling.forecasts()] == [("web-02", "/")]


def test_a_clock_that_is_set_back_starts_the_forecast_again() -> None:
    index = FleetMaker("web-01").at(1).columns[2].index
    filling = Filling(DISK_S)
    for minute in range(0, 60, 2):
        filling.observe(1e6 + minute * 60.0, index, np.full(2, 40.0) + minute)
    filling.observe(0.0, index, np.full(2, 40.0))
    assert filling.forecasts() == []


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
    assert {"cpu", "memory"} <= {found["metric"] for found in incident["evidence"]}
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
    assert incident["confidence"] == 0.99
    assert analyst.stats().anomalies == 1


def test_a_restart_is_told_but_by_itself_no_incident_and_a_clock_that_is_set_is_none() -> None:
    live, analyst, maker = Live(), Analyst(), FleetMaker("api-01", "web-01")
    boots = {"api_01": {"boot_time_seconds": 1_748_000_010.0}, "web_01": {"boot_time_seconds": 1_748_600_000.0}}
    for tick, changed in enumerate(({}, *([boots] * 12)), 1):
        snapshot = maker.at(tick, **changed)
        live.publish(snapshot)
        report: dict[str, Any] = dict(analyst.run(snapshot, live.fleet()))
    assert [(found["server"], found["metric"]) for found in report["anomalies"]] == [("web-01", "restart")]
    assert report["incidents"] == []


def test_what_is_odd_but_too_small_to_matter_is_no_anomaly() -> None:
    rng = random.Random(2)
    for jump, found in ((3.0, 0), (30.0, 1)):
        live, analyst, maker = Live(), Analyst(), FleetMaker("web-01")
        for tick in range(1, 420):
            cpu = 40 + rng.gauss(0, 0.1) + (jump if tick > 410 else 0)
            snapshot = maker.at(tick, web_01={"cpu_usage_percent": cpu})
            live.publish(snapshot)
            analyst.observe(snapshot, live.fleet())
        assert analyst.stats().anomalies == found


def test_a_tick_that_was_seen_is_not_counted_again() -> None:
    live, analyst = Live(), Analyst()
    snapshot = FleetMaker().at(1)
    live.publish(snapshot)
    analyst.run(snapshot, live.fleet())
    samples = analyst.stats().samples
    analyst.run(snapshot, live.fleet())
    assert analyst.stats().samples == samples > 0
