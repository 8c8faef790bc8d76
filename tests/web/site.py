"""A whole web room over a small fleet, on a real socket, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from aiohttp import TCPConnector, web
from aiohttp.test_utils import TestClient, TestServer

from exporter.model import Family, Labels, Matcher, SeriesSet, Server, Snapshot
from exporter.promql.engine import Engine
from exporter.web.control import Injection
from exporter.web.exposition import Format
from exporter.web.live import Live
from exporter.web.server import Parts, Web, build
from exporter.web.servers import Decide, ServerRefused
from tests.servers import free_port
from tests.web.fleet import T0_MS, FleetMaker

Client: TypeAlias = TestClient[web.Request, web.Application]


class Kept:
    """Samples of some snapshots, in memory: the smallest Queryable there is."""

    def __init__(self, snapshots: Sequence[Snapshot] = ()) -> None:
        self.snapshots = list(snapshots)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesSet]:
        """Snapshots of one fleet share their indexes, so each metric is one set."""
        there = [snapshot for snapshot in self.snapshots if start_ms <= snapshot.t_ms <= end_ms]
        if not there:
            return []
        t_ms = np.array([snapshot.t_ms for snapshot in there], dtype=np.int64)
        sets = []
        for number, column in enumerate(there[0].columns):
            rows = [i for i in range(len(column.values)) if _all_match(matchers, column.index.labels(i))]
            values = np.stack([snapshot.columns[number].values for snapshot in there], axis=1)
            if rows:
                sets.append(SeriesSet([column.index.labels(i) for i in rows], t_ms, values[rows]))
        return sets

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        return [labels for found in self.select(matchers, start_ms, end_ms) for labels in found.labels]

    def families(self) -> Mapping[str, Family]:
        columns = self.snapshots[0].columns if self.snapshots else ()
        return {column.index.family.name: column.index.family for column in columns}


def _all_match(matchers: Sequence[Matcher], labels: Labels) -> bool:
    by_name = dict(labels)
    return all(matcher.matches(by_name.get(matcher.name, "")) for matcher in matchers)


class Broken:
    """Failures that are only remembered."""

    def __init__(self) -> None:
        self.failures: dict[str, Injection] = {}

    def types(self) -> Sequence[Mapping[str, object]]:
        known = {"cpu_spike": "CPU goes up.", "disk_fill": "A disk fills up."}
        return [{"type": name, "description": text} for name, text in known.items()]

    def active(self) -> Sequence[Mapping[str, object]]:
        return [self._shown(injection) for injection in self.failures.values()]

    def _shown(self, injection: Injection) -> Mapping[str, object]:
        start = T0_MS / 1000
        return {
            "id": injection.id,
            "type": injection.type,
            "targets": list(injection.targets),
            "intensity": injection.intensity,
            "start": start,
            "end": start + (injection.duration_s or injection.ttl_s or 600.0),
        }

    def inject(self, injection: Injection) -> tuple[Mapping[str, object], bool]:
        new = injection.id not in self.failures
        return self._shown(self.failures.setdefault(injection.id, injection)), new

    def clear(self, failure_id: str) -> Mapping[str, object] | None:
        cleared = self.failures.pop(failure_id, None)
        return None if cleared is None else self._shown(cleared)

    def truth(self, start_s: float, end_s: float) -> Sequence[Mapping[str, object]]:
        return [failure for failure in self.active() if start_s <= T0_MS / 1000 <= end_s]


class Book:
    """Servers in memory."""

    def __init__(self, *names: str) -> None:
        self._servers = {name: self.proposed(name, name.partition("-")[0]) for name in names}

    def servers(self) -> Mapping[str, Server]:
        return self._servers

    def proposed(self, name: str, role: str) -> Server:
        if role not in ("api", "db", "web"):
            raise ValueError(f"role: {role!r}: must be one of api, db, web")
        return Server(name, role, "test", cores=2, memory_bytes=8 << 30, disk_bytes=80 << 30, services=("nginx",))

    def change(self, name: str, decide: Decide) -> Server | None:
        wanted = decide(self._servers.get(name))
        others = {key: server for key, server in self._servers.items() if key != name}
        if wanted is None and not others:
            raise ServerRefused(f"id: {name!r}: is the last server of the fleet")
        self._servers = others if wanted is None else {**self._servers, name: wanted}
        return wanted


def own_families(page: Format) -> bytes:
    """The process's own telemetry: one gauge."""
    lines = (
        b"# HELP openmanager_exporter_up It runs.\n# TYPE openmanager_exporter_up gauge\nopenmanager_exporter_up 1.0\n"
    )
    return lines + (b"# EOF\n" if page is Format.OPENMETRICS else b"")


def parts(live: Live, samples: Kept, **changed: object) -> Parts:
    """Parts that work, at the time of the fleet's third tick, with no alerter to be found."""
    usual: dict[str, object] = {
        "live": live,
        "register": Book(*(server.reading.id for server in live.fleet().servers)),
        "samples": samples,
        "engine": Engine(samples),
        "telemetry": own_families,
        "timers": list,
        "version": "1.2.3",
        "interval_s": 15.0,
        "local": True,
        "alerter_url": f"http://127.0.0.1:{free_port()}",
        "failures": Broken(),
        "now": lambda: T0_MS / 1000 + 45.0,
    }
    return Parts(**{**usual, **changed})  # type: ignore[arg-type]  # the table above is typed by its names


@asynccontextmanager
async def serving(room: Web) -> AsyncIterator[Client]:
    """A client of the room, served on a real loopback socket."""
    connector = TCPConnector(limit=0)  # more than 100 connections at once
    async with TestClient(TestServer(room.application), connector=connector) as client:
        yield client


@asynccontextmanager
async def site(maker: FleetMaker | None = None, later_ms: int = 0, **changed: object) -> AsyncIterator[Client]:
    """A client of a room that serves three ticks of a fleet, so much later than it would be."""
    maker = maker or FleetMaker()
    made = [maker.at(tick) for tick in (1, 2, 3)]
    snapshots = [replace(snapshot, t_ms=snapshot.t_ms + later_ms) for snapshot in made]
    live = Live()
    for snapshot in snapshots:
        live.publish(snapshot)
    async with serving(build(parts(live, Kept(snapshots), **changed))) as client:
        yield client
