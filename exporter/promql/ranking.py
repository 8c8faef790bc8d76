"""topk, bottomk, sort and sort_desc: which values are the largest.

What happens among equal values follows from Prometheus' heap, so where a tie decides who is in, the
heap is gone through as there. Source: prometheus/promql/engine.go, aggregationK; Go's container/heap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from exporter.promql.aggregations import Groups
from exporter.promql.arrays import Indices, Mask, Samples
from exporter.promql.errors import ExecutionError
from exporter.promql.gotext import format_g
from exporter.promql.series import Series, empty

_LEAST = -9223372036854775808.0
_MOST = 9223372036854774784.0
_Less = Callable[[float, float], bool]


def top(op: str, series: Series, groups: Groups, wanted: Samples) -> Series:
    """The `wanted` (k,) largest (topk) or smallest (bottomk) points of each group at each step.

    At a single step they come in order; over several the series keep theirs.
    """
    steps = series.values.shape[1]
    if not steps or wanted.max() < 1:
        return empty(steps)
    _check(wanted)
    sizes = np.clip(np.trunc(wanted), 0, len(series)).astype(np.intp)
    ranking = _Ranking(op == "topk")
    members = _members(series, groups)
    if steps == 1:
        return series.rows(list(ranking.in_order(series, members, int(sizes[0]))))
    chosen = np.zeros(series.values.shape, dtype=bool)
    present = series.mask()
    for rows in members:
        chosen[rows] = ranking.chosen(series.values[rows], present[rows], sizes)
    return Series(series.labels, series.values, chosen, series.drop_name).pruned()


def _members(series: Series, groups: Groups) -> list[Indices]:
    """The rows of each group in the order of their labels, which decides between equal values."""
    members: list[list[int]] = [[] for _ in groups.labels]
    for row in sorted(range(len(series)), key=series.labels.__getitem__):
        members[groups.codes[row]].append(row)
    return [np.array(rows, dtype=np.intp) for rows in members]


def _check(wanted: Samples) -> None:
    if np.isnan(wanted).any():
        raise ExecutionError("Parameter value is NaN")
    if wanted.min() <= _LEAST:
        raise ExecutionError(f"Scalar value {format_g(float(wanted.min()))} underflows int64")
    if wanted.max() >= _MOST:
        raise ExecutionError(f"Scalar value {format_g(float(wanted.max()))} overflows int64")


@dataclass(frozen=True, slots=True)
class _Ranking:
    """`largest`: whether the largest values are wanted, or the smallest."""

    largest: bool

    def _less(self) -> _Less:
        if self.largest:
            return lambda a, b: math.isnan(a) or a < b
        return lambda a, b: math.isnan(a) or a > b

    def in_order(self, series: Series, members: list[Indices], size: int) -> Iterator[int]:
        """The rows of a single step, group by group, the most extreme first."""
        present = series.mask()[:, 0]
        for rows in members:
            there = [row for row in rows.tolist() if present[row]]
            values = series.values[there, 0].tolist()
            kept = heap_of(values, size, self._less()) if size else []
            yield from (there[i] for i in sorted(kept, key=lambda i: self._key(values[i])))

    def _key(self, value: float) -> tuple[bool, float]:
        return (math.isnan(value), -value if self.largest else value)

    def chosen(self, values: Samples, present: Mask, sizes: Indices) -> Mask:
        """Which points of one group (r, k) are among the most extreme `sizes` (k,) of their step."""
        towards = values if self.largest else -values
        keys = np.where(present & ~np.isnan(values), towards, -np.inf)
        chosen = np.zeros(values.shape, dtype=bool)
        for size in np.unique(sizes[sizes > 0]).tolist():
            steps = np.flatnonzero(sizes == size)
            if size >= len(values):
                chosen[:, steps] = present[:, steps]
            else:
                chosen[:, steps] = self._of_size(values[:, steps], present[:, steps], keys[:, steps], size)
        return chosen

    def _of_size(self, values: Samples, present: Mask, keys: Samples, size: int) -> Mask:
        at = len(keys) - size
        threshold = np.partition(keys, at, axis=0)[at]
        chosen: Mask = present & (keys >= threshold)
        tied = np.flatnonzero((chosen.sum(axis=0) != size) & (present.sum(axis=0) > size))
        known: dict[bytes, Mask] = {}
        for step in tied.tolist():
            key = values[:, step].tobytes() + present[:, step].tobytes()
            if key not in known:
                known[key] = self._by_heap(values[:, step], present[:, step], size)
            chosen[:, step] = known[key]
        return chosen

    def _by_heap(self, values: Samples, present: Mask, size: int) -> Mask:
        rows = np.flatnonzero(present)
        chosen = np.zeros(len(values), dtype=bool)
        chosen[rows[heap_of(values[rows].tolist(), size, self._less())]] = True
        return chosen


def heap_of(values: list[float], size: int, less: _Less) -> list[int]:
    """The places of the values that are left in a heap of this size after all have gone through it."""
    heap: list[int] = []
    for i, value in enumerate(values):
        if len(heap) < size:
            heap.append(i)
            _up(heap, values, less)
        elif _replaces(value, values[heap[0]], less):
            heap[0] = i
            _down(heap, values, less)
    return heap


def _replaces(value: float, root: float, less: _Less) -> bool:
    if math.isnan(root):
        return not math.isnan(value)
    return not math.isnan(value) and less(root, value)


def _up(heap: list[int], values: list[float], less: _Less) -> None:
    at = len(heap) - 1
    while at:
        parent = (at - 1) // 2
        if not less(values[heap[at]], values[heap[parent]]):
            return
        heap[at], heap[parent] = heap[parent], heap[at]
        at = parent


def _down(heap: list[int], values: list[float], less: _Less) -> None:
    at = 0
    while (child := 2 * at + 1) < len(heap):
        if child + 1 < len(heap) and less(values[heap[child + 1]], values[heap[child]]):
            child += 1
        if not less(values[heap[child]], values[heap[at]]):
            return
        heap[at], heap[child] = heap[child], heap[at]
        at = child


def sort(series: Series, *, descending: bool) -> Series:
    """A single step's series by value; NaN comes last either way."""
    if series.values.shape[1] != 1 or not len(series):
        return series
    values = series.values[:, 0]
    key = np.where(np.isnan(values), np.inf, -values if descending else values)
    return series.rows(np.lexsort((key, np.isnan(values))))
