"""Small fleets as snapshots, for tests."""

from __future__ import annotations

import numpy as np

from exporter.model import (
    Column,
    Exemplar,
    Family,
    MetricType,
    SeriesIndex,
    Snapshot,
)

T0_MS = 1_748_685_600_000  # 2025-05-31T10:00:00Z
LE = ("0.1", "1.0", "+Inf")

GAUGES = {
    "openmanager_cpu_usage_percent": ("CPU usage of a core.", "percent", "core", ("0", "1")),
    "openmanager_memory_usage_percent": ("Memory in use.", "percent", "", ("",)),
    "openmanager_disk_usage_percent": ("Disk in use.", "percent", "mount", ("/", "/data")),
    "openmanager_service_up": ("Whether a service is up.", "", "service", ("nginx",)),
    "openmanager_boot_time_seconds": ("When it booted.", "seconds", "", ("",)),
}
COUNTERS = {
    "openmanager_network_receive_bytes_total": ("Bytes received.", "bytes", "interface", ("eth0",)),
    "openmanager_network_transmit_bytes_total": ("Bytes sent.", "bytes", "interface", ("eth0",)),
}
DEFAULTS = {
    "openmanager_cpu_usage_percent": 40.0,
    "openmanager_memory_usage_percent": 50.0,
    "openmanager_disk_usage_percent": 30.0,
    "openmanager_service_up": 1.0,
    "openmanager_boot_time_seconds": 1_748_000_000.0,
}


def index(name: str, kind: MetricType, text: str, unit: str, names: tuple[str, ...], rows: object) -> SeriesIndex:
    """An index whose metric has the family's name."""
    return SeriesIndex(Family(name, kind, text, unit), name, names, tuple(rows))  # type: ignore[arg-type]


class FleetMaker:
    """Makes ticks of `servers`; the same indexes at every tick, as a fleet that does not change has."""

    def __init__(self, *servers: str, interval_s: float = 15.0) -> None:
        self.servers = servers or ("api-01", "db-01", "web-01")
        self.interval_s = interval_s
        self._indexes = self._make_indexes()
        self._histogram = self._make_histogram()

    def _make_indexes(self) -> dict[str, SeriesIndex]:
        made = {}
        for kind, catalogue in ((MetricType.GAUGE, GAUGES), (MetricType.COUNTER, COUNTERS)):
            for name, (text, unit, label, values) in catalogue.items():
                names = ("server", label) if label else ("server",)
                rows = [(server, value) if label else (server,) for server in self.servers for value in values]
                made[name] = index(name, kind, text, unit, names, rows)
        facts = ("server", "role", "environment")
        of_servers = [(server, server.partition("-")[0], "test") for server in self.servers]
        made["openmanager_server_info"] = index(
            "openmanager_server_info", MetricType.INFO, "What it is.", "", facts, of_servers
        )
        return made

    def _make_histogram(self) -> tuple[SeriesIndex, ...]:
        name = "openmanager_http_request_latency_seconds"
        family = Family(name, MetricType.HISTOGRAM, 'How long, "all in all".', "seconds")
        plain = tuple((server, "GET") for server in self.servers)
        buckets = tuple((*row, le) for row in plain for le in LE)
        return (
            SeriesIndex(family, name + "_bucket", ("server", "method", "le"), buckets),
            SeriesIndex(family, name + "_sum", ("server", "method"), plain),
            SeriesIndex(family, name + "_count", ("server", "method"), plain),
        )

    def at(self, tick: int, **of_servers: dict[str, float]) -> Snapshot:
        """The fleet at a tick; `web_01={"cpu_usage_percent": 97}` changes values of one server."""
        changed = {server.replace("_", "-"): values for server, values in of_servers.items()}
        columns = [self._column(index, tick, changed) for index in self._indexes.values()]
        return Snapshot(T0_MS + round(tick * self.interval_s * 1000), (*columns, *self._latencies(tick)))

    def _column(self, of: SeriesIndex, tick: int, changed: dict[str, dict[str, float]]) -> Column:
        usual = DEFAULTS.get(of.metric, 1000.0 * tick if of.metric in COUNTERS else 1.0)
        short = of.metric.removeprefix("openmanager_")
        return Column(of, np.array([changed.get(row[0], {}).get(short, usual) for row in of.rows]))

    def _latencies(self, tick: int) -> tuple[Column, ...]:
        bucket, total, count = self._histogram
        n = len(self.servers)
        exemplar = Exemplar((("trace_id", "abc"),), 0.067, T0_MS / 1000)
        return (
            Column(bucket, np.tile([tick, 2.0 * tick, 3.0 * tick], n), {1: exemplar}),
            Column(total, np.full(n, 0.25 * tick)),
            Column(count, np.full(n, 3.0 * tick)),
        )


def fleet(*servers: str) -> Snapshot:
    """One tick of a fleet."""
    return FleetMaker(*servers).at(3)
