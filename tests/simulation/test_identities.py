"""What is true at every sample, on quiet days and in the middle of every failure there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from exporter.model import Server
from exporter.simulation import counters as c
from exporter.simulation.effects import SILENCING, Kind
from exporter.simulation.faults import FAULTS
from exporter.simulation.fleet import make_fleet, shipped_roles
from exporter.simulation.hardware import DISK_BYTES_S, DISK_OPS_S, NIC_BYTES_S, throttle
from exporter.simulation.incidents import IncidentLog
from exporter.simulation.recording import Recording, record
from exporter.simulation.scenarios import shipped_scenarios
from exporter.simulation.simulator import Simulator
from tests.simulation.fleets import HOUR_MS, MONDAY_MS, TICK_MS, a_log, a_simulator

OM = "openmanager_"
FLEET = make_fleet(20)
CRASHED = "cache-01"
# what only changes what is seen of a server has tests of its own
ONLY_SEEN = SILENCING - {Kind.CRASH} | {Kind.STUCK, Kind.CHURN, Kind.CLOCK_SKEW}


def bad_day() -> IncidentLog:
    """Every scenario that changes a server in one working day, overlapping, and a flood on top of a flood."""
    log = a_log()
    real = [name for name, of in shipped_scenarios().items() if not set(FAULTS[of.root.fault].effects) <= ONLY_SEEN]
    for number, name in enumerate(real):
        targets = [CRASHED] if name == "server-crash" else []
        log.inject(name, targets, now_ms=MONDAY_MS + 9 * HOUR_MS + number * 600_000, id=name)
    for number in range(3):
        log.inject("ddos", ["web-01"], now_ms=MONDAY_MS + 9 * HOUR_MS + number * 60_000, id=f"flood-{number}")
    return log


@pytest.fixture(scope="module", params=["quiet", "bad"])
def day(request: pytest.FixtureRequest) -> tuple[Simulator, Recording]:
    """Five working hours of 20 servers with their simulator."""
    simulator = a_simulator(seed=5, log=bad_day() if request.param == "bad" else None)
    return simulator, record(simulator.ticks(MONDAY_MS + 8 * HOUR_MS, MONDAY_MS + 13 * HOUR_MS))


def expected_rows(server: Server) -> dict[str, set[tuple[str, ...]]]:
    """The series that a server must have at least, by metric: its cores, mounts, devices, interfaces, services."""
    mounts = {"/", server.mount}
    devices = {"sda"} if server.mount == "/" else {"sda", "sdb"}
    directions = ("read_bytes", "write_bytes", "read_ops", "write_ops")
    traffic = ("receive_bytes", "transmit_bytes", "receive_packets", "transmit_packets")
    return {
        "cpu_usage_percent": {(str(core),) for core in range(server.cores)},
        "disk_usage_percent": {(mount,) for mount in mounts},
        "service_up": {(service,) for service in server.services},
        **{f"disk_{name}_total": {(device,) for device in devices} for name in directions},
        **{f"network_{name}_total": {("eth0",)} for name in (*traffic, "receive_errors", "transmit_drops")},
        **{f"cpu_load_average_{minutes}m": {()} for minutes in (1, 5, 15)},
        **{f"memory_{name}": {()} for name in ("usage_percent", "used_bytes", "total_bytes", "available_bytes")},
        "swap_used_bytes": {()},
        "cpu_context_switches_total": {()},
        "http_requests_total": {("GET", "200"), ("POST", "200"), ("GET", "404"), ("GET", "500")},
        "http_request_duration_seconds": {("GET", "200"), ("POST", "200"), ("GET", "404")},
    }


def test_twenty_servers_are_of_all_nine_roles_with_sizes_of_their_own() -> None:
    assert {server.role for server in FLEET} == set(shipped_roles().roles) and len(shipped_roles().roles) == 9
    assert len({server.name for server in FLEET}) == 20
    assert len({(server.cores, server.memory_bytes, server.disk_bytes) for server in FLEET}) >= 9
    assert {"web-01", "api-01", "db-01"} <= {server.name for server in FLEET}


@pytest.mark.parametrize("server", FLEET, ids=lambda server: str(server.name))
def test_a_server_has_the_series_of_its_hardware_and_services(day: tuple[Simulator, Recording], server: Server) -> None:
    for metric, rows in expected_rows(server).items():
        seen = {row[1:] for row in day[1].rows[OM + metric] if row[0] == server.name}
        if metric in ("cpu_usage_percent", "service_up", "http_request_duration_seconds"):
            assert seen == rows, metric
        assert rows <= seen, metric


def test_memory_adds_up_to_the_total_which_is_the_servers_own(day: tuple[Simulator, Recording]) -> None:
    values = day[1].values
    used, free, total = (values[f"{OM}memory_{name}_bytes"] for name in ("used", "available", "total"))
    there = ~np.isnan(total)
    assert (np.abs(used + free - total)[there] <= 1).all()
    assert np.nanmax(np.abs(values[f"{OM}memory_usage_percent"] - 100 * used / total)) <= 0.01
    sizes = {server.name: server.memory_bytes for server in FLEET}
    for (name,), row in zip(day[1].rows[f"{OM}memory_total_bytes"], total, strict=True):
        assert set(row[~np.isnan(row)]) == {sizes[name]}


def test_the_mean_of_the_cores_is_the_servers_cpu_and_all_percentages_are_possible(
    day: tuple[Simulator, Recording],
) -> None:
    simulator, recording = day
    for number in range(0, len(recording.t_ms), 40):
        state = simulator.state(int(recording.t_ms[number]))
        for row, server in enumerate(FLEET):
            cores = recording.of(f"{OM}cpu_usage_percent", server.name)[:, number]
            assert np.isnan(cores).all() or abs(cores.mean() - state.cpu[row, 0]) <= 0.1
    for metric, values in recording.values.items():
        assert np.nanmin(values) >= 0, metric
        assert not metric.endswith("_percent") or np.nanmax(values) <= 100, metric


def test_counters_fall_at_a_crash_only_where_all_fall_and_the_boot_time_moves(
    day: tuple[Simulator, Recording],
) -> None:
    recording = day[1]
    counting = [m for m in recording.values if m.endswith(("_total", "_bucket", "_sum", "_count"))]
    fallen: dict[str, set[int]] = {}
    for metric in counting:
        for row, values in zip(recording.rows[metric], recording.values[metric], strict=True):
            there = np.flatnonzero(~np.isnan(values))
            for place in np.flatnonzero(np.diff(values[there]) < 0):
                fallen.setdefault(row[0], set()).add(int(there[place + 1]))
    boots = recording.of(f"{OM}boot_time_seconds", CRASHED)[0]
    moved = boots[~np.isnan(boots)]
    if not fallen:
        assert len(set(moved)) == 1
        return
    assert set(fallen) == {CRASHED} and len(fallen[CRASHED]) == 1
    back = fallen[CRASHED].pop()
    assert len(set(moved)) == 2 and boots[back] > boots[0]
    for metric in counting:
        series = recording.of(metric, CRASHED)
        assert (series[:, back] < series[:, 0])[series[:, 0] > 0].all(), metric


def test_load_averages_are_those_of_one_queue_also_in_failures(day: tuple[Simulator, Recording]) -> None:
    one, five, fifteen = (day[1].values[f"{OM}cpu_load_average_{minutes}m"] for minutes in (1, 5, 15))
    keep = np.exp(-TICK_MS / 60_000)
    threads = (one[:, 1:] - one[:, :-1] * keep) / (1 - keep)
    for shown, window_ms in ((five, 300_000), (fifteen, 900_000)):
        keep = np.exp(-TICK_MS / window_ms)
        away = shown[:, :-1] * keep + (1 - keep) * threads - shown[:, 1:]
        assert np.nanmax(np.abs(away)) <= 0.05
        assert np.sqrt(np.nanmean(away**2)) <= 0.02


@pytest.mark.parametrize(
    ("size", "operations", "least", "most"),
    [
        ("disk_read_bytes", "disk_read_ops", 512, 2 << 20),
        ("disk_write_bytes", "disk_write_ops", 512, 2 << 20),
        ("network_receive_bytes", "network_receive_packets", 40, 9000),
        ("network_transmit_bytes", "network_transmit_packets", 40, 9000),
    ],
)
def test_operations_and_packets_keep_possible_sizes_in_failures(
    day: tuple[Simulator, Recording], size: str, operations: str, least: float, most: float
) -> None:
    moved = np.diff(day[1].values[f"{OM}{size}_total"])
    done = np.diff(day[1].values[f"{OM}{operations}_total"])
    assert (moved[done == 0] == 0).all()
    ratio = moved[done > 0] / done[done > 0]
    assert least <= ratio.min() and ratio.max() <= most


def test_the_main_disk_grows_by_what_is_written_and_kept() -> None:
    simulator = a_simulator(9, seed=5)
    states = [simulator.state(MONDAY_MS + hour * HOUR_MS) for hour in range(1, 24)]
    used = np.array([state.disk[:, 0] for state in states])
    written = np.array([state.counters[:, c.WRITE_SECTORS, 0] for state in states])
    factor = np.diff(used, axis=0) / np.diff(written, axis=0)
    assert (np.diff(used, axis=0) > 0).all()
    assert np.allclose(factor, factor[0], rtol=1e-9)


def test_a_clean_up_is_one_step_down() -> None:
    simulator = a_simulator(9, seed=5)
    days = np.array([simulator.state(MONDAY_MS + day * 24 * HOUR_MS + HOUR_MS).disk[:, 0] for day in range(31)])
    steps = np.diff(days, axis=0)
    assert (steps < -0.5).any(axis=0).all() and ((steps < -0.5) | (steps > 0)).all()


def test_nothing_goes_faster_than_the_hardware(day: tuple[Simulator, Recording]) -> None:
    values, tick_s = day[1].values, TICK_MS / 1000
    for metric, most in (
        ("network_receive_bytes", NIC_BYTES_S),
        ("network_transmit_bytes", NIC_BYTES_S),
        ("disk_read_bytes", DISK_BYTES_S),
        ("disk_write_bytes", DISK_BYTES_S),
        ("disk_read_ops", DISK_OPS_S),
        ("disk_write_ops", DISK_OPS_S),
    ):
        assert np.nanmax(np.diff(values[f"{OM}{metric}_total"])) <= most * tick_s, metric


def test_a_flood_is_cut_down_to_what_the_card_lets_through() -> None:
    gains = np.full((1, c.ALL, 1), 1e11)
    throttle(gains, 15.0)
    assert gains[0, c.TX_BYTES, 0] == NIC_BYTES_S * 15 and gains[0, c.TX_PACKETS, 0] == NIC_BYTES_S * 15
    assert gains[0, c.WRITES, 0] <= DISK_OPS_S * 15 and gains[0, c.SWITCHES, 0] == 1e11


def test_no_more_requests_are_served_than_the_cores_have_time_for(day: tuple[Simulator, Recording]) -> None:
    recording = day[1]
    roles = shipped_roles().roles
    for server in FLEET:
        role = roles[server.role]
        typical = np.mean([size.cores for size in role.sizes])
        busy_s = (role.cpu - role.cpu_idle) / 100 * typical / role.requests / 1.2  # of one request, at the least
        rows = recording.rows[f"{OM}http_requests_total"]
        served = sum(
            recording.values[f"{OM}http_requests_total"][number]
            for number, row in enumerate(rows)
            if row[0] == server.name and not row[2].startswith("5")
        )
        assert np.nanmax(np.diff(served)) * busy_s / 15 <= server.cores, server.name


def test_the_histogram_counts_what_was_requested_in_every_tick(day: tuple[Simulator, Recording]) -> None:
    recording = day[1]
    for server in FLEET:
        buckets = recording.of(f"{OM}http_request_latency_seconds_bucket", server.name)
        count = recording.of(f"{OM}http_request_latency_seconds_count", server.name)[0]
        requests = recording.total(f"{OM}http_requests_total", server.name)
        assert np.array_equal(buckets[-1], count, equal_nan=True) and np.array_equal(count, requests, equal_nan=True)
        there = ~np.isnan(count)
        assert (np.diff(buckets[:, there], axis=0) >= 0).all()


@pytest.mark.parametrize("role", sorted(shipped_roles().roles))
@pytest.mark.parametrize("hour", [3, 11])
def test_saturation_takes_every_core_of_any_role_by_night_and_at_the_peak(role: str, hour: int) -> None:
    server = next(server.name for server in FLEET if server.role == role)
    log = a_log()
    incident = log.inject("cpu-saturation", [server], now_ms=MONDAY_MS + hour * HOUR_MS, duration="8m")
    ticks = a_simulator(log=log).ticks(incident.start_ms - 60_000, incident.end_ms + 120_000)
    recording = record(ticks, [f"{OM}cpu_usage_percent"])
    over = recording.of(f"{OM}cpu_usage_percent", server).min(axis=0) > 95
    longest = max(len(list(run)) for value, run in itertools.groupby(over.tolist()) if value)
    assert longest * TICK_MS >= 330_000
    assert recording.t_ms[over][0] - incident.start_ms <= 30_000
    assert not over[-4:].any()


def test_many_seeds_and_days_hold_the_identities_at_once() -> None:
    for seed, day in ((11, 2), (12, 6), (13, 200)):
        start = MONDAY_MS + day * 24 * HOUR_MS + 13 * HOUR_MS
        values = record(Simulator(make_fleet(9), seed=seed).ticks(start, start + HOUR_MS)).values
        used, free, total = (values[f"{OM}memory_{name}_bytes"] for name in ("used", "available", "total"))
        assert np.array_equal(used + free, total)
        assert all((np.diff(v) >= 0).all() for m, v in values.items() if m.endswith(("_total", "_bucket", "_count")))
        assert all(v.max() <= 100 for m, v in values.items() if m.endswith("_percent"))
