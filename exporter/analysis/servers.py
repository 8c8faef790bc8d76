"""What each server is doing now: a few numbers per server, read from one snapshot and the one before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from exporter.catalogue import JUDGEMENTS
from exporter.model import Column, SeriesIndex, Snapshot

if TYPE_CHECKING:
    from exporter.model import Samples

Codes = NDArray[np.intp]
Reduce: TypeAlias = "Callable[[Codes, Samples, int], Samples]"

CPU = "openmanager_cpu_usage_percent"
MEMORY = "openmanager_memory_usage_percent"
DISK = "openmanager_disk_usage_percent"
RECEIVED = "openmanager_network_receive_bytes_total"
SENT = "openmanager_network_transmit_bytes_total"
DAMAGED = "openmanager_network_receive_errors_total"
DROPPED = "openmanager_network_transmit_drops_total"
REQUESTS = "openmanager_http_requests_total"
DURATION = "openmanager_http_request_duration_seconds"
SERVICE_UP = "openmanager_service_up"
BOOTED = "openmanager_boot_time_seconds"
INFO = "openmanager_server_info"
_COUNTERS = (RECEIVED, SENT, REQUESTS, DAMAGED, DROPPED)
READ = (CPU, MEMORY, DISK, *_COUNTERS, DURATION, SERVICE_UP, BOOTED, INFO)
"""The metrics that are read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One server at one tick. Percentages in [0, 100]; NaN where it does not say.

    cpu: mean over cores. disk: the fullest mount. network_in, network_out: bytes per second since the tick before.
    response_s: mean over the requests of the last tick. down_services: those whose `up` is 0. failed_percent: of the
    last tick's requests, those answered with 5xx. lost_per_s: packets that came damaged or were dropped.
    memory_per_h, disk_per_h: growth in points over the last ten minutes; below 0 for a fall.
    """

    id: str
    role: str
    environment: str
    cpu: float
    memory: float
    disk: float
    network_in: float
    network_out: float
    response_s: float
    requests_per_s: float
    booted_s: float
    down_services: tuple[str, ...]
    failed_percent: float = float("nan")
    lost_per_s: float = float("nan")
    memory_per_h: float = float("nan")
    disk_per_h: float = float("nan")


class Rates:
    """Growth per second of counters from tick to tick; a counter that fell has begun again at 0."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[int, SeriesIndex, Samples]] = {}

    def per_second(self, t_ms: int, column: Column) -> Samples:
        """Shape (len(rows),); NaN for a series that was not there at the tick before."""
        index, values = column.index, column.values
        before = self._before.get(index.metric)
        self._before[index.metric] = (t_ms, index, values)
        if before is None or t_ms <= before[0]:
            return np.full(len(values), np.nan)
        earlier = before[2] if before[1] is index else _aligned(index, before[1], before[2])
        grown = np.where(values < earlier, values, values - earlier)
        rate: Samples = np.where(np.isnan(earlier), np.nan, grown) / ((t_ms - before[0]) / 1000)
        return rate


def _aligned(index: SeriesIndex, before: SeriesIndex, values: Samples) -> Samples:
    """The earlier values in the order of this index, NaN for rows that are new."""
    known = dict(zip(before.rows, values.tolist(), strict=True)) if before.label_names == index.label_names else {}
    return np.array([known.get(row, np.nan) for row in index.rows])


