"""What is watched of a server, and from which difference on it matters to anybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from exporter.analysis.servers import Reading


class Kind(Enum):
    """What a measure shows: how a trouble travels along the service graph depends on it."""

    STATE = "state"  # away, stopped: facts
    RESOURCE = "resource"  # something runs out
    LOAD = "load"  # work that others ask for
    SLOWNESS = "slowness"  # what those who wait feel


@dataclass(frozen=True, slots=True)
class Measure:
    """`points` and `part` (of what was expected): a difference below both or either matters to nobody.

    only_up: less than usual is good news. steps: whole numbers of small counts, whose first is news.
    """

    name: str
    kind: Kind
    unit: str
    read: Callable[[Reading], float]
    points: float
    part: float = 0.0
    only_up: bool = False

    def matters(self, value: float, expected: tuple[float, float]) -> bool:
        """Whether a value is far enough outside the expected range, in a direction that is bad."""
        low, high = expected
        beyond = value - high if value > high else value - low if value < low else 0.0
        if self.only_up and beyond < 0:
            return False
        return abs(beyond) >= max(self.points, self.part * abs(high if beyond > 0 else low)) and beyond != 0


MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("cpu", Kind.RESOURCE, "%", lambda of: of.cpu, 4.0),
        Measure("memory", Kind.RESOURCE, "%", lambda of: of.memory, 2.0, only_up=True),
        Measure("disk", Kind.RESOURCE, "%", lambda of: of.disk, 0.5, only_up=True),
        Measure("network_in", Kind.LOAD, "B/s", lambda of: of.network_in, 10_000.0, 0.2),
        Measure("network_out", Kind.LOAD, "B/s", lambda of: of.network_out, 10_000.0, 0.2),
        Measure("requests", Kind.LOAD, "/s", lambda of: of.requests_per_s, 1.0, 0.2),
        Measure("response", Kind.SLOWNESS, "s", lambda of: of.response_s, 0.01, 0.25, only_up=True),
        Measure("failed", Kind.SLOWNESS, "%", lambda of: of.failed_percent, 1.0, only_up=True),
        Measure("memory_growth", Kind.RESOURCE, "%/h", lambda of: of.memory_per_h, 8.0, only_up=True),
        Measure("disk_growth", Kind.RESOURCE, "%/h", lambda of: of.disk_per_h, 2.0, only_up=True),
        Measure("lost", Kind.RESOURCE, "/s", lambda of: of.lost_per_s, 0.5, 0.5, only_up=True),
    )
}


def measured(reading: Reading) -> Iterator[tuple[Measure, float]]:
    """Every measure that a server says."""
    for measure in MEASURES.values():
        value = measure.read(reading)
        if value == value:
            yield measure, value
