"""What there is to serve now: the latest snapshot and what it says of each server, made once per tick."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from exporter.analysis.servers import Readings
from exporter.analysis.status import Fleet, Judge, Thresholds
from exporter.model import Snapshot


class Live:
    """Holds the latest tick and tells its listeners. Publish on the event loop's thread only."""

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self._readings = Readings()
        self._judge = Judge(thresholds)
        self._listeners: list[Callable[[], None]] = []
        self._expected: Callable[[], Mapping[str, tuple[str, str]]] | None = None
        self._snapshot: Snapshot | None = None
        self._fleet = Fleet(0, ())

    def snapshot(self) -> Snapshot | None:
        """The latest snapshot, None before the first."""
        return self._snapshot

    def fleet(self) -> Fleet:
        """The servers of the latest snapshot, and those that have fallen silent."""
        return self._fleet

    def on_tick(self, listener: Callable[[], None]) -> None:
        """Call this after every publish."""
        self._listeners.append(listener)

    def publish(self, snapshot: Snapshot) -> None:
        """Serve this snapshot from now on."""
        if self._expected is not None:
            self._judge.expect(snapshot.t_ms, self._expected())
        fleet = self._judge.judge(snapshot.t_ms, self._readings.read(snapshot))
        self._snapshot, self._fleet = snapshot, fleet
        for listener in self._listeners:
            listener()

    def expect(self, servers: Callable[[], Mapping[str, tuple[str, str]]]) -> None:
        """Who belongs to the fleet (name: role and environment), asked at each tick; without it, who was ever seen."""
        self._expected = servers