class Growth:
    """How fast a level per server rises or falls, over ten minutes."""

    _SPAN_MS, _STEPS = 600_000, 20

    def __init__(self) -> None:
        self._kept: deque[tuple[int, tuple[str, ...], Samples]] = deque(maxlen=self._STEPS + 1)

    def per_hour(self, t_ms: int, levels: Mapping[str, float]) -> Mapping[str, float]:
        """Points per hour of the servers that are known for the whole span."""
        if self._kept and not 0 < t_ms - self._kept[-1][0] <= self._SPAN_MS:
            self._kept.clear()
        if not self._kept or t_ms - self._kept[-1][0] >= self._SPAN_MS // self._STEPS:
            self._kept.append((t_ms, self._names(levels), np.fromiter(levels.values(), np.float64, len(levels))))
        first_ms, names, then = self._kept[0]
        if t_ms - first_ms < self._SPAN_MS // 2:
            return {}
        first = dict(zip(names, then.tolist(), strict=True))
        hours = (t_ms - first_ms) / 3_600_000
        return {server: (level - first[server]) / hours for server, level in levels.items() if server in first}

    def _names(self, levels: Mapping[str, float]) -> tuple[str, ...]:
        """The servers, as the very same object while they stay the same."""
        names = tuple(levels)
        return self._kept[-1][1] if self._kept and self._kept[-1][1] == names else names


class Readings:
    """Reads servers from snapshots, one tick after the other."""

    def __init__(self) -> None:
        self._codes: WeakKeyDictionary[SeriesIndex, tuple[Codes, tuple[str, ...]]] = WeakKeyDictionary()
        self._growing = {MEMORY: Growth(), DISK: Growth()}
        self._failing: WeakKeyDictionary[SeriesIndex, NDArray[np.bool_]] = WeakKeyDictionary()
        self._rates = Rates()

    def read(self, snapshot: Snapshot) -> list[Reading]:
        """Every server that says anything, sorted by id."""
        columns = {
            column.index.metric: column for column in snapshot.columns if column.index.family.name not in JUDGEMENTS
        }
        rates = {name: self._rates.per_second(snapshot.t_ms, columns[name]) for name in _COUNTERS if name in columns}
        facts = dict(_facts(columns.get(INFO)))
        servers = sorted({server for column in columns.values() for server in self._servers(column.index)[1]} - {""})
        cpu = self._per_server(columns, CPU, _mean)
        memory = self._per_server(columns, MEMORY, _mean)
        disk = self._per_server(columns, DISK, _max)
        memory_growth = self._growing[MEMORY].per_hour(snapshot.t_ms, memory)
        disk_growth = self._growing[DISK].per_hour(snapshot.t_ms, disk)
        received, sent, requests, damaged, dropped = (
            self._per_server(columns, name, _sum, rates.get(name)) for name in _COUNTERS
        )
        failed = self._per_server(columns, REQUESTS, _sum, self._failures(columns.get(REQUESTS), rates.get(REQUESTS)))
        response = self._response(columns, rates.get(REQUESTS))
        booted = self._per_server(columns, BOOTED, _max)
        down = _down_services(columns.get(SERVICE_UP))
        nan = float("nan")
        return [
            Reading(
                server,
                *facts.get(server, ("", "")),
                cpu.get(server, nan),
                memory.get(server, nan),
                disk.get(server, nan),
                received.get(server, nan),
                sent.get(server, nan),
                response.get(server, nan),
                requests.get(server, nan),
                booted.get(server, nan),
                down.get(server, ()),
                _percent(failed.get(server, nan), requests.get(server, nan)),
                damaged.get(server, nan) + dropped.get(server, nan),
                memory_growth.get(server, nan),
                disk_growth.get(server, nan),
            )
            for server in servers
        ]

    def _failures(self, column: Column | None, rates: Samples | None) -> Samples | None:
        """The rates of requests answered with 5xx, 0 for the other rows."""
        if column is None or rates is None or "status" not in column.index.label_names:
            return None
        failures = self._failing.get(column.index)
        if failures is None:
            at = column.index.label_names.index("status")
            failures = self._failing[column.index] = np.array([row[at].startswith("5") for row in column.index.rows])
        found: Samples = np.where(failures, rates, np.where(np.isnan(rates), np.nan, 0.0))
        return found

    def _servers(self, index: SeriesIndex) -> tuple[Codes, tuple[str, ...]]:
        """For each row the number of its server, and the servers by number."""
        known = self._codes.get(index)
        if known is None:
            at = index.label_names.index("server") if "server" in index.label_names else None
            names: dict[str, int] = {}
            codes = [names.setdefault("" if at is None else row[at], len(names)) for row in index.rows]
            known = self._codes[index] = (np.array(codes, dtype=np.intp), tuple(names))
        return known

    def _per_server(
        self, columns: Mapping[str, Column], name: str, reduce: Reduce, values: Samples | None = None
    ) -> dict[str, float]:
        """One number per server from the rows of one metric that have one; `values` in place of the column's."""
        if name not in columns or (name in _COUNTERS and values is None):
            return {}
        column = columns[name]
        codes, servers = self._servers(column.index)
        used = column.values if values is None else values
        there = ~np.isnan(used)
        reduced = reduce(codes[there], used[there], len(servers))
        return {server: value for server, value in zip(servers, reduced.tolist(), strict=True) if value == value}

    def _response(self, columns: Mapping[str, Column], rates: Samples | None) -> dict[str, float]:
        """Mean response time, weighted by how many requests there were of each kind where that is known."""
        column, requests = columns.get(DURATION), columns.get(REQUESTS)
        if column is None:
            return {}
        weights = np.ones(len(column.values))
        if requests is not None and rates is not None and requests.index.rows == column.index.rows:
            weights = np.nan_to_num(rates)
        codes, servers = self._servers(column.index)
        values = np.nan_to_num(column.values)
        total = np.bincount(codes, weights, len(servers))
        plain = np.bincount(codes, values, len(servers)) / np.bincount(codes, minlength=len(servers))
        mean = np.divide(np.bincount(codes, values * weights, len(servers)), total, out=plain, where=total > 0)
        return dict(zip(servers, mean.tolist(), strict=True))


