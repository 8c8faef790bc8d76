"""Samples in a dict, asked for as the storage is asked: what the language's tests evaluate over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from exporter.model import Family, Labels, Matcher, SeriesSet


@dataclass
class Memory:
    """Series of (Unix ms, value), in order of their first sample's arrival.

    `together` decides whether series are offered over one shared time axis, with holes, or each as a
    set of its own: the same data, as regular and as irregular series.
    """

    samples: dict[Labels, dict[int, float]] = field(default_factory=dict)
    together: bool = True

    def put(self, labels: Labels, t_ms: int, value: float) -> None:
        """One sample; the later of two at the same time stays."""
        self.samples.setdefault(labels, {})[t_ms] = value

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesSet]:
        found = []
        for labels in self.series(matchers, start_ms, end_ms):
            points = sorted((t, v) for t, v in self.samples[labels].items() if start_ms <= t <= end_ms)
            if points:
                found.append((labels, points))
        if not found:
            return []
        return [_shared(found)] if self.together else [_shared([one]) for one in found]

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        return [labels for labels in self.samples if _match(labels, matchers)]

    def families(self) -> Mapping[str, Family]:
        return {}


def _match(labels: Labels, matchers: Sequence[Matcher]) -> bool:
    values = dict(labels)
    return all(matcher.matches(values.get(matcher.name, "")) for matcher in matchers)


def _shared(found: list[tuple[Labels, list[tuple[int, float]]]]) -> SeriesSet:
    times = sorted({t for _, points in found for t, _ in points})
    column = {t: i for i, t in enumerate(times)}
    values = np.full((len(found), len(times)), 0.0)
    present = np.zeros(values.shape, dtype=bool)
    for row, (_, points) in enumerate(found):
        columns = [column[t] for t, _ in points]
        values[row, columns] = [v for _, v in points]
        present[row, columns] = True
    labels = [labels for labels, _ in found]
    return SeriesSet(labels, np.array(times, dtype=np.int64), values, None if present.all() else present)
