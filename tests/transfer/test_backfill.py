from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from exporter.model import METRIC_NAME, STALE_NAN_BITS, Matcher, MatchType, Snapshot
from exporter.simulation.fleet import make_fleet, shipped_roles
from exporter.simulation.incidents import IncidentLog
from exporter.simulation.scenarios import shipped_scenarios
from exporter.simulation.simulator import Simulator
from exporter.storage.database import Database
from exporter.storage.memory import MemoryStore
from exporter.transfer.backfilling import WINDOW_MS, Making, first_tick_ms, markers
from tests.storage.fleet import everything

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


def making(database: Database, simulator: Simulator, most_samples: int = 1_000_000) -> Making:
    """Makes what the simulator says, into the database."""

    def fill(before: Snapshot | None, ticks: Sequence[Snapshot]) -> None:
        assert database.fill(before, ticks)
        assert database.flush()

    return Making(simulator.at, simulator.ticks, TICK_MS, fill, most_samples)


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
    for _ in making(database, simulator).after(None, start_ms, NOW_MS - 1):
        pass
    database.append(simulator.at(NOW_MS))
    assert database.stats().late_ticks == 0
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
    for _ in making(database, simulator).before(first_ms, start_ms, NOW_MS):
        pass
    database.append(simulator.at(NOW_MS + TICK_MS))
    assert ticks_of(database) == list(range(start_ms, NOW_MS + TICK_MS + 1, TICK_MS))
    assert_as_simulated(database, simulator, start_ms, NOW_MS + TICK_MS)


def test_a_store_without_ticks_has_no_first_one(database: Database, simulator: Simulator) -> None:
    assert first_tick_ms(database, simulator.at(NOW_MS), NOW_MS - 86_400_000, NOW_MS) is None


def test_a_past_of_failures_is_what_would_have_been_kept_live(database: Database) -> None:
    fleet = make_fleet(3)
    log = IncidentLog(fleet, shipped_roles(), shipped_scenarios(), rate=20.0)
    simulator = Simulator(fleet, seed=1, incidents=log)
    start_ms = NOW_MS - 4 * 3_600_000
    live = Database(MemoryStore())
    for tick in simulator.ticks(start_ms, NOW_MS):
        live.append(tick)
    for _ in making(database, simulator, 100_000).after(None, start_ms, NOW_MS - 1):
        pass
    database.append(simulator.at(NOW_MS))
    said = everything(live)
    assert any(bits == STALE_NAN_BITS for series in said.values() for bits in series.values())
    assert everything(database) == said
    live.close()


@pytest.mark.parametrize("most_samples", [1, 20_000, 1_000_000])
def test_no_more_is_made_together_than_may_be_in_memory(
    database: Database, simulator: Simulator, most_samples: int
) -> None:
    start_ms, end_ms = NOW_MS - 3_600_000, NOW_MS - 3_000_000
    series = sum(len(column.values) for column in simulator.at(NOW_MS).columns)
    made = list(making(database, simulator, most_samples).after(None, start_ms, end_ms))
    assert [tick.t_ms for ticks in made for tick in ticks] == list(range(start_ms, end_ms + 1, TICK_MS))
    for ticks in made:
        assert (len(ticks) - 1) * series < most_samples
        assert len({tick.t_ms // WINDOW_MS for tick in ticks}) == 1


def test_a_past_that_is_stopped_in_the_middle_has_no_hole_before_what_was_kept(
    database: Database, simulator: Simulator
) -> None:
    database.append(simulator.at(NOW_MS))
    start_ms = NOW_MS - 6 * 3_600_000
    half = making(database, simulator).before(NOW_MS, start_ms, NOW_MS)
    next(half), next(half)
    first_ms = first_tick_ms(database, simulator.at(NOW_MS), start_ms, NOW_MS)
    assert first_ms is not None
    assert start_ms < first_ms
    assert ticks_of(database) == list(range(first_ms, NOW_MS + 1, TICK_MS))
    for _ in making(database, simulator).before(first_ms, start_ms, NOW_MS):
        pass
    assert ticks_of(database) == list(range(start_ms, NOW_MS + 1, TICK_MS))
    assert_as_simulated(database, simulator, start_ms, NOW_MS)


def test_what_the_first_kept_tick_does_not_have_ends_there(database: Database, simulator: Simulator) -> None:
    last, fewer = Simulator(make_fleet(4), seed=1).at(NOW_MS - TICK_MS), simulator.at(NOW_MS)
    database.append(fewer)
    assert database.fill(None, [last])
    assert database.flush()
    ended = markers(database, last, NOW_MS)
    assert all((each.t_ms == NOW_MS).all() for each in ended)
    assert {bits for each in ended for bits in each.values.view(np.uint64).reshape(-1).tolist()} == {STALE_NAN_BITS}
    here = {column.index.labels(row) for column in fewer.columns for row in range(len(column.index.rows))}
    before = {column.index.labels(row) for column in last.columns for row in range(len(column.index.rows))}
    assert {labels for each in ended for labels in each.labels} == before - here
    assert before - here
