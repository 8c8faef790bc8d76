"""What must be true of every sample, counted where it is not: 0 is the only good number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from exporter.model import Server, Snapshot
from exporter.simulation.counters import SECTOR, WRITE_SECTORS
from exporter.simulation.fleet import shipped_roles
from exporter.simulation.hardware import DISK_BYTES_S, DISK_OPS_S, NIC_BYTES_S
from exporter.simulation.incidents import IncidentLog
from exporter.simulation.recording import Floats, Recording
from exporter.simulation.scenarios import shipped_scenarios
from exporter.simulation.simulator import Simulator

_OM = "openmanager_"
_COUNTING = ("_total", "_bucket", "_sum", "_count")
_FASTEST = (
    ("network_receive_bytes", NIC_BYTES_S),
    ("network_transmit_bytes", NIC_BYTES_S),
    ("disk_read_bytes", DISK_BYTES_S),
    ("disk_write_bytes", DISK_BYTES_S),
    ("disk_read_ops", DISK_OPS_S),
    ("disk_write_ops", DISK_OPS_S),
)
_SIZES = (
    ("disk_read_bytes", "disk_read_ops", SECTOR, 2 << 20),
    ("disk_write_bytes", "disk_write_ops", SECTOR, 2 << 20),
    ("network_receive_bytes", "network_receive_packets", 40, 9000),
    ("network_transmit_bytes", "network_transmit_packets", 40, 9000),
)

Broken = Iterator[tuple[str, str, float]]
"""Test, what it says, and how many samples break it."""


def of_day(day: Recording, simulator: Simulator, fleet: Sequence[Server], tick_s: float) -> Broken:
    """The identities of a day without failures."""
    yield "H1", "used + available = total, percent of it", _memory(day)
    yield "H2", "cores' mean is the server's cpu, 0 … 100 %", _cores(day, simulator, fleet)
    yield "H3", "counters fall at a restart only, all of them", _falls(day, fleet)
    yield "H4", "load 5 and 15 from load 1's queue", _loads(day, tick_s)
    yield "H5", "bytes per operation and per packet", _sizes(day)
    yield "H6", "disk growth is what was written", _growth(simulator, int(day.t_ms[0]))
    yield "H7", "histogram: rising, +Inf = count = requests", _histograms(day, fleet)
    yield "H9", "throughput within the hardware", _throughput(day, tick_s)


def of_failures(fleet: Sequence[Server], seed: int, t_ms: int) -> Broken:
    """What is true of silent servers, and of those that a failure elsewhere must not touch."""
    log = IncidentLog(fleet, shipped_roles(), shipped_scenarios())
    broken = {}
    for name, role in (("service-down", "api"), ("scrape-down", "web"), ("cpu-saturation", "cache")):
        if servers := [server.name for server in fleet if server.role == role]:
            broken[name] = servers[0]
            log.inject(name, servers[:1], now_ms=t_ms)
    seen, calm = Simulator(fleet, seed=seed, incidents=log), Simulator(fleet, seed=seed)
    ticks = list(seen.ticks(t_ms + 60_000, t_ms + 180_000))
    yield "H8", "a service that is down serves nothing", _served(ticks, broken.get("service-down", ""))
    yield "H8", "a server that is silent has no series", _there(ticks, broken.get("scrape-down", ""))
    affected = {
        of["server"] for incident in log.between(t_ms, t_ms + 180_000) for of in log.record(incident)["affected"]
    }
    yield "H10", "a failure changes nothing off its graph", _elsewhere(ticks, calm, affected)
    again = Simulator(fleet, seed=seed, incidents=log)
    yield "H10", "the same seed, the same bits", sum(_bits(again.at(t.t_ms)) != _bits(t) for t in reversed(ticks))


def _count(wrong: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    return float(np.count_nonzero(wrong))


def _memory(day: Recording) -> float:
    used, free, total = (day.values[f"{_OM}memory_{name}_bytes"] for name in ("used", "available", "total"))
    away = np.abs(day.values[f"{_OM}memory_usage_percent"] - 100.0 * used / total)
    return _count(np.abs(used + free - total) > 1) + _count(away > 0.01)


def _cores(day: Recording, simulator: Simulator, fleet: Sequence[Server]) -> float:
    cores = day.values[f"{_OM}cpu_usage_percent"]
    wrong = _count((cores < 0) | (cores > 100))
    for number in range(0, len(day.t_ms), max(1, len(day.t_ms) // 100)):
        cpu = simulator.state(int(day.t_ms[number])).cpu[:, 0]
        means = [day.of(f"{_OM}cpu_usage_percent", server.name)[:, number].mean() for server in fleet]
        wrong += _count(np.abs(np.array(means) - cpu) > 0.1)
    return wrong


def _falls(day: Recording, fleet: Sequence[Server]) -> float:
    wrong = 0.0
    boots = day.values[f"{_OM}boot_time_seconds"]
    moved = {
        row[0]: np.diff(values) > 0 for row, values in zip(day.rows[f"{_OM}boot_time_seconds"], boots, strict=True)
    }
    for metric, values in day.values.items():
        if metric.endswith(_COUNTING):
            for row, series in zip(day.rows[metric], values, strict=True):
                fell = np.diff(series) < 0
                wrong += _count(fell & ~moved[row[0]])
                wrong += _count(~fell & moved[row[0]] & (series[:-1] > 0) & (series[1:] > series[:-1]))
    return wrong


def _loads(day: Recording, tick_s: float) -> float:
    one, five, fifteen = (day.values[f"{_OM}cpu_load_average_{minutes}m"] for minutes in (1, 5, 15))
    keep = np.exp(-tick_s / 60.0)
    threads = (one[:, 1:] - one[:, :-1] * keep) / (1.0 - keep)
    wrong = 0.0
    for shown, window_s in ((five, 300.0), (fifteen, 900.0)):
        keep = np.exp(-tick_s / window_s)
        away = shown[:, :-1] * keep + (1.0 - keep) * threads - shown[:, 1:]
        wrong += _count(np.abs(away) > 0.05) + _count(np.sqrt((away**2).mean(axis=1)) > 0.02)
    return wrong


def _gains(day: Recording, name: str) -> Floats:
    gains: Floats = np.diff(day.values[f"{_OM}{name}_total"])
    return gains


def _sizes(day: Recording) -> float:
    wrong = 0.0
    for size, operations, least, most in _SIZES:
        moved, done = _gains(day, size), _gains(day, operations)
        grown = (done > 0) & (moved >= 0)  # not at a boot
        ratio = moved[grown] / done[grown]
        wrong += _count((ratio < least) | (ratio > most)) + _count((done == 0) & (moved > 0))
    return wrong


def _growth(simulator: Simulator, start_ms: int) -> float:
    states = [simulator.state(start_ms + hour * 3_600_000) for hour in range(1, 23)]
    used = np.diff(np.array([state.disk[:, 0] for state in states]), axis=0)
    written = np.diff(np.array([state.counters[:, WRITE_SECTORS, 0] for state in states]), axis=0)
    factor = used / np.where(written > 0, written, np.nan)
    return _count(np.abs(factor / np.nanmedian(factor, axis=0) - 1.0) > 1e-6)


def _histograms(day: Recording, fleet: Sequence[Server]) -> float:
    wrong = 0.0
    for server in fleet:
        buckets = day.of(f"{_OM}http_request_latency_seconds_bucket", server.name)
        count = day.of(f"{_OM}http_request_latency_seconds_count", server.name)[0]
        requests = day.total(f"{_OM}http_requests_total", server.name)
        wrong += _count(np.diff(buckets, axis=0) < 0) + _count(buckets[-1] != count) + _count(count != requests)
    return wrong


def _throughput(day: Recording, tick_s: float) -> float:
    return sum(_count(_gains(day, name) > most * tick_s) for name, most in _FASTEST)


def _rows(snapshot: Snapshot, metric: str, server: str) -> list[float]:
    return [
        value
        for column in snapshot.columns
        if column.index.metric == metric
        for row, value in zip(column.index.rows, column.values.tolist(), strict=True)
        if row[0] == server
    ]


def _served(ticks: Sequence[Snapshot], server: str) -> float:
    counts = np.array([_rows(tick, f"{_OM}http_requests_total", server) for tick in ticks])
    return _count(np.diff(counts, axis=0) != 0)


def _there(ticks: Sequence[Snapshot], server: str) -> float:
    if not server:
        return 0.0
    return float(sum(len(_rows(tick, column.index.metric, server)) for tick in ticks for column in tick.columns))


def _elsewhere(ticks: Sequence[Snapshot], calm: Simulator, affected: set[str]) -> float:
    wrong = 0
    for tick in ticks:
        expected = {
            c.index.metric: dict(zip(c.index.rows, c.values.tolist(), strict=True)) for c in calm.at(tick.t_ms).columns
        }
        for column in tick.columns:
            known = expected.get(column.index.metric, {})
            wrong += sum(
                known.get(row) != value
                for row, value in zip(column.index.rows, column.values.tolist(), strict=True)
                if row[0] not in affected and row[0]
            )
    return float(wrong)


def _bits(snapshot: Snapshot) -> list[tuple[str, bytes]]:
    return [(column.index.metric, column.values.tobytes()) for column in snapshot.columns]
