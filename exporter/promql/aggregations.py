"""sum, avg, count, min, max, group, stddev, stdvar, quantile and count_values.

Source: prometheus/promql/engine.go, aggregation and aggregationCountValues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.model import METRIC_NAME, Labels
from exporter.promql.arrays import Mask, Samples
from exporter.promql.compensated import Mean, add, group_sums
from exporter.promql.gotext import format_f
from exporter.promql.labelsets import dropper, groups_of, keeper, with_label
from exporter.promql.quantiles import quantile_of
from exporter.promql.series import Series, empty, merged, simplified

_LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Which series belong together.

    labels: of each of the g groups. codes: shape (n,), the group of each series.
    """

    labels: list[Labels]
    codes: NDArray[np.intp]

    @staticmethod
    def of(labels: Sequence[Labels], grouping: Sequence[str], without: bool) -> Groups:
        """By the labels named, or by all but those and the name. Groups stand in order of appearance."""
        if not grouping and not without:
            return Groups([()] if labels else [], np.zeros(len(labels), dtype=np.intp))
        key = dropper((*grouping, METRIC_NAME)) if without else keeper(grouping)
        keys = [key(own) for own in labels]
        codes, firsts = groups_of(keys)
        return Groups([keys[i] for i in firsts], np.array(codes, dtype=np.intp))

    def order(self) -> tuple[NDArray[np.intp] | None, NDArray[np.intp]]:
        """The series sorted by group (None when they are), and where each group starts."""
        if len(self.labels) <= 1:
            return None, np.zeros(len(self.labels), dtype=np.intp)
        order = np.argsort(self.codes, kind="stable")
        starts = np.searchsorted(self.codes[order], np.arange(len(self.labels)))
        return (None if (np.diff(order) == 1).all() else order), starts


