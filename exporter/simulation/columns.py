"""From the state of all servers at one tick to a snapshot: the catalogue's columns, in one order, rounded."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter import catalogue as cat
from exporter.model import Column, Exemplar, Family, SeriesIndex, Server, format_value
from exporter.simulation import counters as c
from exporter.simulation.model import State
from exporter.simulation.noise import Floats, bits, keys, normal, uniform

_SYSTEM_SHARE = 1.0 / 12.0  # of the disk work that goes to the system disk beside a data disk
_PAGE = 4096
_FAILED_CLASS = 6  # the latency class of failed requests: up to half a second
# requests by method and status: how many of a thousand, and how much longer than the mean they take
_KINDS = (("GET", "200", 760, 0.93), ("POST", "200", 220, 1.265), ("GET", "404", 20, 0.745))
_FAILED = ("GET", "500")
_NEVER = ("POST", "500"), ("GET", "503"), ("POST", "503")  # counted from 0, as an instrumented server does
_INTERFACES = "eth0", "eth1"  # eth1 stands by
_BOOT_PERCENT = 17.0, 4.0  # of /boot: the least, and how much more it may be


def _turns() -> Floats:
    """Of the first i requests of a thousand, how many are of each kind. Shape (kinds, 1001).

    Every request has a kind by its number, so kinds add up to all requests and none ever falls.
    """
    order = np.argsort([(number * 383) % 1000 for number in range(1000)], kind="stable")
    kind_of = np.empty(1000, dtype=np.int64)
    kind_of[order] = np.repeat(np.arange(len(_KINDS)), [kind[2] for kind in _KINDS])
    steps = np.stack([kind_of == number for number in range(len(_KINDS))]).astype(np.float64)
    return np.concatenate((np.zeros((len(_KINDS), 1)), np.cumsum(steps, axis=1)), axis=1)


_TURNS = _turns()
_PER_THOUSAND = np.array([[float(kind[2])] for kind in _KINDS])


@dataclass(frozen=True, slots=True)
class _Present:
    """The servers that are there at a tick, and the series they have."""

    rows: NDArray[np.int64]
    indexes: dict[str, SeriesIndex]
    core_row: NDArray[np.int64]  # for each core, its server's row
    core_first: NDArray[np.int64]  # for each present server, its first core
    boot_place: NDArray[np.int64]  # where each present server's /boot stands among the other mounts
    services: NDArray[np.int64]  # how many each present server has
    two_disks: NDArray[np.int64]  # rows of servers with a data disk, among the present ones


class Columns:
    """Makes snapshots' columns for a fleet. Series are the same object from tick to tick while they stay the same."""

    def __init__(self, servers: Sequence[Server], seed: int) -> None:
        self._servers = tuple(servers)
        names = [server.name for server in servers]
        self._row = {name: row for row, name in enumerate(names)}
        self._present = functools.lru_cache(maxsize=16)(self._read_present)
        self._incidents = functools.lru_cache(maxsize=16)(self._read_incidents)
        self._core_keys, self._trace_key = keys(seed, names, "cpu/cores"), keys(seed, names, "trace")
        once = np.zeros(1, dtype=np.int64)
        self._boot_used = _BOOT_PERCENT[0] + _BOOT_PERCENT[1] * uniform(keys(seed, names, "disk/boot"), once)
        self._memory = np.array([server.memory_bytes for server in self._servers], dtype=np.float64)
        swapped = bits(keys(seed, names, "swap"), np.zeros(1, dtype=np.int64)) % np.uint64(64)
        self._swap = np.where(swapped < 24, swapped.astype(np.float64) * 256 * _PAGE, 0.0)

    def at(
        self, state: State, tick: int, incidents: tuple[tuple[str, str, str], ...], lost: Collection[str] = ()
    ) -> tuple[Column, ...]:
        """All columns at one tick of a state.

        incidents: (server, scenario, root) of the effects there are; lost: servers of which nothing is seen.
        """
        up = state.up[:, tick].copy()
        up[[self._row[name] for name in lost if name in self._row]] = False
        there = self._present(up.tobytes())
        rows, index = there.rows, there.indexes
        out: list[Column] = []

        def add(family: Family, values: Floats, suffix: str = "") -> None:
            out.append(Column(index[family.name + suffix], np.ascontiguousarray(values)))

        add(cat.CPU_USAGE, self._cores(state, tick, there))
        for family, load in zip((cat.LOAD_1M, cat.LOAD_5M, cat.LOAD_15M), state.loads[:, rows, tick], strict=True):
            add(family, np.round(load, 2))
        count = state.counters[rows, :, tick]
        add(cat.CONTEXT_SWITCHES, count[:, c.SWITCHES])
        self._add_memory(add, state.memory[rows, tick], rows)
        self._add_disks(add, state, tick, there, count)
        self._add_network(add, count)
        services = np.repeat(state.service_up[rows, tick], there.services)
        add(cat.SERVICE_UP, services.astype(np.float64))
        self._add_requests(add, state.latency_s[rows, tick], count)
        out[-3] = Column(out[-3].index, out[-3].values, self._exemplars(state, tick, there))
        add(cat.BOOT_TIME, state.boot_s[rows, tick] + state.skew_s[rows, tick])
        add(cat.SERVER_INFO, np.ones(len(rows)))
        # of a server that is not seen the truth is still told, but not under its name: it would seem to be there
        mine = [incident for incident in incidents if incident[0] in self._row]
        active = dict.fromkeys((name if up[self._row[name]] else "", *of) for name, *of in mine)
        if active:
            out.append(Column(self._incidents(tuple(active)), np.ones(len(active))))
        return tuple(out)

    def _cores(self, state: State, tick: int, there: _Present) -> Floats:
        """Each core of each server; their mean is the server's cpu. Shape (cores,)."""
        if not len(there.rows):
            return np.empty(0)
        cpu = state.cpu[there.core_row, tick]
        number = state.first_ms // state.tick_ms + tick
        position = np.arange(len(there.core_row)) - np.repeat(there.core_first, np.diff([*there.core_first, len(cpu)]))
        away = normal(self._core_keys[there.core_row], position * (1 << 40) + number)
        sizes = np.diff([*there.core_first, len(cpu)])
        away -= np.repeat(np.add.reduceat(away, there.core_first) / sizes, sizes)
        widest = np.repeat(np.maximum.reduceat(np.abs(away), there.core_first), sizes)
        reach = np.minimum(0.04 * cpu + 0.8, 0.9 * np.minimum(cpu, 100.0 - cpu) / np.maximum(widest, 1e-9))
        rounded: Floats = np.round(cpu + away * reach, 2)
        return rounded

    def _add_memory(self, add: Callable[..., None], percent: Floats, rows: NDArray[np.int64]) -> None:
        total = self._memory[rows]
        used = np.floor(total * percent / 100.0 / _PAGE) * _PAGE
        add(cat.MEMORY_USAGE, np.round(100.0 * used / total, 2))
        add(cat.MEMORY_USED, used)
        add(cat.MEMORY_TOTAL, total)
        add(cat.MEMORY_AVAILABLE, total - used)
        pressed = np.floor(np.maximum(percent - 90.0, 0.0) / 100.0 * total / _PAGE) * _PAGE
        add(cat.SWAP_USED, self._swap[rows] + pressed)

    def _add_disks(self, add: Callable[..., None], state: State, tick: int, there: _Present, count: Floats) -> None:
        rows, second = there.rows, there.two_disks

        def both(main: Floats, system: Floats) -> Floats:
            return np.insert(main, second, system[second])

        used = np.insert(state.disk[rows, tick], second, state.system_disk[rows, tick][second])
        add(cat.DISK_USAGE, np.round(np.insert(used, there.boot_place, self._boot_used[rows]), 3))
        for family, number, unit in (
            (cat.DISK_READ_BYTES, c.READ_SECTORS, c.SECTOR),
            (cat.DISK_WRITE_BYTES, c.WRITE_SECTORS, c.SECTOR),
            (cat.DISK_READ_OPS, c.READS, 1),
            (cat.DISK_WRITE_OPS, c.WRITES, 1),
        ):
            main = count[:, number]
            add(family, both(main, np.floor(main * _SYSTEM_SHARE)) * unit)

    def _add_network(self, add: Callable[..., None], count: Floats) -> None:
        for family, number in (
            (cat.RECEIVE_BYTES, c.RX_BYTES),
            (cat.TRANSMIT_BYTES, c.TX_BYTES),
            (cat.RECEIVE_PACKETS, c.RX_PACKETS),
            (cat.TRANSMIT_PACKETS, c.TX_PACKETS),
            (cat.RECEIVE_ERRORS, c.RX_ERRORS),
            (cat.TRANSMIT_DROPS, c.TX_DROPS),
        ):
            add(family, np.stack((count[:, number], np.zeros(len(count))), axis=1).ravel())

    def _add_requests(self, add: Callable[..., None], mean_s: Floats, count: Floats) -> None:
        classes = count[:, : c.CLASSES].copy()
        answered = classes.sum(axis=1)
        failed = count[:, c.FAILURES]
        whole, rest = np.divmod(answered, 1000.0)
        kinds = whole * _PER_THOUSAND + _TURNS[:, rest.astype(np.int64)]
        add(cat.REQUEST_DURATION, np.round(np.outer(mean_s, [kind[3] for kind in _KINDS]), 5).ravel())
        add(cat.REQUESTS, np.concatenate((kinds, failed[None], np.zeros((len(_NEVER), len(failed))))).T.ravel())
        classes[:, _FAILED_CLASS] += failed
        add(cat.REQUEST_LATENCY, np.cumsum(classes, axis=1).ravel(), "_bucket")
        add(cat.REQUEST_LATENCY, np.round((classes * np.array(c.TYPICAL_S)).sum(axis=1), 3), "_sum")
        add(cat.REQUEST_LATENCY, classes.sum(axis=1), "_count")

    def _exemplars(self, state: State, tick: int, there: _Present) -> dict[int, Exemplar]:
        """One slow request per server, in the bucket of the 95th percentile of its latency."""
        if len(there.rows) > 1000:
            return {}
        t_ms = state.first_ms + (tick + 1) * state.tick_ms
        slow = state.latency_s[there.rows, tick] * 2.2
        bucket = np.minimum(np.searchsorted(np.array(c.BOUNDS_S), slow), c.CLASSES - 1)
        trace = bits(self._trace_key[there.rows], np.array([t_ms], dtype=np.int64))
        t_s = (t_ms - state.tick_ms // 3) / 1000.0 + state.skew_s[there.rows, tick]
        return {
            row * c.CLASSES + int(place): Exemplar(
                (("trace_id", f"{int(number):016x}"),), round(float(value), 4), float(when)
            )
            for row, (place, number, value, when) in enumerate(zip(bucket, trace, slow, t_s, strict=True))
        }

    def _read_present(self, up: bytes) -> _Present:
        rows = np.flatnonzero(np.frombuffer(up, dtype=np.bool_))
        servers = [self._servers[row] for row in rows]
        cores = np.array([server.cores for server in servers], dtype=np.int64)
        mounts = np.array([1 if server.mount == "/" else 2 for server in servers], dtype=np.int64)
        return _Present(
            rows=rows,
            boot_place=np.cumsum(mounts) - mounts + 1,
            indexes={index.metric: index for index in _indexes(servers)},
            core_row=np.repeat(rows, cores),
            core_first=np.concatenate(([0], np.cumsum(cores)[:-1])).astype(np.int64)[: len(rows)],
            services=np.array([len(server.services) for server in servers], dtype=np.int64),
            two_disks=np.array([i for i, server in enumerate(servers) if server.mount != "/"], dtype=np.int64),
        )

    def _read_incidents(self, active: tuple[tuple[str, ...], ...]) -> SeriesIndex:
        family = cat.INCIDENT_ACTIVE
        return SeriesIndex(family, family.name, ("server", "scenario", "root"), active)


def _indexes(servers: Sequence[Server]) -> list[SeriesIndex]:
    names = [server.name for server in servers]

    def index(
        family: Family, labels: tuple[str, ...], rows: Sequence[tuple[str, ...]], suffix: str = ""
    ) -> SeriesIndex:
        return SeriesIndex(family, family.name + suffix, ("server", *labels), tuple(rows))

    each: list[tuple[str, ...]] = [(name,) for name in names]
    own = sorted({name for server in servers for name in server.labels})
    mounts = [
        (s.name, mount) for s in servers for mount in (("/", "/boot") if s.mount == "/" else ("/", "/boot", s.mount))
    ]
    devices = [(s.name, device) for s in servers for device in (("sda",) if s.mount == "/" else ("sda", "sdb"))]
    kinds = [(name, *kind[:2]) for name in names for kind in _KINDS]
    requests = [(name, *kind) for name in names for kind in (*(kind[:2] for kind in _KINDS), _FAILED, *_NEVER)]
    cores = [str(core) for core in range(max((server.cores for server in servers), default=0))]
    bounds = [*map(format_value, c.BOUNDS_S), "+Inf"]
    plain = (
        *(cat.LOAD_1M, cat.LOAD_5M, cat.LOAD_15M, cat.CONTEXT_SWITCHES, cat.BOOT_TIME),
        *(cat.MEMORY_USAGE, cat.MEMORY_USED, cat.MEMORY_TOTAL, cat.MEMORY_AVAILABLE, cat.SWAP_USED),
    )
    disks = (cat.DISK_READ_BYTES, cat.DISK_WRITE_BYTES, cat.DISK_READ_OPS, cat.DISK_WRITE_OPS)
    network = (
        *(cat.RECEIVE_BYTES, cat.TRANSMIT_BYTES, cat.RECEIVE_PACKETS, cat.TRANSMIT_PACKETS),
        *(cat.RECEIVE_ERRORS, cat.TRANSMIT_DROPS),
    )
    return [
        index(cat.CPU_USAGE, ("core",), [(s.name, core) for s in servers for core in cores[: s.cores]]),
        *(index(family, (), each) for family in plain),
        index(cat.DISK_USAGE, ("mount",), mounts),
        *(index(family, ("device",), devices) for family in disks),
        *(
            index(family, ("interface",), [(name, card) for name in names for card in _INTERFACES])
            for family in network
        ),
        index(cat.SERVICE_UP, ("service",), [(s.name, service) for s in servers for service in s.services]),
        index(cat.REQUEST_DURATION, ("method", "status"), kinds),
        index(cat.REQUESTS, ("method", "status"), requests),
        index(cat.REQUEST_LATENCY, ("le",), [(name, le) for name in names for le in bounds], "_bucket"),
        index(cat.REQUEST_LATENCY, (), each, "_sum"),
        index(cat.REQUEST_LATENCY, (), each, "_count"),
        index(cat.SERVER_INFO, ("role", "environment", "synthetic", *own), [_info(s, own) for s in servers]),
    ]


def _info(server: Server, own: Sequence[str]) -> tuple[str, ...]:
    return (server.name, server.role, server.environment, "true", *(server.labels.get(name, "") for name in own))
