"""What the exporter says about itself: `openmanager_exporter_*` and `process_*`.

Rooms keep plain numbers; they are read here when somebody scrapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from exporter.schedule import Timer

PREFIX = "openmanager_exporter_"
Read = Callable[[], Iterable[Metric]]


def gauge(name: str, text: str, value: float) -> Metric:
    """A gauge without labels; `name` without the prefix."""
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def counter(name: str, text: str, value: float) -> Metric:
    """A counter without labels; `name` without the prefix and without `_total`."""
    return CounterMetricFamily(PREFIX + name, text, value=value)


def labelled(kind: type[Metric], name: str, text: str, label: str, rows: Iterable[tuple[str, float]]) -> Metric:
    """A gauge or counter with one label and a row for each of its values."""
    family = kind(PREFIX + name, text, labels=[label])  # type: ignore[call-arg]  # both kinds take labels
    for value_of_label, value in rows:
        family.add_metric([value_of_label], value)  # type: ignore[attr-defined]  # both kinds have it
    return family


class Telemetry:
    """The registry of this process, rendered in both text formats."""

    def __init__(self, reads: Sequence[Read]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._registry.register(_Readings((build, *reads)))

    def text(self) -> bytes:
        """All families in the text format 0.0.4."""
        return generate_latest(self._registry)

    def openmetrics(self) -> bytes:
        """All families in OpenMetrics 1.0.0, without the closing `# EOF`."""
        page: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]  # the library's
        return page.removesuffix(b"# EOF\n")


class _Readings(Collector):
    def __init__(self, reads: Sequence[Read]) -> None:
        self._reads = reads

    def collect(self) -> Iterator[Metric]:
        for read in self._reads:
            yield from read()


def build() -> Iterator[Metric]:
    """Which version this is."""
    family = GaugeMetricFamily(PREFIX + "build_info", "Version of the exporter.", labels=["version"])
    family.add_metric([version("openmanager")], 1)
    yield family


def timers(read: Callable[[], Sequence[Timer]]) -> Read:
    """The scheduler's record: one row for each job."""

    def metrics() -> Iterator[Metric]:
        record = read()

        def rows(value: Callable[[Timer], float | None]) -> list[tuple[str, float]]:
            return [(t.job.name, got) for t in record if (got := value(t)) is not None]

        counters: tuple[tuple[str, str, Callable[[Timer], float]], ...] = (
            ("job_runs", "Runs of a scheduled job.", lambda t: t.runs),
            ("job_errors", "Failed runs of a scheduled job.", lambda t: t.errors),
            ("job_missed", "Slots that passed without a run of the job.", lambda t: t.missed),
        )
        gauges: tuple[tuple[str, str, Callable[[Timer], float | None]], ...] = (
            ("job_last_run_timestamp_seconds", "Slot of the last run.", lambda t: t.last_slot),
            ("job_last_duration_seconds", "How long the last run took.", lambda t: t.last_duration_s),
            ("job_lag_seconds", "How long after its slot the last run began.", lambda t: t.lag_s),
            ("job_failing", "1 while the last run of the job failed.", lambda t: t.failing_since is not None),
        )
        for name, text, count in counters:
            yield labelled(CounterMetricFamily, name, text, "job", rows(count))
        for name, text, value in gauges:
            yield labelled(GaugeMetricFamily, name, text, "job", rows(value))

    return metrics
