"""What a scraper gets while a server's page is kept back, repeats, or speaks of things that come and go."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.model import Snapshot
from exporter.simulation.fleet import make_fleet, shipped_roles
from exporter.simulation.incidents import IncidentLog
from exporter.simulation.scenarios import parse_scenario, shipped_scenarios
from exporter.simulation.scrapes import Scrape
from tests.simulation.fleets import HOUR_MS, MONDAY_MS, TICK_MS, a_log, a_simulator, falls, flat, same

QUIET = "openmanager_memory_used_bytes"


def there(snapshot: Snapshot, server: str) -> bool:
    return (QUIET, (server,)) in flat(snapshot)


def mine(snapshot: Snapshot, server: str) -> dict[object, float]:
    return {key: value for key, value in flat(snapshot).items() if key[1][0] == server and "incident" not in key[0]}


def test_a_server_whose_page_does_not_come_is_not_seen_and_nothing_else_changes() -> None:
    for scenario in ("scrape-down", "scrape-slow", "scrape-truncated"):
        log = a_log()
        incident = log.inject(scenario, ["web-01"], now_ms=MONDAY_MS, duration="2m")
        hurt, quiet = a_simulator(log=log), a_simulator()
        for t_ms in range(MONDAY_MS, MONDAY_MS + 300_000, TICK_MS):
            seen, calm = flat(hurt.at(t_ms)), flat(quiet.at(t_ms))
            active = incident.start_ms < t_ms < incident.end_ms
            others = {key: value for key, value in seen.items() if "incident" not in key[0]}
            assert others == {key: value for key, value in calm.items() if not active or key[1][0] != "web-01"}
            root = ("openmanager_sim_incident_active", ("", scenario, "web-01"))
            assert (seen.get(root) == 1.0) == active  # the truth is told though the server is silent


def test_a_gap_is_a_scrape_missed_now_and_then() -> None:
    log = a_log()
    log.inject("scrape-gap", ["web-01"], now_ms=MONDAY_MS, duration="2h")
    ticks = [there(s, "web-01") for s in a_simulator(log=log).ticks(MONDAY_MS + 30_000, MONDAY_MS + 7_000_000)]
    assert 0.3 <= 1 - np.mean(ticks) <= 0.5
    assert falls(a_simulator(log=log).ticks(MONDAY_MS, MONDAY_MS + HOUR_MS)) == {}


@pytest.mark.parametrize(
    ("scenario", "scrape"),
    [
        ("server-down", Scrape(off=True)),
        ("server-crash", Scrape(off=True)),
        ("scrape-down", Scrape(failing=True)),
        ("scrape-slow", Scrape(delay_s=12.0)),
        ("scrape-truncated", Scrape(part=0.5)),
    ],
)
def test_what_a_scraper_of_that_server_meets(scenario: str, scrape: Scrape) -> None:
    log = a_log()
    incident = log.inject(scenario, ["web-01"], now_ms=MONDAY_MS)
    assert log.scrapes((incident.start_ms + incident.end_ms) // 2) == {"web-01": scrape}
    assert log.scrapes(incident.end_ms) == {} == log.scrapes(incident.start_ms - 1)


def test_what_comes_too_late_is_there_for_who_waits() -> None:
    log = a_log()
    incident = log.inject("scrape-slow", ["web-01"], now_ms=MONDAY_MS)
    t_ms = incident.start_ms + 60_000
    snapshot, calm = a_simulator(log=log).at(t_ms), mine(a_simulator().at(t_ms), "web-01")
    assert not there(snapshot, "web-01") and set(snapshot.aside) == {"web-01"}
    assert mine(Snapshot(t_ms, snapshot.aside["web-01"]), "web-01") == calm


def test_a_page_that_repeats_shows_the_tick_before_it_began_to_the_last_bit() -> None:
    log = a_log()
    log.inject("cpu-saturation", ["web-02"], now_ms=MONDAY_MS, id="a")
    incident = log.inject("stuck-value", ["web-02"], now_ms=MONDAY_MS + 120_000, id="b")
    simulator = a_simulator(log=log)
    before = mine(simulator.at(incident.start_ms), "web-02")  # its first second is within the first tick
    for t_ms in range(incident.start_ms + TICK_MS, incident.end_ms - TICK_MS, 60_000):
        snapshot = simulator.at(t_ms)
        assert mine(snapshot, "web-02") == before
        assert same(snapshot, a_simulator(log=log).at(t_ms))
    assert mine(simulator.at(incident.end_ms), "web-02") != before
    assert falls(simulator.ticks(MONDAY_MS, incident.end_ms + 300_000)) == {}


def test_one_metric_can_be_stuck_alone() -> None:
    text = """
