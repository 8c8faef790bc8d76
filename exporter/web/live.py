"""What there is to serve now: the latest snapshot and what it says of each server, made once per tick."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from exporter.analysis.servers import Readings
from exporter.analysis.status import Fleet, Judge, Threshold, Thresholds
from exporter.model import Server, Snapshot
from exporter.web.latency import Latency


class Live:
    """Holds the latest tick and tells its listeners. Publish on the event loop's thread only."""

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self._readings = Readings()
        self._thresholds = thresholds or Thresholds()
        self._judge = Judge(self._thresholds)
        self._latencies = Latency()
        self._latency: Mapping[str, float] = {}
        self._listeners: list[Callable[[], None]] = []
        self._expected: Callable[[], Mapping[str, Server]] | None = None
        self._snapshot: Snapshot | None = None
        self._fleet = Fleet(0, ())

    def snapshot(self) -> Snapshot | None:
        """The latest snapshot, None before the first."""
        return self._snapshot

    def fleet(self) -> Fleet:
        """The servers of the latest snapshot, and those that have fallen silent."""
        return self._fleet

    def latency(self) -> Mapping[str, float]:
        """The 99th percentile of each server's latency since the tick before, in seconds."""
        return self._latency

    def thresholds(self) -> Mapping[str, Threshold]:
        """What is too much, by measure; percent, `response` in seconds."""
        of = self._thresholds
        return {"cpu": of.cpu, "memory": of.memory, "disk": of.disk, "response": of.response}

    def on_tick(self, listener: Callable[[], None]) -> None:
        """Call this after every publish."""
        self._listeners.append(listener)

    def publish(self, snapshot: Snapshot) -> None:
        """Serve this snapshot from now on."""
        if self._expected is not None:
            self._judge.expect(snapshot.t_ms, self._expected())
        fleet = self._judge.judge(snapshot.t_ms, self._readings.read(snapshot))
        self._snapshot, self._fleet, self._latency = snapshot, fleet, self._latencies.read(snapshot)
        for listener in self._listeners:
            listener()

    def expect(self, servers: Callable[[], Mapping[str, Server]]) -> None:
        """Who belongs to the fleet, by name, asked at each tick; without it, who was ever seen."""
        self._expected = servers
