"""The snapshots of a fleet: pure in seed, incidents and time, with the hard identities."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model import MetricType, Server, Snapshot
from exporter.simulation.fleet import make_fleet, shipped_roles
from exporter.simulation.incidents import IncidentLog
from exporter.simulation.recording import record
from exporter.simulation.scenarios import shipped_scenarios
from exporter.simulation.simulator import Simulator
from tests.simulation.fleets import HOUR_MS, MONDAY_MS, TICK_MS, a_log, a_simulator, falls, flat, same

SPECIFIED = {
    "openmanager_cpu_usage_percent": ("gauge", {"server", "core"}),
    "openmanager_cpu_load_average_1m": ("gauge", {"server"}),
    "openmanager_cpu_load_average_5m": ("gauge", {"server"}),
    "openmanager_cpu_load_average_15m": ("gauge", {"server"}),
    "openmanager_cpu_context_switches_total": ("counter", {"server"}),
    "openmanager_memory_usage_percent": ("gauge", {"server"}),
    "openmanager_memory_used_bytes": ("gauge", {"server"}),
    "openmanager_memory_total_bytes": ("gauge", {"server"}),
    "openmanager_memory_available_bytes": ("gauge", {"server"}),
    "openmanager_swap_used_bytes": ("gauge", {"server"}),
    "openmanager_disk_usage_percent": ("gauge", {"server", "mount"}),
    "openmanager_disk_read_bytes_total": ("counter", {"server", "device"}),
    "openmanager_disk_write_bytes_total": ("counter", {"server", "device"}),
    "openmanager_disk_read_ops_total": ("counter", {"server", "device"}),
    "openmanager_disk_write_ops_total": ("counter", {"server", "device"}),
    "openmanager_network_receive_bytes_total": ("counter", {"server", "interface"}),
    "openmanager_network_transmit_bytes_total": ("counter", {"server", "interface"}),
    "openmanager_network_receive_packets_total": ("counter", {"server", "interface"}),
    "openmanager_network_transmit_packets_total": ("counter", {"server", "interface"}),
    "openmanager_network_receive_errors_total": ("counter", {"server", "interface"}),
    "openmanager_network_transmit_drops_total": ("counter", {"server", "interface"}),
    "openmanager_service_up": ("gauge", {"server", "service"}),
    "openmanager_http_request_duration_seconds": ("gauge", {"server", "method", "status"}),
    "openmanager_http_requests_total": ("counter", {"server", "method", "status"}),
    "openmanager_http_request_latency_seconds_bucket": ("histogram", {"server", "le"}),
    "openmanager_http_request_latency_seconds_sum": ("histogram", {"server"}),
    "openmanager_http_request_latency_seconds_count": ("histogram", {"server"}),
    "openmanager_boot_time_seconds": ("gauge", {"server"}),
    "openmanager_server_info": ("gauge", {"server", "role", "environment", "synthetic"}),
}

COUNTERS = [name for name, (kind, _) in SPECIFIED.items() if kind in ("counter", "histogram")]


def by_server(snapshot: Snapshot, metric: str) -> dict[str, list[float]]:
    values: dict[str, list[float]] = defaultdict(list)
    for (name, row), value in flat(snapshot).items():
        if name == metric:
            values[row[0]].append(value)
    return values


def some_incidents() -> IncidentLog:
    log = a_log()
    log.inject("cpu-saturation", ["web-01"], now_ms=MONDAY_MS + 600_000, duration="5m", id="cpu")
    log.inject("server-crash", ["cache-01"], now_ms=MONDAY_MS + 900_000, id="crash")
    log.inject("ddos", now_ms=MONDAY_MS + 1_200_000, id="ddos")
    log.inject("service-down", ["api-01"], now_ms=MONDAY_MS + 3_000_000, id="service")
    return log


def test_the_catalogue_has_the_specified_names_types_and_labels() -> None:
    columns = a_simulator().at(MONDAY_MS).columns
    seen = {c.index.metric: (c.index.family.type.value, set(c.index.label_names)) for c in columns}
    assert seen == SPECIFIED
    assert all(column.index.family.help for column in columns)


def test_columns_of_one_family_stand_together_and_are_finite() -> None:
    columns = a_simulator().at(MONDAY_MS).columns
    families = [family.name for family, _ in itertools.groupby(columns, key=lambda column: column.index.family)]
    assert len(families) == len(set(families))
    assert all(np.isfinite(column.values).all() and (column.values >= 0).all() for column in columns)
    assert all(column.values.shape == (len(column.index.rows),) for column in columns)


def test_series_are_the_same_objects_from_tick_to_tick() -> None:
    simulator = a_simulator()
    first, second = simulator.at(MONDAY_MS), simulator.at(MONDAY_MS + TICK_MS)
    assert all(a.index is b.index for a, b in zip(first.columns, second.columns, strict=True))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1 << 40), t_ms=st.integers(10**12, 2 * 10**12))
def test_memory_adds_up_and_its_percentage_is_of_the_total(seed: int, t_ms: int) -> None:
    values = flat(a_simulator(9, seed).at(t_ms))
    for (metric, row), used in values.items():
        if metric == "openmanager_memory_used_bytes":
            total = values["openmanager_memory_total_bytes", row]
            assert abs(used + values["openmanager_memory_available_bytes", row] - total) <= 1
            assert abs(values["openmanager_memory_usage_percent", row] - 100 * used / total) <= 0.01


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1 << 40), t_ms=st.integers(10**12, 2 * 10**12))
def test_cores_are_within_bounds_and_their_mean_is_the_load_of_the_server(seed: int, t_ms: int) -> None:
    simulator = a_simulator(9, seed)
    cores = by_server(simulator.at(t_ms), "openmanager_cpu_usage_percent")
    state = simulator.state(t_ms)
    for row, server in enumerate(simulator.fleet):
        assert all(0 <= core <= 100 for core in cores[server.name])
        assert abs(np.mean(cores[server.name]) - state.cpu[row, 0]) <= 0.1


def test_counters_never_fall_from_a_saturday_to_a_monday_without_failures() -> None:
    start = MONDAY_MS - 25 * HOUR_MS  # a weekend's end, and two midnights
    values = record(a_simulator(9).ticks(start, start + 27 * HOUR_MS), COUNTERS).values
    assert set(values) == set(COUNTERS)
    assert [metric for metric in COUNTERS if (np.diff(values[metric]) < 0).any()] == []


def test_a_planned_boot_resets_all_counters_of_a_server_and_moves_its_boot_time() -> None:
    simulator = a_simulator(1)
    september = 1_789_689_600_000  # 2026-09-18
    days = [september + day * 24 * HOUR_MS for day in range(12)]
    boots = [flat(simulator.at(t))["openmanager_boot_time_seconds", ("web-01",)] for t in days]
    moved = next(number for number in range(1, 12) if boots[number] != boots[number - 1])
    edge = days[moved - 1]
    snapshots = list(simulator.ticks(edge - HOUR_MS, edge + HOUR_MS))
    fallen = falls(snapshots)
    assert set(fallen) == {"web-01"} and len(fallen["web-01"]) == 1
    when = fallen["web-01"].pop()
    before, after = (flat(simulator.at(t)) for t in (when - TICK_MS, when))
    assert after["openmanager_boot_time_seconds", ("web-01",)] * 1000 == when - TICK_MS
    assert all(after[key] < before[key] for key in before if key[0].endswith("_bytes_total") and before[key])


def test_any_order_of_asking_gives_the_same_bits_as_many_ticks_at_once() -> None:
    many = list(a_simulator(log=some_incidents()).ticks(MONDAY_MS, MONDAY_MS + 2 * HOUR_MS))
    alone = a_simulator(log=some_incidents())
    random.Random(7).shuffle(many)
    assert all(same(alone.at(snapshot.t_ms), snapshot) for snapshot in many[:120])


def test_ticks_fall_on_multiples_of_the_interval_from_start_to_end() -> None:
    times = [snapshot.t_ms for snapshot in a_simulator(2).ticks(MONDAY_MS + 1, MONDAY_MS + 60_000)]
    assert times == [MONDAY_MS + TICK_MS * n for n in (1, 2, 3, 4)]


def test_a_larger_fleet_does_not_change_the_servers_that_were_there() -> None:
    small, large = flat(a_simulator(5).at(MONDAY_MS)), flat(a_simulator(40).at(MONDAY_MS))
    assert {key: large[key] for key in small} == small


def test_a_failure_changes_no_server_off_its_graph() -> None:
    quiet, hurt = a_simulator(), a_simulator(log=some_incidents())
    for t_ms in (MONDAY_MS + 700_000, MONDAY_MS + 1_500_000, MONDAY_MS + 5 * HOUR_MS):
        expected, seen = flat(quiet.at(t_ms)), flat(hurt.at(t_ms))
        for name in ("db-01", "worker-01", "storage-01", "backup-01"):
            assert all(seen[key] == value for key, value in expected.items() if key[1][0] == name)


def test_other_seeds_make_other_values() -> None:
    assert flat(a_simulator(seed=1).at(MONDAY_MS)) != flat(a_simulator(seed=2).at(MONDAY_MS))


def test_the_histogram_counts_every_request_once() -> None:
    for t_ms in range(MONDAY_MS, MONDAY_MS + HOUR_MS, 600_000):
        snapshot = a_simulator(log=some_incidents()).at(t_ms)
        buckets = by_server(snapshot, "openmanager_http_request_latency_seconds_bucket")
        counts = by_server(snapshot, "openmanager_http_request_latency_seconds_count")
        requests = by_server(snapshot, "openmanager_http_requests_total")
        for server, bucket in buckets.items():
            assert bucket == sorted(bucket)
            assert bucket[-1] == counts[server][0] == sum(requests[server])


def test_a_crash_takes_the_server_away_and_brings_it_back_with_counters_at_0() -> None:
    simulator = a_simulator(log=some_incidents())
    snapshots = list(simulator.ticks(MONDAY_MS + 840_000, MONDAY_MS + 1_200_000))
    there = {s.t_ms: "cache-01" in by_server(s, "openmanager_boot_time_seconds") for s in snapshots}
    gone = [t_ms for t_ms, present in there.items() if not present]
    assert gone and gone == list(range(gone[0], gone[-1] + 1, TICK_MS))
    back = gone[-1] + TICK_MS
    values = flat(simulator.at(back))
    assert values["openmanager_boot_time_seconds", ("cache-01",)] * 1000 == back
    fallen = falls(snapshots)
    assert fallen == {"cache-01": {back}}
    assert all(
        value == 0 for (metric, row), value in values.items() if row[0] == "cache-01" and metric.endswith("_total")
    )


def test_a_service_that_is_down_serves_no_request() -> None:
    simulator = a_simulator(log=some_incidents())
    a, b = (flat(simulator.at(MONDAY_MS + t)) for t in (3_060_000, 3_180_000))
    requests = [key for key in a if key[0] == "openmanager_http_requests_total" and key[1][0] == "api-01"]
    assert requests and all(a[key] == b[key] for key in requests)
    assert all(value == 0 for key, value in a.items() if key[0] == "openmanager_service_up" and key[1][0] == "api-01")


def test_exemplars_lie_in_their_bucket() -> None:
    snapshot = a_simulator().at(MONDAY_MS + 12 * HOUR_MS)
    column = next(c for c in snapshot.columns if c.index.metric.endswith("_bucket"))
    assert column.index.family.type is MetricType.HISTOGRAM and column.exemplars
    for row, exemplar in column.exemplars.items():
        server, upper = column.index.rows[row]
        assert exemplar.value <= float(upper)
        lower = column.index.rows[row - 1]
        assert lower[0] != server or exemplar.value > float(lower[1])
        assert exemplar.t_s * 1000 <= snapshot.t_ms


@pytest.mark.parametrize("interval_ms", [1_000, 5_000, 7_000, 60_000, 3_600_000])
def test_other_intervals_work(interval_ms: int) -> None:
    snapshots = list(a_simulator(3, interval_ms=interval_ms).ticks(MONDAY_MS, MONDAY_MS + 20 * interval_ms))
    assert len({snapshot.t_ms for snapshot in snapshots}) == len(snapshots) >= 20
    assert falls(snapshots) == {}


@pytest.mark.parametrize(
    ("fleet", "interval_ms", "message"),
    [
        ((), 15_000, "fleet: must have at least one server"),
        (make_fleet(1), 10, "interval 10 ms: must be at least 1s"),
        ((Server("x", "mainframe", "test", 1, 1, 1),), 15_000, "server 'x': role 'mainframe': must be one of web, api"),
    ],
)
def test_a_fleet_that_cannot_be_simulated_is_refused(fleet: tuple[Server, ...], interval_ms: int, message: str) -> None:
    with pytest.raises(ValueError, match="must") as error:
        Simulator(fleet, seed=1, interval_ms=interval_ms)
    assert str(error.value).startswith(message)


def test_a_fleet_of_several_batches_says_of_each_server_what_it_says_alone() -> None:
    fleet = make_fleet(1_040)
    log = IncidentLog(fleet, shipped_roles(), shipped_scenarios())
    last = [server.name for server in fleet[-3:]]
    log.inject("server-crash", last[:1], now_ms=MONDAY_MS + 600_000, id="crash")
    log.inject("cpu-saturation", last[1:2], now_ms=MONDAY_MS + 600_000, duration="5m", id="cpu")
    t_ms = MONDAY_MS + 900_000
    whole = flat(Simulator(fleet, seed=1, incidents=log).at(t_ms))
    few = flat(Simulator(fleet[-40:], seed=1, incidents=log).at(t_ms))
    assert few
    assert {key: whole[key] for key in few} == few
