"""`openmanager_alerter_*`: what the alerter says about itself, read from its rooms' plain counters when scraped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from alerter.loops.group_loop import GroupLoop
from alerter.loops.patience import DeliveryStats, SeriesStats
from alerter.state.state import StoreStats

_PREFIX = "openmanager_alerter_"


@dataclass(frozen=True, slots=True)
class Reading:
    """All that is said at one scrape."""

    loops: Sequence[GroupLoop]
    receivers: dict[str, DeliveryStats]
    store: StoreStats
    datasource_up: bool
    queries: int
    query_failures: int
    reloads: int
    failed_reloads: int
    series: Sequence[SeriesStats] = ()
    silences: int = 0


class _Rooms(Collector):
    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        reading = self._read()
        yield from _groups(reading.loops)
        yield from _alerts(reading.loops)
        yield from _receivers(reading.receivers)
        yield from _series(reading.series)
        yield from _rest(reading)


def registry(read: Callable[[], Reading]) -> CollectorRegistry:
    """A registry of its own with the process, the platform and the rooms."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    PlatformCollector(registry=made)
    made.register(_Rooms(read))
    return made


def text(of: CollectorRegistry) -> bytes:
    """The text format 0.0.4."""
    return generate_latest(of)


def _groups(loops: Sequence[GroupLoop]) -> Iterator[Metric]:
    label = ("group",)
    done = CounterMetricFamily(_PREFIX + "group_evaluations", "Evaluations of a rule group.", labels=label)
    missed = CounterMetricFamily(_PREFIX + "group_missed", "Slots of a group that passed without one.", labels=label)
    failed = CounterMetricFamily(_PREFIX + "rule_failures", "Evaluations of rules that failed.", labels=label)
    took = GaugeMetricFamily(_PREFIX + "group_last_duration_seconds", "How long the last took.", labels=label)
    last = GaugeMetricFamily(_PREFIX + "group_last_evaluation_timestamp_seconds", "When it began.", labels=label)
    for loop in loops:
        key = (loop.group.key,)
        done.add_metric(key, loop.stats.evaluations)
        missed.add_metric(key, loop.stats.missed)
        failed.add_metric(key, loop.stats.failures)
        took.add_metric(key, loop.stats.took_s)
        last.add_metric(key, loop.stats.evaluated_at or 0.0)
    yield from (done, missed, failed, took, last)


def _alerts(loops: Sequence[GroupLoop]) -> Iterator[Metric]:
    counts = Counter({"pending": 0, "firing": 0})
    health = Counter({"ok": 0, "err": 0, "unknown": 0})
    for loop in loops:
        for run in loop.runs:
            health[str(run.health)] += 1
            counts.update(str(alert.state) for alert in run.state.active)
    yield _by("alerts", "Active alerts.", "state", counts)
    yield _by("rules", "Rules by how their last evaluation went.", "health", health)


def _by(name: str, documentation: str, label: str, counts: Counter[str]) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, documentation, labels=(label,))
    for key, count in counts.items():
        family.add_metric((key,), count)
    return family


def _receivers(receivers: dict[str, DeliveryStats]) -> Iterator[Metric]:
    label = ("receiver",)
    sent = CounterMetricFamily(_PREFIX + "notifications", "Messages that a receiver accepted.", labels=label)
    failed = CounterMetricFamily(
        _PREFIX + "notification_failures", "Messages that were not accepted.", labels=("receiver", "reason")
    )
    up = GaugeMetricFamily(_PREFIX + "receiver_up", "Whether the last message was accepted.", labels=label)
    waiting = GaugeMetricFamily(_PREFIX + "receiver_waiting", "Messages owed and not sent yet.", labels=label)
    failing = GaugeMetricFamily(
        _PREFIX + "receiver_failing_since_timestamp_seconds", "Start of the streak of failures, or 0.", labels=label
    )
    for name, stats in receivers.items():
        sent.add_metric((name,), stats.sent)
        for reason in ("rate_limited", "temporary", "permanent"):
            failed.add_metric((name, reason), stats.failures[reason])
        up.add_metric((name,), stats.failing_since is None)
        waiting.add_metric((name,), stats.waiting)
        failing.add_metric((name,), stats.failing_since or 0.0)
    yield from (sent, failed, up, waiting, failing)


def _series(series: Sequence[SeriesStats]) -> Iterator[Metric]:
    label = ("receiver",)
    sent = CounterMetricFamily(_PREFIX + "points_sent", "Points of series that were accepted.", labels=label)
    dropped = CounterMetricFamily(_PREFIX + "points_dropped", "Points too old or not finite.", labels=label)
    failed = CounterMetricFamily(_PREFIX + "series_failures", "Sendings of series that failed.", labels=label)
    waiting = GaugeMetricFamily(_PREFIX + "points_waiting", "Points waiting to be sent.", labels=label)
    for stats in series:
        key = (stats.receiver,)
        sent.add_metric(key, stats.points_sent)
        dropped.add_metric(key, stats.points_dropped)
        failed.add_metric(key, stats.failures)
        waiting.add_metric(key, stats.waiting)
    yield from (sent, dropped, failed, waiting)


def _rest(reading: Reading) -> Iterator[Metric]:
    gauges = {
        "datasource_up": ("Whether the datasource answered the last query.", reading.datasource_up),
        "state_up": ("Whether state was written when it last changed.", reading.store.up),
        "state_unwritten": ("Changes not written yet.", reading.store.unwritten),
        "silences": ("Active silences.", reading.silences),
    }
    counters = {
        "queries": ("Queries to the datasource.", reading.queries),
        "query_failures": ("Queries without an answer.", reading.query_failures),
        "state_write_failures": ("Writes of state that failed.", reading.store.write_failures),
        "reloads": ("Reloads of the rule files.", reading.reloads),
        "reload_failures": ("Reloads refused because of a mistake.", reading.failed_reloads),
    }
    for name, (documentation, value) in gauges.items():
        yield GaugeMetricFamily(_PREFIX + name, documentation, value=float(value))
    for name, (documentation, value) in counters.items():
        yield CounterMetricFamily(_PREFIX + name, documentation, value=float(value))
