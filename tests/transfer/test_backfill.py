from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from exporter.model import METRIC_NAME, Matcher, MatchType
from exporter.simulation.fleet import make_fleet
from exporter.simulation.simulator import Simulator
from exporter.storage.database import Database
from exporter.storage.memory import MemoryStore
from exporter.transfer.backfilling import append_all, first_tick_ms, ingest_all

TICK_MS = 15_000
NOW_MS = 1_800_000_000_000 // TICK_MS * TICK_MS
CPU = [Matcher(MatchType.EQUAL, METRIC_NAME, "openmanager_cpu_usage_percent")]


@pytest.fixture
def database() -> Iterator[Database]:
    opened = Database(MemoryStore())
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(make_fleet(3), seed=1)


def ticks_of(database: Database) -> list[int]:
    return sorted({int(t) for each in database.select(CPU, 0, 2**60) for t in each.t_ms})


def assert_as_simulated(database: Database, simulator: Simulator, start_ms: int, end_ms: int) -> None:
    """Every metric has exactly the simulator's samples."""
    ticks = list(simulator.ticks(start_ms, end_ms))
    for position, column in enumerate(ticks[0].columns):
        matcher = Matcher(MatchType.EQUAL, METRIC_NAME, column.index.metric)
        kept = {
            labels: dict(zip(each.t_ms[there].tolist(), each.values[row][there].tolist(), strict=True))
            for each in database.select([matcher], start_ms, end_ms)
            for row, labels in enumerate(each.labels)
            for there in [np.full(len(each.t_ms), True) if each.present is None else each.present[row]]
        }
        said = {
            column.index.labels(row): {tick.t_ms: float(tick.columns[position].values[row]) for tick in ticks}
            for row in range(len(column.index.rows))
        }
        assert kept == said


def test_the_past_of_an_empty_store_goes_on_into_the_present_without_a_seam(
    database: Database, simulator: Simulator
) -> None:
    start_ms = NOW_MS - 3_600_000
    for _ in append_all(simulator.ticks(start_ms, NOW_MS - 1), database.append):
        pass
    database.append(simulator.at(NOW_MS))
    assert database.stats().refused_ticks == 0
    assert ticks_of(database) == list(range(start_ms, NOW_MS + 1, TICK_MS))
    assert_as_simulated(database, simulator, start_ms, NOW_MS)


def test_the_past_before_the_first_kept_tick_is_filled_and_nothing_is_doubled(
    database: Database, simulator: Simulator
) -> None:
    for t_ms in range(NOW_MS - 600_000, NOW_MS + 1, TICK_MS):
        database.append(simulator.at(t_ms))
    start_ms = NOW_MS - 3 * 3_600_000
    first_ms = first_tick_ms(database, simulator.at(NOW_MS), start_ms, NOW_MS)
    assert first_ms == NOW_MS - 600_000
    for _ in ingest_all(simulator.ticks(start_ms, first_ms - 1), database.ingest):
        pass
    database.append(simulator.at(NOW_MS + TICK_MS))
    assert ticks_of(database) == list(range(start_ms, NOW_MS + TICK_MS + 1, TICK_MS))
    assert_as_simulated(database, simulator, start_ms, NOW_MS + TICK_MS)


def test_a_store_without_ticks_has_no_first_one(database: Database, simulator: Simulator) -> None:
    assert first_tick_ms(database, simulator.at(NOW_MS), NOW_MS - 86_400_000, NOW_MS) is None