name: stuck-thermometer
phases: [{name: onset, duration: 1s, level: 1}, {name: sustained, duration: 10m, level: 1}]
root: {role: web, fault: stuck_value, params: {metric: openmanager_memory_usage_percent}}
"""
    scenario = parse_scenario(text, "x.yaml")
    log = IncidentLog(make_fleet(20), shipped_roles(), {scenario.name: scenario})
    incident = log.inject(scenario.name, ["web-01"], now_ms=MONDAY_MS)
    hurt, quiet = a_simulator(log=log), a_simulator()
    t_ms = incident.start_ms + 300_000 + TICK_MS
    before, seen, calm = (mine(s, "web-01") for s in (quiet.at(incident.start_ms), hurt.at(t_ms), quiet.at(t_ms)))
    changed = {key for key in calm if seen[key] != calm[key]}
    assert {key[0] for key in changed} == {"openmanager_memory_usage_percent"}  # type: ignore[index]
    assert all(seen[key] == before[key] for key in changed)
    assert log.record(incident)["root"] == {"server": "web-01", "metric": "openmanager_memory_usage_percent"}


def test_churn_brings_interfaces_that_come_and_go_with_possible_values() -> None:
    log = a_log()
    incident = log.inject("label-churn", ["worker-01"], now_ms=MONDAY_MS, duration="20m")
    simulator = a_simulator(log=log)
    lives: dict[str, list[float]] = {}
    most = 0
    for snapshot in simulator.ticks(incident.start_ms, incident.end_ms + 300_000):
        values = flat(snapshot)
        found = {row[1]: v for (m, row), v in values.items() if m.endswith("receive_bytes_total") and "veth" in row[1]}
        for name, value in found.items():
            lives.setdefault(name, []).append(value)
            packets = values["openmanager_network_receive_packets_total", ("worker-01", name)]
            assert value == 640 * packets
        most = max(most, len(found))
    assert most == 12 and len(lives) > 60
    assert all(values == sorted(values) and len(values) <= 10 for values in lives.values())
    assert not any("veth" in row[-1] for _, row in flat(simulator.at(incident.end_ms)))


def test_series_stay_the_same_objects_while_the_same_interfaces_are_there() -> None:
    log = a_log()
    incident = log.inject("label-churn", ["worker-01"], now_ms=MONDAY_MS)
    simulator = a_simulator(log=log)
    first, second = simulator.at(incident.start_ms + 60_000), simulator.at(incident.start_ms + 60_000)
    assert all(a.index is b.index for a, b in zip(first.columns, second.columns, strict=True))


def test_a_clock_that_is_ahead_moves_the_boot_time_and_resets_nothing() -> None:
    log = a_log()
    incident = log.inject("clock-skew", ["web-01"], now_ms=MONDAY_MS)
    hurt, quiet = a_simulator(log=log), a_simulator()
    t_ms = incident.start_ms + 600_000
    seen, calm = mine(hurt.at(t_ms), "web-01"), mine(quiet.at(t_ms), "web-01")
    assert {key: seen[key] - calm[key] for key in calm if seen[key] != calm[key]} == {
        ("openmanager_boot_time_seconds", ("web-01",)): 90.0
    }
    assert falls(hurt.ticks(MONDAY_MS, incident.end_ms + 60_000)) == {}


@pytest.mark.parametrize("name", list(shipped_scenarios()))
def test_the_truth_names_every_series_that_a_failure_moves(name: str) -> None:
    log = a_log()
    incident = log.inject(name, now_ms=MONDAY_MS + 11 * HOUR_MS)
    told = {of["server"]: set(of["metrics"]) for of in log.record(incident)["affected"]}
    hurt, quiet = a_simulator(log=log), a_simulator()
    moved: dict[str, set[str]] = {}
    for t_ms in range(incident.start_ms, incident.end_ms, 60_000):
        seen, calm = flat(hurt.at(t_ms)), flat(quiet.at(t_ms))
        for key in seen.keys() | calm.keys():
            if "incident" not in key[0] and seen.get(key) != calm.get(key):
                family = key[0].removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
                moved.setdefault(key[1][0], set()).add(family)
    assert moved.keys() == told.keys()
    for server, metrics in moved.items():
        assert metrics <= told[server], server
    root = log.record(incident)["root"]
    assert root["metric"] in moved[root["server"]] or root["metric"] in ("up", "scrape_duration_seconds")
