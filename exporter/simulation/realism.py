"""How far the fleet behaves like real servers: a table of measures, by role, each with the band of real ones.

The bands come from public series of cloud machines and from a node exporter under load. A measure is the
median over the servers of a role and over days.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from exporter.model import Server, Snapshot
from exporter.simulation import statistics as st
from exporter.simulation.counters import BOUNDS_S
from exporter.simulation.fleet import make_fleet, shipped_roles
from exporter.simulation.identities import of_day, of_failures
from exporter.simulation.load import queueing
from exporter.simulation.pattern import DAY_MS
from exporter.simulation.recording import Recording, record
from exporter.simulation.simulator import Simulator
from exporter.simulation.statistics import Floats

TICK_MS = 15_000
_TICK_S = TICK_MS / 1000.0
_TICKS = DAY_MS // TICK_MS
_FIRST_DAY = 20_780  # since 1970: 2026-11-23, a Monday
_BUSINESS = ("web", "api", "database", "cache", "load-balancer")  # whose users keep working hours
_BY_HEAP = ("web", "api", "k8s-worker")
_OM = "openmanager_"
_INF = float("inf")


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of one role against its band."""

    test: str
    what: str
    role: str
    value: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        return self.low <= self.value <= self.high

    @property
    def hard(self) -> bool:
        """Whether it must be true of every sample: the value counts where it is not."""
        return self.test.startswith("H")

    def as_json(self) -> dict[str, object]:
        """The row JSON-ready; an open end of the band is null."""
        high = None if self.high == _INF else self.high
        return {
            "test": self.test,
            "measure": self.what,
            "role": self.role,
            "value": self.value,
            "low": self.low,
            "high": high,
            "holds": self.holds,
        }


@dataclass(frozen=True, slots=True)
class Band:
    """A measure of one server over one day, and where it should lie. roles: for which it is meant, all if empty."""

    test: str
    what: str
    measure: Callable[[ServerDay], float]
    low: float
    high: float = _INF
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ServerDay:
    """One server's day at 15 s; gains are per interval. All of shape (m,) but buckets, (bounds + 1, m)."""

    cpu: Floats
    cores: Floats
    load: Floats
    memory: Floats
    disks: Floats
    duration: Floats
    buckets: Floats
    gain: Mapping[str, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """What is kept of each day for what needs several: by server, five-minute means of cpu, requests, disk."""

    cpu: dict[str, list[Floats]] = field(default_factory=lambda: defaultdict(list))
    requests: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    disk: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))


def server_day(day: Recording, server: Server) -> ServerDay:
    """One server's part of a day without failures."""
    name = server.name
    cores = day.of(f"{_OM}cpu_usage_percent", name)
    counters = {
        metric: metric.removeprefix(_OM).removesuffix("_total") for metric in day.rows if metric.endswith("_total")
    }
    cumulated = day.of(f"{_OM}http_request_latency_seconds_bucket", name)
    mounts = [row[1] for row in day.rows[f"{_OM}disk_usage_percent"] if row[0] == name]
    disks = day.of(f"{_OM}disk_usage_percent", name)
    main = mounts.index(server.mount)
    return ServerDay(
        cpu=cores.mean(axis=0),
        cores=cores,
        load=day.of(f"{_OM}cpu_load_average_1m", name)[0],
        memory=day.of(f"{_OM}memory_usage_percent", name)[0],
        disks=np.concatenate((disks[main : main + 1], np.delete(disks, main, axis=0))),
        duration=day.of(f"{_OM}http_request_duration_seconds", name)[0],
        buckets=np.diff(np.diff(cumulated, axis=0, prepend=0.0)),
        gain={short: np.diff(day.total(metric, name)) for metric, short in counters.items()},
    )


def _disk(day: ServerDay, what: str) -> Floats:
    both: Floats = day.gain[f"disk_read_{what}"] + day.gain[f"disk_write_{what}"]
    return both


def _quiet_buckets(day: ServerDay) -> Floats:
    cpu = day.cpu[1:]
    quiet: Floats = day.buckets[:, cpu <= np.quantile(cpu, 0.4)].sum(axis=1)
    return quiet


def _spread(day: ServerDay) -> float:
    return st.log_deviation(np.array(BOUNDS_S), _quiet_buckets(day))


def _tail(day: ServerDay) -> float:
    bounds, counts = np.array(BOUNDS_S), _quiet_buckets(day)
    return st.log_quantile(bounds, counts, 0.99) / st.log_quantile(bounds, counts, 0.5)


def _lag_s(day: ServerDay) -> float:
    return st.best_lag(day.cpu, day.load, 8) * _TICK_S


