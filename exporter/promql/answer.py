"""What a query is answered with: columns, ready to be rendered row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from exporter.model import Labels
from exporter.promql.arrays import Mask, Samples, Times


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number at one instant."""

    t_ms: int
    value: float


@dataclass(frozen=True, slots=True)
class String:
    """One text at one instant."""

    t_ms: int
    value: str


@dataclass(frozen=True, slots=True, eq=False)
class Vector:
    """n series with one value each, at one instant, in the order of the answer. values: shape (n,)."""

    t_ms: int
    labels: Sequence[Labels]
    values: Samples


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """n series over one time axis, sorted by labels; each has at least one point.

    t_ms: shape (m,), increasing. values: shape (n, m).
    present: shape (n, m), False where a series has no point; None when none is missing.
    """

    labels: Sequence[Labels]
    t_ms: Times
    values: Samples
    present: Mask | None = None

    def series(self) -> Iterator[tuple[Labels, Times, Samples]]:
        """Each series with the points that it has: times and values of the same length."""
        for i, labels in enumerate(self.labels):
            if self.present is None:
                yield labels, self.t_ms, self.values[i]
            else:
                row = self.present[i]
                yield labels, self.t_ms[row], self.values[i][row]


@dataclass(frozen=True, slots=True, eq=False)
class RangeVector:
    """n series with their raw samples, each over its own times, sorted by labels: what `x[5m]` gives.

    points: for each series its times and its values, of the same length, at least one.
    """

    labels: Sequence[Labels]
    points: Sequence[tuple[Times, Samples]]

    def series(self) -> Iterator[tuple[Labels, Times, Samples]]:
        """Each series with its points."""
        for labels, (t_ms, values) in zip(self.labels, self.points, strict=True):
            yield labels, t_ms, values


Value: TypeAlias = Scalar | String | Vector | Matrix | RangeVector


@dataclass(frozen=True, slots=True, eq=False)
class SampleStatistics:
    """How many samples were looked at, over all steps and at each, and how many were in memory at most.

    per_step: shape (number of steps,).
    """

    total: int
    peak: int
    per_step: np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The value of a query, and what there is to say about it."""

    value: Value
    warnings: tuple[str, ...]
    infos: tuple[str, ...]
    samples: SampleStatistics
