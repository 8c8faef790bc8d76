"""Which series come together in one set, whatever they were kept as."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.model import METRIC_NAME, Column, SeriesSet, Snapshot
from exporter.storage.database import Database
from exporter.storage.memory import MemoryStore
from tests.storage.fleet import CPU, EVER, START_MS, STEP_MS, index, named


def imported(server: str, times: list[int]) -> SeriesSet:
    labels = ((METRIC_NAME, CPU.name), ("server", server), ("zone", "a"))
    return SeriesSet((labels,), np.array(times, np.int64), np.arange(float(len(times)))[np.newaxis])


@pytest.mark.parametrize("sealed", [False, True])
def test_history_from_elsewhere_and_the_fleets_ticks_share_one_set(sealed: bool) -> None:
    database = Database(MemoryStore())
    before = [START_MS - STEP_MS * back for back in range(40, 0, -1)]
    database.ingest([imported("web-01", before), imported("web-02", before[20:])], [CPU])
    servers = index(CPU, ["web-01", "web-02"])
    for tick in range(10):
        database.append(Snapshot(START_MS + tick * STEP_MS, (Column(servers, np.array([100.0, 200.0])),)))
    if sealed:
        database.expire(START_MS)
        database.settle()
    (found,) = database.select(named(CPU.name), *EVER)
    database.close()
    assert found.t_ms.tolist() == [*before, *range(START_MS, START_MS + 10 * STEP_MS, STEP_MS)]
    assert found.present is not None
    rows = {dict(labels)["server"]: row for row, labels in enumerate(found.labels)}
    first, second = rows["web-01"], rows["web-02"]
    assert found.present[first].all()
    assert found.present[second].tolist() == [False] * 20 + [True] * 30
    assert found.values[first].tolist() == [float(i) for i in range(40)] + [100.0] * 10
    assert found.values[second][20:].tolist() == [float(i) for i in range(20)] + [200.0] * 10


def test_series_with_times_of_their_own_stay_apart() -> None:
    database = Database(MemoryStore())
    apart = {f"web-{n}": [START_MS + n * 1000 + step * STEP_MS for step in range(20)] for n in range(1, 6)}
    database.ingest([imported(server, times) for server, times in apart.items()], [CPU])
    found = database.select(named(CPU.name), *EVER)
    database.close()
    assert {dict(each.labels[0])["server"]: each.t_ms.tolist() for each in found} == apart
    assert all(each.present is None for each in found)
