"""What is odd now: each measure of each server with a detector, followed from the moment it leaves what was expected.

A detector reports an event once, at its peak. Here it is followed on: a measure stays odd for as long as it is outside
the range in which it was expected when it became odd, or until that has lasted so long that it is the new usual.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from exporter.analysis.detector import Detector
from exporter.analysis.measures import Measure, measured
from exporter.analysis.servers import Reading

ODD = 0.5  # the score from which a measure may be odd
_SURE = 0.97  # the score from which one tick is enough
_KNOWN = 240  # samples: before, only a sure score counts
_BACK = 2  # ticks inside the range end it
_CREEPS_S = 1200.0  # an alarm is remembered so long for a value that comes to matter only later
_USUAL_S = 7200.0  # so long, and it is the new usual
SERIES = 4_000  # watched at most: 25 ms a tick
RESTART = "restart"
_GONE_S = 3600.0  # without a sample, and a series is forgotten


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One measure of one server that is odd now. Times are Unix seconds; `expected` is low and high.

    score: its highest since `since`. certain: a fact, not a guess.
    """

    server: str
    metric: str
    score: float
    value: float
    expected: tuple[float, float]
    since: float
    certain: bool = False

    @property
    def beyond(self) -> float:
        """How far the value is outside what was expected, on either side."""
        return max(self.value - self.expected[1], self.expected[0] - self.value, 0.0)

    @property
    def direction(self) -> str:
        """Whether it is above or below what was expected."""
        return "up" if self.value >= sum(self.expected) / 2 else "down"


@dataclass(slots=True)
class _Series:
    measure: Measure
    detector: Detector = field(default_factory=Detector)
    score: float = 0.0
    value: float = 0.0
    seen_s: float = 0.0
    seen: int = 0  # samples
    alarm: float = 0.0  # the score at `alarm_s`, when the detector last spoke up
    alarm_s: float | None = None
    since: float | None = None
    range: tuple[float, float] = (0.0, 0.0)
    ticks: int = 0  # outside the range, one after the other
    inside: int = 0

    def update(self, t_s: float, value: float) -> None:
        score = self.detector.update(t_s, value)
        self.value, self.seen_s, self.seen = value, t_s, self.seen + 1
        if self.since is None and self.alarm_s is None and score >= (ODD if self.seen > _KNOWN else _SURE):
            self.alarm_s, self.range, self.alarm = t_s, self.detector.expected, score
        if self.since is None:
            self.score = score
            self._begin(t_s, value)
            return
        self.score, self.since = max(self.score, score), min(self.since, t_s)
        if self.measure.matters(value, self.range):
            self.ticks, self.inside = self.ticks + 1, 0
        else:
            self.inside += 1
        if self.inside >= _BACK or t_s - self.since > _USUAL_S:
            self.since, self.alarm_s, self.score = None, None, score

    def _begin(self, t_s: float, value: float) -> None:
        """Odd from an alarm on if the value comes to matter soon after it, as one that creeps away does."""
        if self.alarm_s is None:
            return
        if self.measure.matters(value, self.range):
            self.since, self.score, self.ticks, self.inside = self.alarm_s, self.alarm, 1, 0
        elif t_s - self.alarm_s > _CREEPS_S:
            self.alarm_s = None

    @property
    def odd(self) -> bool:
        return self.since is not None and (self.ticks >= 2 or self.score >= _SURE)


class Watch:
    """Give it the servers' readings tick by tick in the order of time."""

    def __init__(self, limit: int = SERIES) -> None:
        self._limit = limit
        self._series: dict[tuple[str, str], _Series] = {}
        self._forgotten_s = 0.0
        self.samples = 0
        self.unwatched = 0

    def __len__(self) -> int:
        return len(self._series)

    def observe(self, t_s: float, readings: Iterable[Reading]) -> None:
        """One tick. Of more series than the limit those that come first are watched."""
        self.unwatched = 0
        for reading in readings:
            for measure, value in measured(reading):
                series = self._of(reading.id, measure)
                if series is None:
                    self.unwatched += 1
                    continue
                series.update(t_s, value)
                self.samples += 1
        if not 0 <= t_s - self._forgotten_s < _GONE_S:
            self._forgotten_s = t_s
            self._forget(t_s)

    def _of(self, server: str, measure: Measure) -> _Series | None:
        key = (server, measure.name)
        series = self._series.get(key)
        if series is None and len(self._series) < self._limit:
            series = self._series[key] = _Series(measure)
        return series

    def _forget(self, t_s: float) -> None:
        self._series = {key: series for key, series in self._series.items() if t_s - series.seen_s < _GONE_S}

    def scores(self) -> Mapping[tuple[str, str], float]:
        """The present score by server and measure; while a measure is odd, its highest."""
        return {key: series.score for key, series in self._series.items()}

    def anomalies(self, t_s: float) -> Iterator[Anomaly]:
        """What is odd at this tick: also what is said no more, until it is known to be well."""
        for (server, metric), series in self._series.items():
            if series.odd and series.since is not None and series.seen_s == t_s:
                yield Anomaly(server, metric, series.score, series.value, series.range, series.since)
