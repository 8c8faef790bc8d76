"""Whether a server is well: thresholds, and the reason in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from exporter.analysis.servers import Reading
from exporter.duration import format_duration
from exporter.model import Limits, Server


class Health(StrEnum):
    """How a server is. A server that says nothing is down."""

    HEALTHY = "healthy"
    WARNING = "warning"
    CRITICAL = "critical"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Threshold:
    """Above `warning` is a warning, above `critical` is critical."""

    warning: float
    critical: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is too much. cpu, memory, disk in percent, response in seconds."""

    cpu: Threshold = Threshold(75, 90)
    memory: Threshold = Threshold(85, 95)
    disk: Threshold = Threshold(85, 95)
    response: Threshold = Threshold(2, 5)

    def with_limits(self, limits: Mapping[str, Limits]) -> Thresholds:
        """These, but for the measures and levels that a server has limits of its own for.

        A critical limit of its own below everyone's warning draws the warning down with it, and the reverse.
        """
        own = {}
        for measure, of in limits.items():
            usual: Threshold = getattr(self, measure)
            warning = usual.warning if of.warning is None else of.warning
            critical = usual.critical if of.critical is None else of.critical
            if of.warning is None:
                warning = min(warning, critical)
            own[measure] = Threshold(warning, max(warning, critical))
        return replace(self, **own) if own else self


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong: `cpu 93 > 90`, since when (Unix ms)."""

    what: str
    level: Health
    text: str
    value: float
    edge: float
    since_ms: int = 0


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A server's reading and what it means. `since_ms` is when the present health began.

    Invariant: `reason` is empty exactly when the server is healthy.
    """

    reading: Reading
    health: Health
    reason: str
    since_ms: int
    t_ms: int
    troubles: tuple[Trouble, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """Every known server at one tick, sorted by id. `t_ms` is Unix milliseconds."""

    t_ms: int
    servers: tuple[ServerStatus, ...]

    def counts(self) -> dict[Health, int]:
        """How many servers are in each health."""
        return {health: sum(server.health is health for server in self.servers) for health in Health}

    def readings(self) -> list[Reading]:
        """Of the servers that say anything."""
        return [server.reading for server in self.servers if server.health is not Health.DOWN]


def troubles(reading: Reading, thresholds: Thresholds) -> Iterator[Trouble]:
    """What is wrong with a server, measure by measure."""
    measures = (
        ("cpu", reading.cpu, thresholds.cpu, ""),
        ("memory", reading.memory, thresholds.memory, ""),
        ("disk", reading.disk, thresholds.disk, ""),
        ("response", reading.response_s, thresholds.response, " s"),
    )
    for what, value, threshold, unit in measures:
        for level, edge in ((Health.CRITICAL, threshold.critical), (Health.WARNING, threshold.warning)):
            if value > edge:
                yield Trouble(what, level, f"{what} {_shown(value, edge)}{unit} > {edge:g}{unit}", value, edge)
                break
    for service in reading.down_services:
        yield Trouble(f"service {service}", Health.CRITICAL, f"service {service} is down", 0.0, 1.0)


def _shown(value: float, edge: float) -> str:
    """Rounded, but never so far that it no longer looks greater than the edge."""
    return next((text for text in (f"{value:.0f}", f"{value:.1f}", f"{value:.2f}") if float(text) > edge), f"{value:g}")


@dataclass(slots=True)
class _Known:
    reading: Reading
    health: Health
    since_ms: int
    began: dict[tuple[str, Health], int] = field(default_factory=dict)


class Judge:
    """Judges readings tick by tick, remembering since when things are as they are and who was there."""

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self._thresholds = thresholds or Thresholds()
        self._known: dict[str, _Known] = {}
        self._expected: Mapping[str, Server] | None = None

    def judge(self, t_ms: int, readings: Sequence[Reading]) -> Fleet:
        """The fleet now. A server that was there before and says nothing now is down."""
        present = {reading.id for reading in readings}
        if self._expected is not None:
            for gone in self._known.keys() - present - self._expected.keys():
                del self._known[gone]
        found = [self._present(t_ms, reading) for reading in readings]
        found += [self._absent(t_ms, known) for server, known in self._known.items() if server not in present]
        return Fleet(t_ms, tuple(sorted(found, key=lambda server: server.reading.id)))

    def expect(self, t_ms: int, servers: Mapping[str, Server]) -> None:
        """These are the fleet: who of them says nothing is down, who is not is gone; their own thresholds hold."""
        for name, server in servers.items():
            if name not in self._known:
                self._known[name] = _Known(_silent(server), Health.DOWN, t_ms)
        self._expected = servers

    def _thresholds_of(self, name: str) -> Thresholds:
        server = None if self._expected is None else self._expected.get(name)
        return self._thresholds.with_limits(server.thresholds) if server is not None else self._thresholds

    def _present(self, t_ms: int, reading: Reading) -> ServerStatus:
        found = troubles(reading, self._thresholds_of(reading.id))
        wrong = sorted(found, key=lambda trouble: trouble.level is not Health.CRITICAL)
        health = wrong[0].level if wrong else Health.HEALTHY
        known = self._remember(t_ms, reading, health)
        known.began = {(of.what, of.level): known.began.get((of.what, of.level), t_ms) for of in wrong}
        dated = tuple(replace(of, since_ms=known.began[of.what, of.level]) for of in wrong)
        reason = "; ".join(_since(of.text, t_ms - of.since_ms) for of in dated)
        return ServerStatus(reading, health, reason, known.since_ms, t_ms, dated)

    def _absent(self, t_ms: int, known: _Known) -> ServerStatus:
        self._remember(t_ms, known.reading, Health.DOWN)
        known.began = {}
        return ServerStatus(
            known.reading, Health.DOWN, _since("no samples", t_ms - known.since_ms), known.since_ms, t_ms
        )

    def _remember(self, t_ms: int, reading: Reading, health: Health) -> _Known:
        known = self._known.setdefault(reading.id, _Known(reading, health, t_ms))
        if known.health is not health:
            known.health, known.since_ms = health, t_ms
        known.reading = reading
        return known


def _silent(server: Server) -> Reading:
    nan = float("nan")
    return Reading(server.name, server.role, server.environment, nan, nan, nan, nan, nan, nan, nan, nan, ())


def _since(text: str, ms: int) -> str:
    return f"{text} for {format_duration(ms)}" if ms > 0 else text
