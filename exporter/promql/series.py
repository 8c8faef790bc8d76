"""What an expression is while it is evaluated: instant vectors at every step of a grid, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from exporter.model import Labels
from exporter.promql.arrays import Indices, Mask, Samples, Times
from exporter.promql.errors import ExecutionError
from exporter.promql.labelsets import without_metadata

SAME_LABELSET = "vector cannot contain metrics with the same labelset"


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The instants at which an expression is evaluated. times_ms: shape (k,), evenly spaced, k may be 0."""

    times_ms: Times

    @staticmethod
    def of(start_ms: int, end_ms: int, step_ms: int) -> Grid:
        """From `start_ms` on, every `step_ms`, not past `end_ms`."""
        return Grid(np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.times_ms)

    def first(self) -> Grid:
        """The first instant alone."""
        return Grid(self.times_ms[:1])


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """n series over a grid of k instants. Nobody writes into the arrays.

    values: shape (n, k). present: shape (n, k), None when nothing is missing.
    drop_name: shape (n,), True where the metric's name is to go once the query is answered; until
    then it tells series apart. Source: the feature "delayed name removal".
    """

    labels: Sequence[Labels]
    values: Samples
    present: Mask | None
    drop_name: Mask

    def __len__(self) -> int:
        return len(self.labels)

    def mask(self) -> Mask:
        """`present` as an array in any case."""
        return np.ones(self.values.shape, dtype=bool) if self.present is None else self.present

    def count(self) -> int:
        """How many points there are."""
        return int(self.values.size if self.present is None else np.count_nonzero(self.present))

    def rows(self, rows: Indices | Sequence[int]) -> Series:
        """Some of the series. rows: indices."""
        index = np.asarray(rows, dtype=np.intp)
        present = None if self.present is None else self.present[index]
        return Series([self.labels[i] for i in index.tolist()], self.values[index], present, self.drop_name[index])

    def pruned(self) -> Series:
        """Only the series that have a point."""
        if self.present is None:
            return self if self.values.shape[1] else empty(0)
        some = self.present.any(axis=1)
        return self if some.all() else self.rows(np.flatnonzero(some))

    def mapped(self, values: Samples) -> Series:
        """Other values for the same series, whose names go."""
        return Series(self.labels, values, self.present, np.ones(len(self.labels), dtype=bool))

    def where(self, keep: Mask) -> Series:
        """The points for which `keep` (n, k) holds."""
        return replace(self, present=simplified(keep if self.present is None else self.present & keep))


def empty(steps: int) -> Series:
    """No series at all."""
    return Series([], np.empty((0, steps)), None, np.empty(0, dtype=bool))


def simplified(present: Mask) -> Mask | None:
    """None when nothing is missing."""
    return None if present.all() else present


def concatenated(parts: Sequence[Series], steps: int) -> Series:
    """The series of all parts, one after the other."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return empty(steps)
    if len(parts) == 1:
        return parts[0]
    labels = [labels for part in parts for labels in part.labels]
    values = np.concatenate([part.values for part in parts])
    whole = all(part.present is None for part in parts)
    present = None if whole else np.concatenate([part.mask() for part in parts])
    return Series(labels, values, present, np.concatenate([part.drop_name for part in parts]))


def merged(series: Series) -> Series:
    """Series with equal labels made one. A name that is to go does not make a series equal to one that keeps it.

    Raises ExecutionError where two of them have a point at the same instant.
    Source: prometheus/promql/engine.go, mergeSeriesWithSameLabelset.
    """
    if len(set(series.labels)) == len(series.labels):
        return series
    first: dict[tuple[Labels, bool], int] = {}
    values, present = series.values.copy(), series.mask().copy()
    for i, key in enumerate(zip(series.labels, series.drop_name.tolist(), strict=True)):
        into = first.setdefault(key, i)
        if into == i:
            continue
        if (present[into] & present[i]).any():
            raise ExecutionError(SAME_LABELSET)
        values[into][present[i]] = values[i][present[i]]
        present[into] |= present[i]
    kept = list(first.values())
    return Series([labels for labels, _ in first], values[kept], simplified(present[kept]), series.drop_name[kept])


def names_dropped(series: Series) -> Series:
    """The names that were to go are gone. Raises ExecutionError where that makes series collide."""
    labels = series.labels
    if series.drop_name.any():
        flags = series.drop_name.tolist()
        labels = [without_metadata(own) if drop else own for own, drop in zip(labels, flags, strict=True)]
    return merged(replace(series, labels=labels, drop_name=np.zeros(len(labels), dtype=bool)))