@dataclass(frozen=True, slots=True, eq=False)
class Sorted:
    """Series with the members of each of g groups side by side.

    values, present: shape (n, k). starts: shape (g,). counts: shape (g, k), points of each group.
    """

    values: Samples
    present: Mask | None
    starts: NDArray[np.intp]
    counts: NDArray[np.intp]

    def filled(self, missing: float) -> Samples:
        """The values, `missing` where there is none."""
        return self.values if self.present is None else np.where(self.present, self.values, missing)

    def reduced(self, combine: np.ufunc, missing: float) -> Samples:
        """`combine` over each group; shape (g, k)."""
        reduced: Samples = combine.reduceat(self.filled(missing), self.starts, axis=0)
        return reduced

    def members(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """The groups' first members, then the second ones, and so on: the groups that have one, and its row."""
        sizes = np.diff(np.append(self.starts, len(self.values)))
        for i in range(int(sizes.max(initial=0))):
            groups = np.flatnonzero(sizes > i)
            yield groups, self.starts[groups] + i

    def points(self) -> Iterator[tuple[NDArray[np.intp], Samples, Mask]]:
        """As `members`: the groups, their members' values (j, k), and where those are there."""
        for groups, rows in self.members():
            values = self.values[rows]
            yield groups, values, np.ones(values.shape, dtype=bool) if self.present is None else self.present[rows]


def aggregate(op: str, series: Series, groups: Groups, parameter: Samples) -> Series:
    """One series for each group. parameter: shape (k,), what `quantile` takes."""
    steps = series.values.shape[1]
    if not len(series):
        return empty(steps)
    order, starts = groups.order()
    values = series.values if order is None else series.values[order]
    present = series.present if order is None or series.present is None else series.present[order]
    counts = _counts(present, starts, values.shape)
    result = _AGGREGATIONS[op](Sorted(values, present, starts, counts), parameter)
    drop_name = np.zeros(len(groups.labels), dtype=bool)
    np.logical_or.at(drop_name, groups.codes, series.drop_name)
    return Series(groups.labels, result, simplified(counts > 0), drop_name)


def _counts(present: Mask | None, starts: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.intp]:
    if present is not None:
        counted: NDArray[np.intp] = np.add.reduceat(present, starts, axis=0, dtype=np.intp)
        return counted
    sizes = np.diff(np.append(starts, shape[0]))
    return np.broadcast_to(sizes[:, None], (len(starts), shape[1]))


def _sum(rows: Sorted, _: Samples) -> Samples:
    exact = _exact_sums(rows)
    if exact is not None:
        return exact
    total, lost = np.zeros(rows.counts.shape), np.zeros(rows.counts.shape)
    for groups, values, there in rows.points():
        new_total, new_lost = add(values, total[groups], lost[groups])
        total[groups] = np.where(there, new_total, total[groups])
        lost[groups] = np.where(there, new_lost, lost[groups])
    return np.where(np.isinf(total), total, total + lost)


def _avg(rows: Sorted, _: Samples) -> Samples:
    exact = _exact_sums(rows)
    if exact is not None:
        return exact / np.maximum(rows.counts, 1)
    mean = Mean(rows.counts.shape)
    for groups, values, there in rows.points():
        group, step = np.nonzero(there)
        mean.add((groups[group], step), values[there])
    return mean.result()


def _exact_sums(rows: Sorted) -> Samples | None:
    """The groups' sums; None where it depends on the order of addition whether they overflow."""
    values = rows.filled(0.0)
    special: Samples | float = 0.0
    finite = np.isfinite(values)
    if not finite.all():
        special = np.add.reduceat(np.where(finite, 0.0, values), rows.starts, axis=0)
        values = np.where(finite, values, 0.0)
    if max(values.max(initial=0), -values.min(initial=0)) >= _LARGEST / len(values):
        return None
    return group_sums(values, rows.starts) + special


def _variance(rows: Sorted, _: Samples) -> Samples:
    """Welford's way, member by member; NaN as soon as something is not finite."""
    shape = (len(rows.starts), rows.values.shape[1])
    count, mean, square = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for groups, values, there in rows.points():
        new_count = count[groups] + 1
        delta = values - mean[groups]
        new_mean = mean[groups] + delta / new_count
        new_square = square[groups] + delta * (values - new_mean)
        count[groups] = np.where(there, new_count, count[groups])
        mean[groups] = np.where(there, new_mean, mean[groups])
        square[groups] = np.where(there, new_square, square[groups])
    return square / count


def _quantile(rows: Sorted, quantile: Samples) -> Samples:
    values = rows.filled(np.inf)
    out = np.empty((len(rows.starts), values.shape[1]))
    ends = np.append(rows.starts[1:], len(values))
    for group, (start, end) in enumerate(zip(rows.starts.tolist(), ends.tolist(), strict=True)):
        out[group] = quantile_of(values[start:end].T, rows.counts[group], quantile)
    return out


_AGGREGATIONS: dict[str, Callable[[Sorted, Samples], Samples]] = {
    "sum": _sum,
    "avg": _avg,
    "count": lambda rows, _: rows.counts.astype(float),
    "group": lambda rows, _: np.ones(rows.counts.shape),
    "min": lambda rows, _: rows.reduced(np.fmin, np.nan),
    "max": lambda rows, _: rows.reduced(np.fmax, np.nan),
    "stdvar": _variance,
    "stddev": lambda rows, _: np.sqrt(_variance(rows, _)),
    "quantile": _quantile,
}


def count_values(series: Series, label: str, grouping: Sequence[str], without: bool) -> Series:
    """For each group and each value in it, how often it occurs; the value goes into `label`."""
    steps = series.values.shape[1]
    rows, columns = np.nonzero(series.mask())
    if not len(rows):
        return empty(steps)
    bits = series.values[rows, columns].view(np.int64)  # as values, 0 and -0 would be one
    distinct, codes = np.unique(bits, return_inverse=True)
    texts = [format_f(value) for value in distinct.view(np.float64).tolist()]
    pairs, pair_of = np.unique(rows * len(texts) + codes.reshape(-1), return_inverse=True)
    rows_and_codes = (divmod(pair, len(texts)) for pair in pairs.tolist())
    named = [with_label(series.labels[row], label, texts[code]) for row, code in rows_and_codes]
    groups = Groups.of(named, grouping if without else (*grouping, label), without)
    counts = np.zeros((len(groups.labels), steps))
    np.add.at(counts, (groups.codes[pair_of.reshape(-1)], columns), 1)
    return merged(Series(groups.labels, counts, simplified(counts > 0), np.zeros(len(groups.labels), dtype=bool)))