def _largest_drop(day: ServerDay) -> float:
    return float(-np.diff(day.memory).min())


def _quiet_share(day: ServerDay) -> float:
    rare = np.stack([day.gain["network_receive_errors"], day.gain["network_transmit_drops"]])
    return float((rare == 0).mean())


def _healthy(day: ServerDay) -> float:
    bad = (day.cpu > 75) | (day.memory > 85) | (day.disks > 85).any(axis=0) | (day.duration > 2)
    return float(1.0 - bad.mean())


def firings(day: ServerDay) -> float:
    """How often the shipped thresholds are passed for longer than their rules wait."""
    rules = (
        (day.cores, 80, 20),
        (day.cores, 95, 8),
        (day.memory[None], 85, 20),
        (day.disks, 85, 20),
        (day.disks, 95, 8),
    )
    count = sum(length > ticks for series, over, ticks in rules for row in series for _, length in st.runs(row > over))
    return float(count)


DAILY: Sequence[Band] = (
    Band("S1", "cpu autocorrelation at 15 s", lambda day: st.autocorrelation(day.cpu, 1), 0.5, 0.97),
    Band("S4", "excess kurtosis of cpu's steps", lambda day: st.excess_kurtosis(np.diff(day.cpu)), 5),
    Band(
        "S5", "Spearman of smoothed cpu and load 1", lambda d: st.spearman(st.smoothed(d.cpu, _TICK_S, 60), d.load), 0.8
    ),
    Band("S5", "lag of load 1, s", _lag_s, 10, 60),
    Band("S6", "Spearman of cpu and switches", lambda d: st.spearman(d.cpu[1:], d.gain["cpu_context_switches"]), 0.5),
    Band(
        "S6",
        "Spearman of requests and sent",
        lambda d: st.spearman(d.gain["http_requests"], d.gain["network_transmit_bytes"]),
        0.9,
    ),
    Band(
        "S6",
        "Spearman of received and sent",
        lambda d: st.spearman(d.gain["network_receive_bytes"], d.gain["network_transmit_bytes"]),
        0.7,
    ),
    Band("S7", "Spearman of disk bytes and ops", lambda day: st.spearman(_disk(day, "bytes"), _disk(day, "ops")), 0.7),
    Band(
        "S7",
        "median bytes per disk op, KB",
        lambda day: float(np.median(_disk(day, "bytes") / _disk(day, "ops")) / 1e3),
        4,
        64,
    ),
    Band(
        "S8",
        "busiest 5 % of intervals' disk writes",
        lambda d: st.share_of_busiest(d.gain["disk_write_bytes"], 0.05),
        0.25,
        0.85,
    ),
    Band("S9", "deviation of log latency, unloaded", _spread, 0.4, 0.8),
    Band("S9", "p99 / p50 of latency", _tail, 3, 10),
    Band("S10", "memory autocorrelation at 15 s", lambda day: st.autocorrelation(day.memory, 1), 0.98, 1),
    Band("S10", "largest drop of memory, points", _largest_drop, 5, 60, _BY_HEAP),
    Band("S14", "intervals without errors and drops", _quiet_share, 0.95, 1),
    Band("S15", "Fano factor of arrivals", lambda day: st.fano(day.gain["http_requests"]), 1, 10),
    Band("S17", "shipped rules firing, per day", firings, 0, 0.05),
    Band("S17", "share of time healthy", _healthy, 0.9, 1),
)


