"""What the analysis found, as series: so that rules can alert on it and panels can draw it.

A tick carries what was found at the tick before, so that no tick waits for its own analysis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from exporter import catalogue as cat
from exporter.model import Column, Family, SeriesIndex

Rows = tuple[tuple[str, ...], ...]


class Columns:
    """Makes the columns. An index is the same object from tick to tick while its series are the same."""

    def __init__(self) -> None:
        self._indexes: dict[str, SeriesIndex] = {}

    def of(
        self,
        scores: Mapping[tuple[str, str], float],
        health: Mapping[str, float],
        roots: Iterable[tuple[str, str]],
    ) -> tuple[Column, ...]:
        """scores: by server and measure, 0 to 1. health: by server, 0 to 100. roots: of the incidents that go on."""
        found = tuple(sorted(set(roots)))
        rounded = [round(score, 3) for score in scores.values()]
        made = (
            self._column(cat.ANOMALY_SCORE, ("server", "metric"), tuple(scores), rounded),
            self._column(cat.HEALTH_SCORE, ("server",), tuple((server,) for server in health), list(health.values())),
            self._column(cat.ANALYSED_INCIDENT, ("server", "metric"), found, [1.0] * len(found)),
        )
        return tuple(column for column in made if len(column.values))

    def _column(self, family: Family, names: tuple[str, ...], rows: Rows, values: Sequence[float]) -> Column:
        index = self._indexes.get(family.name)
        if index is None or index.rows != rows:
            index = self._indexes[family.name] = SeriesIndex(family, family.name, names, rows)
        return Column(index, np.array(values, dtype=np.float64))