def _sum(codes: Codes, values: Samples, servers: int) -> Samples:
    """codes, values: shape (rows,). Returns shape (servers,), NaN for a server without rows, as all of these do."""
    counts = np.bincount(codes, minlength=servers)
    found: Samples = np.where(counts > 0, np.bincount(codes, values, servers), np.nan)
    return found


def _mean(codes: Codes, values: Samples, servers: int) -> Samples:
    counts = np.bincount(codes, minlength=servers)
    found: Samples = _sum(codes, values, servers) / np.maximum(counts, 1)
    return found


def _max(codes: Codes, values: Samples, servers: int) -> Samples:
    found = np.full(servers, np.nan)
    np.fmax.at(found, codes, values)
    return found


def _percent(part: float, whole: float) -> float:
    """0 of nothing is 0; NaN where either is not known."""
    return 100 * part / whole if whole > 0 else part


def _facts(column: Column | None) -> Iterator[tuple[str, tuple[str, str]]]:
    """Role and environment by server."""
    for row in column.index.rows if column else ():
        labels = dict(zip(column.index.label_names, row, strict=True)) if column else {}
        yield labels.get("server", ""), (labels.get("role", ""), labels.get("environment", ""))


def _down_services(column: Column | None) -> dict[str, tuple[str, ...]]:
    if column is None or "service" not in column.index.label_names or "server" not in column.index.label_names:
        return {}
    names = column.index.label_names
    server, service = names.index("server"), names.index("service")
    down: dict[str, tuple[str, ...]] = {}
    for i in np.flatnonzero(column.values == 0).tolist():
        row = column.index.rows[i]
        down[row[server]] = (*down.get(row[server], ()), row[service])
    return down


def means(readings: Sequence[Reading]) -> tuple[float, float]:
    """Average cpu and memory over the servers that say them; NaN where none does."""
    cpu = [reading.cpu for reading in readings if reading.cpu == reading.cpu]
    memory = [reading.memory for reading in readings if reading.memory == reading.memory]
    return (
        sum(cpu) / len(cpu) if cpu else float("nan"),
        sum(memory) / len(memory) if memory else float("nan"),
    )