def report(
    days: int = 7, seed: int = 1, servers: int = 20, told: Callable[[int, int], None] = lambda done, whole: None
) -> list[Row]:
    """The table over some days without failures, from a Monday on; what needs several days only if there are enough.

    told: is told how many ticks of how many are done.
    """
    fleet = make_fleet(servers)
    simulator = Simulator(fleet, seed=seed)
    start_ms = _FIRST_DAY * DAY_MS
    found: dict[tuple[Band, str], list[float]] = defaultdict(list)
    hard: dict[tuple[str, str], float] = {}
    several, still, pairs = Days(), [], []
    for number in range(days):
        first = start_ms + number * DAY_MS
        ticks = simulator.ticks(first + TICK_MS, first + DAY_MS)
        day = record(_counted(ticks, functools.partial(_tell, told, number, days)))
        for test, what, wrong in of_day(day, simulator, fleet, _TICK_S):
            hard[test, what] = hard.get((test, what), 0.0) + wrong
        still.append(_still(day))
        pairs += _web_pairs(day, fleet)
        for server in fleet:
            mine = server_day(day, server)
            _keep(several, server.name, mine)
            for band in DAILY:
                if not band.roles or server.role in band.roles:
                    found[band, server.role].append(band.measure(mine))
    rows = [
        Row(band.test, band.what, role, _typical(band, values), band.low, band.high)
        for (band, role), values in found.items()
    ]
    rows.append(Row("S12", "series that stand still", "fleet", float(np.median(still)), 0.3, 0.75))
    if pairs:
        rows.append(Row("S13", "requests of two web servers", "web", float(np.median(pairs)), 0.7, 0.99))
    for test, what, wrong in of_failures(fleet, seed, start_ms + DAY_MS // 2):
        hard[test, what] = wrong
    rows += [Row(test, what, "all", wrong, 0, 0) for (test, what), wrong in hard.items()]
    found_rows = [*rows, *_over_days(several, fleet, days), *_queue()]
    return sorted(found_rows, key=lambda row: (row.test[0], int(row.test[1:]), row.what))


def _tell(told: Callable[[int, int], None], day: int, days: int, done: int) -> None:
    told(day * _TICKS + done, days * _TICKS)


def _counted(ticks: Iterable[Snapshot], told: Callable[[int], None]) -> Iterator[Snapshot]:
    for number, tick in enumerate(ticks):
        told(number)
        yield tick


def _typical(band: Band, values: Sequence[float]) -> float:
    # what must stay rare is counted over all servers, not in the middle one
    return float(np.mean(values) if band.test == "S17" else np.median(values))


def _still(day: Recording) -> float:
    return float(np.mean(np.concatenate([np.ptp(values, axis=1) == 0 for values in day.values.values()])))


def _web_pairs(day: Recording, fleet: Iterable[Server]) -> list[float]:
    web = [np.diff(day.total(f"{_OM}http_requests_total", s.name)) for s in fleet if s.role == "web"]
    return [st.correlation(web[0], other) for other in web[1:]]


def _keep(several: Days, name: str, day: ServerDay) -> None:
    several.cpu[name].append(day.cpu.reshape(-1, 20).mean(axis=1))
    several.requests[name].append(float(day.gain["http_requests"].sum()))
    several.disk[name].append((float(day.disks[0][0]), float(day.disks[0][-1])))


def _over_days(several: Days, fleet: Sequence[Server], days: int) -> list[Row]:
    rows = []
    for role in dict.fromkeys(server.role for server in fleet):
        names = [server.name for server in fleet if server.role == role]
        slopes = [end - start for name in names for start, end in several.disk[name]]
        rows.append(Row("S11", "disk growth, points a day", role, float(np.median(slopes)), 0.05, 3))
        if role in _BUSINESS and days >= 2:
            daily = [st.autocorrelation(np.concatenate(several.cpu[name]), 288) for name in names]
            rows.append(Row("S2", "cpu autocorrelation at a day", role, float(np.median(daily)), 0.3, 0.85))
        if role in _BUSINESS and days >= 7:
            weeks = [several.requests[name][:7] for name in names]
            ratio = [float(np.mean(week[5:]) / np.mean(week[:5])) for week in weeks]
            rows.append(Row("S3", "requests of a weekend day to a weekday", role, float(np.median(ratio)), 0.4, 0.8))
    return rows


def _queue() -> list[Row]:
    longer = float(queueing(np.array(0.85)) / queueing(np.array(0.3)))
    return [Row("S9", "mean latency at load 0.85 to that at 0.3", "all", longer, 5, _INF)]


def render(rows: Sequence[Row]) -> str:
    """The table as text: what, band, and a column for each role; what lies outside is marked with !."""
    roles = [*shipped_roles().roles, "fleet", "all"]
    table: dict[tuple[str, str, float, float], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        table[row.test, row.what, row.low, row.high][row.role] = row
    used = [role for role in roles if any(role in line for line in table.values())]
    lines = [f"{'test':5}{'measure':46}{'band':>14}" + "".join(f"{role[:11]:>12}" for role in used)]
    for (test, what, low, high), line in table.items():
        band = f">= {low:g}" if high == _INF else f"{low:g} … {high:g}" if high > low else f"{low:g}"
        cells = "".join(_cell(line.get(role)) for role in used)
        lines.append(f"{test:5}{what:46}{band:>14}{cells}")
    soft, broken = [row for row in rows if not row.hard], [row for row in rows if row.hard and not row.holds]
    held = sum(row.holds for row in soft)
    lines.append(f"{held} of {len(soft)} within their band ({100 * held / len(soft):.1f} %)")
    lines.append(f"{len(broken)} identities broken" if broken else "no identity broken")
    return "\n".join(lines)


def _cell(row: Row | None) -> str:
    if row is None:
        return f"{'':12}"
    return f"{row.value:11.3g}{' ' if row.holds else '!'}"
