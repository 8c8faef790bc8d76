"""The past kept in bulk: the very samples that the same ticks leave one by one, stale markers and tiers with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import pytest

from exporter.model import METRIC_NAME, STALE_NAN_BITS, Column, Labels, Snapshot
from exporter.storage.database import Database
from exporter.storage.layout import DAY_MS, WINDOW_MS
from exporter.storage.memory import MemoryStore
from tests.storage.conftest import Open
from tests.storage.fleet import START_MS, STEP_MS, UP, Fleet, everything, index, named

MINUTE_MS = 60_000


def churning(ticks: int, start_ms: int = START_MS, step_ms: int = STEP_MS) -> list[Snapshot]:
    """Ticks of a fleet whose servers come, go and come back, and whose metrics are not always there."""
    random = np.random.default_rng(5)
    names = [f"web-{number:02}" for number in range(12)]
    fleet, made = Fleet(tuple(names[:6]), t_ms=start_ms), []
    for number in range(ticks):
        if random.random() < 0.05 or start_ms + number * step_ms == START_MS + WINDOW_MS:
            fleet.servers = tuple(sorted(random.choice(names, size=6, replace=False).tolist()))
        tick = fleet.tick()
        columns = tick.columns if number % 97 > 3 else tick.columns[1:]
        made.append(Snapshot(start_ms + number * step_ms, columns))
    return made


def cut(ticks: Sequence[Snapshot], most: int = 200) -> Iterator[tuple[Snapshot | None, list[Snapshot]]]:
    """By window, and no more than so many together; each with the tick before."""
    before: Snapshot | None = None
    for _, stretch in groupby(enumerate(ticks), key=lambda each: (each[1].t_ms // WINDOW_MS, each[0] // most)):
        together = [tick for _, tick in stretch]
        yield before, together
        before = together[-1]


def appended(ticks: Sequence[Snapshot]) -> Database:
    """A database that got them one by one."""
    database = Database(MemoryStore())
    for tick in ticks:
        database.append(tick)
    return database


@pytest.fixture(scope="module")
def ticks() -> list[Snapshot]:
    """Those of two windows and a half."""
    return churning(1200)


@pytest.fixture(scope="module")
def truth(ticks: list[Snapshot]) -> dict[Labels, dict[int, int]]:
    """All that they leave, live."""
    database = appended(ticks)
    found = everything(database)
    database.close()
    assert sum(bits == STALE_NAN_BITS for series in found.values() for bits in series.values()) > 50
    return found


@pytest.mark.parametrize("live", [1, 300])
def test_what_is_filled_and_then_goes_on_live_is_as_if_all_had_come_live(
    live: int, store_url: str, opened: Open, ticks: list[Snapshot], truth: dict[Labels, dict[int, int]]
) -> None:
    database = opened(store_url)
    for before, together in cut(ticks[:-live]):
        assert database.fill(before, together)
    for tick in ticks[-live:]:
        database.append(tick)
    assert database.settle()
    assert everything(database) == truth
    assert database.stats().late_ticks == 0


def test_a_store_that_was_filled_is_gone_on_with_by_another_process(
    lasting_url: str, opened: Open, ticks: list[Snapshot], truth: dict[Labels, dict[int, int]]
) -> None:
    first = opened(lasting_url)
    for before, together in cut(ticks[:-100]):
        assert first.fill(before, together)
    first.close()
    second = opened(lasting_url)
    latest = second.latest()
    assert latest is not None
    assert latest.t_ms == ticks[-101].t_ms
    for tick in ticks[-100:]:
        second.append(tick)
    assert second.settle()
    assert everything(second) == truth


@pytest.mark.parametrize("left", [100, 500])
def test_what_an_earlier_run_left_is_gone_on_with_whether_it_is_sealed_or_not(
    left: int, lasting_url: str, opened: Open, ticks: list[Snapshot], truth: dict[Labels, dict[int, int]]
) -> None:
    first = opened(lasting_url)
    for tick in ticks[:left]:
        first.append(tick)
    first.close()
    second = opened(lasting_url)
    before = second.latest()
    for previous, together in cut(ticks[left:]):
        assert second.fill(previous or before, together)
    second.close()
    third = opened(lasting_url)
    latest = third.latest()
    assert latest is not None
    assert latest.t_ms == ticks[-1].t_ms
    assert everything(third) == truth


def test_a_past_that_is_filled_newest_first_is_the_same_and_what_was_there_stays(
    store_url: str, opened: Open, ticks: list[Snapshot], truth: dict[Labels, dict[int, int]]
) -> None:
    database = opened(store_url)
    for tick in ticks[1000:]:
        database.append(tick)
    for before, together in reversed(list(cut(ticks[:1000]))):
        assert database.fill(before, together)
    assert database.flush()
    other = churning(1100)[1000:1100]  # the same instants again: what is kept wins
    for column in (column for tick in other for column in tick.columns):
        column.values[:] = 7.0
    assert database.fill(None, other)
    assert database.settle()
    kept = everything(database)
    assert kept.keys() == truth.keys()
    other_ms = {t_ms for labels, said in truth.items() for t_ms in said if kept[labels].get(t_ms) != said[t_ms]}
    assert other_ms <= {ticks[1000].t_ms}  # whose markers nobody wrote


@pytest.mark.parametrize("newest_first", [False, True])
def test_tiers_are_as_if_all_had_come_live(newest_first: bool, opened: Open) -> None:
    past = churning(3000, START_MS // DAY_MS * DAY_MS + MINUTE_MS, MINUTE_MS)
    live, filled = appended(past), opened("memory:")
    if newest_first:
        filled.append(past[-1])
        past = past[:-1]
    batches = list(cut(past))
    for before, together in reversed(batches) if newest_first else batches:
        assert filled.fill(before, together)
    for database in (live, filled):
        database.expire(past[-1].t_ms + MINUTE_MS)
        assert database.settle()
    of_live, of_filled = ([each for each in database.kept() if each.tier != "raw"] for database in (live, filled))
    assert {each.tier for each in of_live} == {"1m"}
    assert [(each.tier, each.family, each.samples, each.oldest_ms, each.newest_ms) for each in of_live] == [
        (each.tier, each.family, each.samples, each.oldest_ms, each.newest_ms) for each in of_filled
    ]
    live.close()


def test_nothing_of_the_past_is_ever_a_live_log(opened: Open, ticks: list[Snapshot]) -> None:
    database = opened("memory:")
    for before, together in cut(ticks):
        assert database.fill(before, together)
        assert database.stats().logs == database.stats().pending_bytes == 0
    assert database.settle()
    assert database.stats().samples_imported == sum(len(column.values) for tick in ticks for column in tick.columns)


def test_metrics_of_many_series_are_filled_in_parts(opened: Open) -> None:
    names = [f"server-{number:05}" for number in range(5000)]
    whole, fewer = index(UP, names), index(UP, names[:100] + names[4500:])
    made = [
        Snapshot(START_MS + number * STEP_MS, (Column(which, np.full(len(which.rows), float(number))),))
        for number, which in enumerate([whole, whole, fewer, fewer])
    ]
    live, filled = appended(made), opened("memory:")
    assert filled.fill(None, made)
    assert filled.settle()
    assert everything(filled) == everything(live)
    assert len(filled.select(named(UP.name, server="server-04499"), START_MS, made[-1].t_ms)[0].t_ms) == 3
    assert METRIC_NAME in dict(filled.series([], START_MS, made[-1].t_ms)[0])
    live.close()


def test_what_is_filled_behind_a_log_of_the_same_window_is_what_is_known_last(lasting_url: str, opened: Open) -> None:
    ticks = churning(200)
    first = opened(lasting_url)
    for tick in ticks[:100]:
        first.append(tick)
    first.close()
    second = opened(lasting_url)
    assert second.fill(second.latest(), ticks[100:])
    second.close()
    latest = opened(lasting_url).latest()
    assert latest is not None
    assert latest.t_ms == ticks[-1].t_ms


def test_a_series_that_ends_with_the_past_gets_its_marker_at_the_first_live_tick(opened: Open) -> None:
    both, one = index(UP, ["a", "b"]), index(UP, ["a"])
    database = opened("memory:")
    for number in range(2):  # a live log is there already the second time
        begin_ms = START_MS + number * 4 * STEP_MS
        assert database.fill(database.latest(), [Snapshot(begin_ms, (Column(both, np.ones(2)),))])
        database.append(Snapshot(begin_ms + STEP_MS, (Column(one, np.ones(1)),)))
        assert database.flush()
        (ended,) = database.select(named(UP.name, server="b"), begin_ms, begin_ms + STEP_MS)
        assert ended.t_ms.tolist() == [begin_ms, begin_ms + STEP_MS]
        assert ended.values.view(np.uint64)[0, 1] == STALE_NAN_BITS
