"""Series that come and go while a metric has more of them than one log holds."""

from __future__ import annotations

import numpy as np

from exporter.model import Column, Labels, Snapshot
from exporter.storage.layout import LOG_MS, PART_SLOTS
from tests.storage.conftest import Open
from tests.storage.fleet import START_MS, STEP_MS, UP, everything, index, note


def test_series_that_move_from_the_second_part_to_the_first_are_kept_with_all_others(opened: Open) -> None:
    names = [f"server-{number:05}" for number in range(PART_SLOTS + 1000)]
    whole, fewer = index(UP, names), index(UP, names[:100] + names[PART_SLOTS:])
    database = opened("memory:")
    said: dict[Labels, dict[int, int]] = {}
    for t_ms, series in ((START_MS, whole), (START_MS + STEP_MS, fewer), (START_MS + LOG_MS, fewer)):
        tick = Snapshot(t_ms, (Column(series, np.full(len(series.rows), t_ms / 1000)),))
        database.append(tick)
        note(said, tick)
        assert database.settle()  # what has ended is sealed, and grows by what comes later
    database.append(Snapshot(START_MS + 3 * LOG_MS, tick.columns))
    assert database.settle()
    assert database.stats().blocks >= 9
    kept = everything(database)
    for labels, of_it in said.items():
        assert of_it.items() <= kept[labels].items(), labels
