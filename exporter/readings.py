"""The rooms' own numbers as metric families."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily, Metric

from exporter.analysis.analyst import AnalysisStats
from exporter.storage.census import Kept, tiers_of
from exporter.storage.stats import Stats
from exporter.telemetry import Read, counter, gauge, labelled
from exporter.web.server import WebStats

if TYPE_CHECKING:
    from exporter.inventory.inventory import InventoryStats


def storage(read: Callable[[], Stats]) -> Read:
    """What the database counts."""

    def metrics() -> Iterator[Metric]:
        now = read()
        yield gauge("storage_series", "Series in the last tick.", now.series)
        yield counter("storage_samples_appended", "Samples kept from ticks.", now.samples_appended)
        yield counter("storage_samples_imported", "Samples kept from elsewhere.", now.samples_imported)
        yield counter("storage_samples_lost", "Samples given up because the store was away too long.", now.samples_lost)
        yield counter("storage_ticks_late", "Ticks not later than the last one.", now.late_ticks)
        yield counter("storage_frame_bytes", "Bytes of compressed frames made.", now.frame_bytes)
        yield counter("storage_raw_bytes", "Bytes of the same samples uncompressed, 16 each.", now.raw_bytes)
        yield gauge("storage_stored_bytes", "Bytes that the store takes.", now.stored_bytes)
        yield gauge("storage_pending_bytes", "Bytes the store has not acknowledged.", now.pending_bytes)
        yield gauge("storage_memory_bytes", "Bytes of frames in memory.", now.memory_bytes)
        yield gauge("storage_cache_bytes", "Bytes of decoded columns in memory.", now.cache_bytes)
        yield counter("storage_cache_hits", "Decoded columns found in memory.", now.cache_hits)
        yield counter("storage_cache_misses", "Decoded columns not found in memory.", now.cache_misses)
        yield gauge("storage_blocks", "Sealed blocks.", now.blocks)
        yield gauge("storage_logs", "Logs that are not sealed yet.", now.logs)
        yield gauge("storage_up", "1 while the store answers.", not now.store_away)
        yield counter("storage_errors", "Requests that the store failed.", now.store_errors)
        yield counter("storage_outages", "Times the store went away.", now.outages)
        yield counter("storage_damaged", "Damaged chunks set aside.", now.quarantined)
        yield counter("storage_torn_logs", "Logs written again because the store had lost some.", now.torn_logs)
        yield gauge(
            "compression_largest_error_percent",
            "Largest change left out under compression.threshold_percent.",
            now.largest_error_percent,
        )

    return metrics


def tiers(read: Callable[[], Sequence[Kept]]) -> Read:
    """What the tiers of retention keep."""

    def metrics() -> Iterator[Metric]:
        found = tiers_of(read())
        gauges: tuple[tuple[str, str, Callable[[Kept], float]], ...] = (
            ("series", "Series that a tier has samples of.", lambda each: each.series),
            ("samples", "Samples in a tier; aggregates in those of a width.", lambda each: each.samples),
            ("bytes", "Bytes of a tier's compressed samples.", lambda each: each.bytes),
            ("oldest_timestamp_seconds", "Time of a tier's oldest sample.", lambda each: each.oldest_ms / 1000),
            ("newest_timestamp_seconds", "Time of a tier's newest sample.", lambda each: each.newest_ms / 1000),
        )
        for name, text, value in gauges:
            rows = [(each.tier, value(each)) for each in found]
            yield labelled(GaugeMetricFamily, f"storage_tier_{name}", text, "tier", rows)

    return metrics


def web(read: Callable[[], WebStats]) -> Read:
    """What the web room counts."""

    def metrics() -> Iterator[Metric]:
        now = read()
        yield counter("page_renders", "Times the page of metrics was rendered.", now.page.renders)
        yield gauge("page_render_seconds", "How long the last rendering took.", now.page.render_s)
        yield gauge("page_bytes", "Size of the last page.", now.page.bytes)
        yield gauge("queries_running", "Queries being evaluated.", now.queries.running)
        yield gauge("queries_waiting", "Queries in line.", now.queries.waiting)
        yield counter("queries_done", "Queries answered.", now.queries.done)
        yield counter("queries_canceled", "Queries whose client went away.", now.queries.cancelled)
        yield counter("queries_refused", "Queries refused because too many waited.", now.queries.refused)
        yield gauge("query_cache_bytes", "Bytes of answers to range queries kept in memory.", now.cache.bytes)
        yield counter(
            "query_cache_hits", "Range queries answered from memory, at least their beginning.", now.cache.hits
        )
        yield counter("query_cache_misses", "Range queries evaluated altogether.", now.cache.misses)
        yield gauge("alerter_up", "1 while the alerter answers.", not now.alerter_away)

    return metrics


def analysis(read: Callable[[], AnalysisStats]) -> Read:
    """What the analyst counts."""

    def metrics() -> Iterator[Metric]:
        now = read()
        yield gauge("analysis_series", "Series watched for anomalies.", now.series)
        yield gauge("analysis_series_unwatched", "Series beyond the number that is watched.", now.unwatched)
        yield gauge("analysis_anomalies", "Series that are odd now.", now.anomalies)
        yield gauge("analysis_incidents", "Incidents that go on now.", now.incidents)
        yield counter("analysis_samples", "Samples looked at.", now.samples)

    return metrics


def inventory(read: Callable[[], InventoryStats]) -> Read:
    """What the inventory counts."""

    def metrics() -> Iterator[Metric]:
        now = read()
        yield gauge("inventory_servers", "Servers in the inventory.", now.servers)
        yield gauge("inventory_up", "1 while the inventory's database answers.", now.available)
        yield counter("inventory_queries", "Statements executed.", now.queries)
        yield counter("inventory_slow_queries", "Statements that took 500 ms or longer.", now.slow_queries)
        yield counter("inventory_failures", "Transactions that failed.", now.failures)

    return metrics
