"""The 99th percentile of each server's latency between two ticks, from the histogram that the snapshot brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from exporter.analysis.servers import Rates
from exporter.model import Column, SeriesIndex, Snapshot

if TYPE_CHECKING:
    from exporter.model import Samples

BUCKETS = "openmanager_http_request_latency_seconds_bucket"
_QUANTILE = 0.99


class Latency:
    """Reads snapshots one tick after the other."""

    def __init__(self) -> None:
        self._rates = Rates()
        self._known: tuple[SeriesIndex, _Layout] | None = None

    def read(self, snapshot: Snapshot) -> Mapping[str, float]:
        """Seconds by server; a server without requests since the tick before is left out."""
        column = next((column for column in snapshot.columns if column.index.metric == BUCKETS), None)
        if column is None or not {"server", "le"} <= set(column.index.label_names):
            return {}
        layout = self._layout(column)
        rates = np.nan_to_num(self._rates.per_second(snapshot.t_ms, column))
        return layout.quantiles(layout.table(rates))

    def _layout(self, column: Column) -> _Layout:
        if self._known is None or self._known[0] is not column.index:
            self._known = column.index, _Layout(column.index)
        return self._known[1]


class _Layout:
    """Where each row of the column belongs in a table of servers by upper bounds."""

    def __init__(self, index: SeriesIndex) -> None:
        server, le = index.label_names.index("server"), index.label_names.index("le")
        bounds = sorted({float(row[le]) for row in index.rows})
        at = {bound: i for i, bound in enumerate(bounds)}
        self.bounds = np.array(bounds)
        numbers: dict[str, int] = {}
        cells = [numbers.setdefault(row[server], len(numbers)) * len(bounds) + at[float(row[le])] for row in index.rows]
        self.cells = np.array(cells, dtype=np.intp)
        self.servers = tuple(numbers)

    def table(self, rates: Samples) -> Samples:
        """The rates of the rows, summed by server and bound: shape (servers, bounds)."""
        shape = len(self.servers), len(self.bounds)
        return np.bincount(self.cells, rates, shape[0] * shape[1]).astype(np.float64).reshape(shape)

    def quantiles(self, counts: Samples) -> dict[str, float]:
        """counts: cumulative, shape (servers, bounds). As histogram_quantile: linear within the bucket that holds it.

        Source: prometheus/promql/quantile.go, bucketQuantile.
        """
        if not np.isinf(self.bounds[-1]) or len(self.bounds) < 2:
            return {}
        total = counts[:, -1]
        rank = _QUANTILE * total
        bucket = (counts >= rank[:, None]).argmax(axis=1)
        lower = np.where(bucket == 0, 0.0, self.bounds[bucket - 1])
        before = np.where(bucket == 0, 0.0, np.take_along_axis(counts, np.maximum(bucket - 1, 0)[:, None], 1)[:, 0])
        within = np.take_along_axis(counts, bucket[:, None], 1)[:, 0] - before
        last = bucket == len(self.bounds) - 1
        upper = np.where(last, lower, self.bounds[bucket])
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(last, self.bounds[-2], lower + (upper - lower) * (rank - before) / within)
        there = total > 0
        return {self.servers[i]: float(found[i]) for i in np.flatnonzero(there)}
