"""Incidents: injected, cleared, remembered across restarts, and felt where and when they should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.duration import parse_duration
from exporter.inventory.inventory import Inventory
from exporter.simulation.faults import FAULTS
from exporter.simulation.fleet import make_fleet, shipped_roles
from exporter.simulation.incident import from_row
from exporter.simulation.incidents import IncidentConflict, IncidentLog
from exporter.simulation.plans import Timeline, envelope
from exporter.simulation.scenarios import shipped_scenarios
from tests.simulation.fleets import MONDAY_MS, TICK_MS, a_log, a_simulator, falls, flat, same


@pytest.mark.parametrize("server", [server.name for server in make_fleet(9)])
def test_cpu_saturation_holds_every_core_over_95_percent_for_minutes(server: str) -> None:
    log = a_log()
    log.inject("cpu-saturation", [server], now_ms=MONDAY_MS, duration="5m")
    over = [
        all(v > 95 for (metric, row), v in flat(s).items() if metric.endswith("cpu_usage_percent") and row[0] == server)
        for s in a_simulator(log=log).ticks(MONDAY_MS, MONDAY_MS + 420_000)
    ]
    first = over.index(True)
    assert first <= 2
    assert sum(over) >= 17 and all(over[first : first + 17])
    assert not over[-1]


def test_an_incident_starts_at_the_next_tick_and_ends_after_its_duration() -> None:
    incident = a_log().inject("cpu-saturation", ["web-01"], now_ms=MONDAY_MS + 1, duration="5m")
    assert (incident.start_ms, incident.end_ms) == (MONDAY_MS + TICK_MS, MONDAY_MS + TICK_MS + 300_000)


def test_the_active_incidents_are_series_while_they_last() -> None:
    log = a_log()
    log.inject("cpu-saturation", ["web-01"], now_ms=MONDAY_MS, duration="2m", id="a")
    simulator = a_simulator(log=log)
    key = ("openmanager_sim_incident_active", ("web-01", "cpu-saturation", "web-01"))
    seen = [s.t_ms for s in simulator.ticks(MONDAY_MS, MONDAY_MS + 300_000) if flat(s).get(key) == 1]
    assert seen == list(range(MONDAY_MS + TICK_MS, MONDAY_MS + TICK_MS + 120_000, TICK_MS))


def test_injecting_while_it_runs_leaves_the_past_and_lets_no_counter_fall() -> None:
    log = a_log()
    simulator = a_simulator(log=log)
    before = list(simulator.ticks(MONDAY_MS, MONDAY_MS + 300_000))
    for number, name in enumerate(
        ("cpu-saturation", "packet-loss", "service-down", "ddos", "slow-disk", "slow-queries")
    ):
        log.inject(name, now_ms=MONDAY_MS + 300_000 + number * 7_000, duration="4m", id=f"number-{number}")
    after = list(simulator.ticks(MONDAY_MS + 300_000 + TICK_MS, MONDAY_MS + 1_200_000))
    assert falls([*before, *after]) == {}
    assert all(same(snapshot, simulator.at(snapshot.t_ms)) for snapshot in before)


@pytest.mark.parametrize("name", list(shipped_scenarios()))
def test_every_shipped_scenario_is_felt_by_its_root_and_passes(name: str) -> None:
    log = a_log()
    incident = log.inject(name, now_ms=MONDAY_MS, id="a")
    quiet, hurt = a_simulator(), a_simulator(log=log)
    middle = (incident.start_ms + incident.end_ms) // 2 // TICK_MS * TICK_MS
    calm, felt = flat(quiet.at(middle)), flat(hurt.at(middle))
    for target in incident.targets:
        mine = {key: value for key, value in calm.items() if key[1][0] == target}
        assert {key: value for key, value in felt.items() if key[1][0] == target and "incident" not in key[0]} != mine
    late = incident.end_ms + 3_600_000
    gauges = ("openmanager_cpu_usage_percent", "openmanager_memory_usage_percent", "openmanager_disk_usage_percent")
    calm, felt = flat(quiet.at(late)), flat(hurt.at(late))
    assert all(felt[key] == value for key, value in calm.items() if key[0] in gauges)


def test_the_effect_of_a_cascade_comes_as_late_as_it_says() -> None:
    log = a_log()
    log.inject("database-disk-cascade", ["db-01"], now_ms=MONDAY_MS, id="a")
    simulator = a_simulator(log=log)
    key = ("openmanager_http_request_duration_seconds", ("web-01", "GET", "200"))
    start = MONDAY_MS + TICK_MS
    assert flat(simulator.at(start + 30_000))[key] < 1
    assert 6 < flat(simulator.at(start + 180_000))[key] < 20
    cache = [
        v
        for (m, row), v in flat(simulator.at(start + 180_000)).items()
        if m.endswith("cpu_usage_percent") and row[0] == "cache-01"
    ]
    assert 80 < sum(cache) / len(cache) < 90


def test_an_incident_goes_on_after_a_restart_and_counters_with_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/inventory.db"
    first = Inventory.open(url)
    first.add(make_fleet(20), 0)
    log = IncidentLog(first.servers(), shipped_roles(), shipped_scenarios(), store=first)
    log.inject("ddos", now_ms=MONDAY_MS, id="a")
    log.inject("server-crash", ["cache-01"], now_ms=MONDAY_MS + 30_000, id="b")
    log.clear(log.inject("slow-disk", now_ms=MONDAY_MS, id="c").id, now_ms=MONDAY_MS + 60_000)
    expected = list(a_simulator(log=log).ticks(MONDAY_MS, MONDAY_MS + 600_000))
    second = Inventory.open(url)  # the first is not closed: it was killed
    rows = [from_row(row) for row in second.incidents()]
    again = IncidentLog(second.servers(), shipped_roles(), shipped_scenarios(), store=second, incidents=rows)
    assert again.active(MONDAY_MS + 100_000) == log.active(MONDAY_MS + 100_000)
    simulator = a_simulator(log=again)
    assert all(same(simulator.at(snapshot.t_ms), snapshot) for snapshot in reversed(expected))
    first.close()
    second.close()


def test_the_same_id_is_the_same_incident_and_another_one_is_a_conflict() -> None:
    log = a_log()
    first = log.inject("cpu-saturation", ["web-01"], now_ms=MONDAY_MS, id="mine")
    assert log.inject("cpu-saturation", ["web-01"], now_ms=MONDAY_MS + 60_000, id="mine") == first
    with pytest.raises(IncidentConflict, match="id 'mine': is that of another incident"):
        log.inject("cpu-saturation", ["web-02"], now_ms=MONDAY_MS, id="mine")


def test_a_cleared_incident_ends_at_the_next_tick_for_all_it_affects() -> None:
    log = a_log()
    log.inject("database-disk-cascade", ["db-01"], now_ms=MONDAY_MS, id="a")
    cleared = log.clear("a", now_ms=MONDAY_MS + 120_000)
    assert cleared.end_ms == MONDAY_MS + 120_000 + TICK_MS
    assert log.active(cleared.end_ms) == [] and log.between(MONDAY_MS, cleared.end_ms) == [cleared]
    assert log.clear("a", now_ms=MONDAY_MS + 900_000) == cleared
    key = ("openmanager_http_request_duration_seconds", ("web-01", "GET", "200"))
    assert flat(a_simulator(log=log).at(cleared.end_ms))[key] == flat(a_simulator().at(cleared.end_ms))[key]
    with pytest.raises(KeyError):
        log.clear("none", now_ms=MONDAY_MS)


def test_the_truth_names_root_peak_and_whom_it_affects() -> None:
    log = a_log()
    incident = log.inject("api-overload-cascade", ["api-01"], now_ms=MONDAY_MS, id="a")
    (record,) = log.truth(MONDAY_MS, MONDAY_MS + 3_600_000)
    assert record["root"] == {"server": "api-01", "metric": "openmanager_cpu_usage_percent"}
    assert {entry["server"] for entry in record["affected"]} == {"api-01", "db-01", "db-02", "db-03"}
    assert record["start"] * 1000 == incident.start_ms and record["end"] * 1000 == incident.end_ms
    assert record["start"] < record["peak"] <= record["end"]
    assert log.truth(incident.end_ms, incident.end_ms + 1) == [] == log.truth(0, incident.start_ms - 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scenario": "meteor"}, "scenario 'meteor': must be one of api-overload-cascade, clock-skew"),
        ({"targets": ["web-99"]}, "server 'web-99': must be one of web-01, api-01"),
        ({"duration": "-5m"}, "duration '-5m': not a valid duration string"),
        ({"duration": "0s"}, "duration '0s': must be above 0s and at most 90d"),
        ({"duration": "1y"}, "duration '1y': must be above 0s and at most 90d"),
        ({"intensity": 0.0}, "intensity 0.0: must be above 0 and at most 1"),
        ({"intensity": float("nan")}, "intensity nan: must be above 0 and at most 1"),
        ({"id": "a b"}, "id 'a b': must be up to 128 letters"),
    ],
)
def test_what_cannot_be_injected_is_refused_naming_what_exists(arguments: dict[str, object], message: str) -> None:
    log = a_log()
    with pytest.raises(ValueError, match=r"must|valid") as error:
        log.inject(**{"scenario": "cpu-saturation", "now_ms": MONDAY_MS, **arguments})  # type: ignore[arg-type]  # on purpose
    assert str(error.value).startswith(message) and "\n" not in str(error.value)
    assert log.active(MONDAY_MS) == [] and log.changed == 0


def test_a_longer_incident_has_a_longer_peak_and_the_same_onset() -> None:
    scenario = shipped_scenarios()["cpu-saturation"]
    at, level = envelope(scenario, parse_duration("20m"))
    assert at == (0.0, 15_000.0, 1_170_000.0, 1_200_000.0) and level == (0.0, 1.0, 1.0, 0.0)
    short, _ = envelope(scenario, 10_000)
    assert short[-1] == pytest.approx(10_000) and short == tuple(sorted(short))


def test_every_fault_has_a_value_for_each_of_its_effects() -> None:
    for fault in FAULTS.values():
        assert fault.effects and all(isinstance(value, float) for value in fault.values({}).values())


def test_overlapping_and_contradictory_failures_of_one_server_keep_every_value_in_bounds() -> None:
    log = a_log()
    for number, name in enumerate(shipped_scenarios()):
        log.inject(name, ["api-01"], now_ms=MONDAY_MS, duration="10m", id=f"n{number}")
    snapshots = list(a_simulator(log=log).ticks(MONDAY_MS, MONDAY_MS + 900_000))
    for snapshot in snapshots:
        for (metric, _), value in flat(snapshot).items():
            assert value >= 0 and (not metric.endswith("_percent") or value <= 100)
    assert set(falls(snapshots)) <= {"api-01"}  # it crashed


def test_an_incident_of_a_server_that_is_no_longer_there_is_left_out() -> None:
    log = a_log()
    incident = log.inject("cpu-saturation", ["web-01"], now_ms=MONDAY_MS)
    gone = replace(incident, targets=("gone-01",))
    assert IncidentLog(make_fleet(9), shipped_roles(), shipped_scenarios(), incidents=[gone]).active(MONDAY_MS) == []


def test_what_is_kept_of_past_failures_is_what_would_be_computed_again() -> None:
    log = a_log()
    simulator = a_simulator(log=log)
    steps: list[Callable[[], object]] = [
        lambda: log.inject("ddos", now_ms=MONDAY_MS, id="a"),
        lambda: log.inject("slow-disk", now_ms=MONDAY_MS + 600_000, id="b"),
        lambda: log.inject("server-crash", ["cache-01"], now_ms=MONDAY_MS + 120_000, id="c"),
        lambda: log.clear("b", now_ms=MONDAY_MS + 900_000),
        lambda: log.inject("packet-loss", now_ms=MONDAY_MS + 60_000, id="d"),
    ]
    for step in steps:
        step()
        for t_ms in (MONDAY_MS + 3_600_000, MONDAY_MS + 700_005, MONDAY_MS + 7_200_000):
            assert same(simulator.at(t_ms), a_simulator(log=log).at(t_ms))


def test_a_plan_is_on_the_timeline_from_its_start_up_to_its_end() -> None:
    log = a_log()
    incident = log.inject("cpu-saturation", ["web-01"], now_ms=MONDAY_MS)
    plans = log.plans(MONDAY_MS, incident.end_ms)
    timeline = Timeline(plans)
    assert timeline.during(incident.start_ms - 2, incident.start_ms - 1) == []
    assert timeline.during(incident.start_ms, incident.start_ms) == plans
    assert timeline.during(incident.end_ms - 1, incident.end_ms) == plans
    assert timeline.during(incident.end_ms, incident.end_ms + 1) == [] == Timeline(()).during(0, 1)
