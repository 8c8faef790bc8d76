"""What happens to the real database's past reaches the cached answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from exporter.model import Column, Family, Labels, MetricType, SeriesIndex, SeriesSet, Snapshot
from exporter.promql.answer import Answer, Matrix
from exporter.promql.engine import Engine
from exporter.promql.question import RangeQuery
from exporter.storage.database import Database
from exporter.storage.memory import MemoryStore
from exporter.storage.stats import Limits
from exporter.storage.store import BlockKey, Log, StoreError
from exporter.web.result_cache import ResultCache
from tests.servers import wait_until

WINDOW_MS = 7_200_000
START_MS = 1_800_000_000_000 // WINDOW_MS * WINDOW_MS
TICK_MS = 15_000
TEMP = SeriesIndex(Family("temp", MetricType.GAUGE, "t"), "temp", ("server",), (("a",), ("b",)))


class Store(MemoryStore):
    """One whose past can be out of reach."""

    def __init__(self) -> None:
        super().__init__()
        self.away = threading.Event()

    def read(self, log: Log, offset: int = 0, size: int | None = None) -> bytes:
        self._check()
        return super().read(log, offset, size)

    def read_blocks(self, keys: Sequence[BlockKey]) -> list[bytes | None]:
        self._check()
        return super().read_blocks(keys)

    def _check(self) -> None:
        if self.away.is_set():
            raise StoreError("away")


class House:
    """A database that is asked through the cache."""

    def __init__(self) -> None:
        self.store = Store()
        self.database = Database(self.store, limits=Limits(cache_bytes=0, sealed_bytes=0), first_retry_s=0.01)
        self.now_ms = START_MS
        self.engine = Engine(self.database)
        self.cache = ResultCache(
            self.engine,
            newest_ms=lambda: self.now_ms,
            revision=lambda: self.database.revision,
            monotonic=lambda: 0.0,
            max_bytes=1 << 20,
        )

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self.now_ms += TICK_MS
            number = (self.now_ms - START_MS) / TICK_MS
            self.database.append(Snapshot(self.now_ms, (Column(TEMP, np.array([number, -number])),)))
        assert self.database.settle()

    def asked(self) -> tuple[int, bool]:
        """How many points the cached answer has, and whether the engine says the same."""
        query = ("abs(temp)", START_MS + TICK_MS, self.now_ms, TICK_MS)
        found, expected = _points(self.cache.range(RangeQuery(*query))), _points(self.engine.range(RangeQuery(*query)))
        return sum(len(t_ms) for _, t_ms, _ in found), found == expected


def _points(answer: Answer) -> list[tuple[Labels, list[int], list[float]]]:
    assert isinstance(answer.value, Matrix)
    return [(labels, t_ms.tolist(), values.tolist()) for labels, t_ms, values in answer.value.series()]


@pytest.fixture
def house() -> Iterator[House]:
    built = House()
    yield built
    built.store.away.clear()
    built.database.close()


def test_ticks_leave_what_is_known_and_sealing_changes_no_answer(house: House) -> None:
    for _ in range(5):
        house.run(200)
        assert house.asked() == (2 * int((house.now_ms - START_MS) / TICK_MS), True)
    assert house.database.stats().blocks
    house.run(1)
    house.asked()
    assert house.cache.stats().hits


def test_a_partial_answer_is_not_remembered(house: House) -> None:
    house.run(600)
    house.store.away.set()
    points, _ = house.asked()
    assert points < 1200
    house.store.away.clear()
    wait_until(lambda: house.asked() == (1200, True), "the store to be asked again")


def test_samples_that_another_process_imports_are_seen_once_the_database_sees_them(house: House) -> None:
    house.run(100)
    assert house.asked() == (200, True)
    other = Database(house.store, tends=False)
    t_ms = np.array([START_MS + 20 * TICK_MS + 1], dtype=np.int64)
    other.ingest([SeriesSet([(("__name__", "temp"), ("server", "c"))], t_ms, np.array([[5.0]]))])
    assert other.flush()
    house.database.expire(house.now_ms)
    assert house.database.settle()
    points, same = house.asked()
    assert same
    assert points == 200 + 20


def test_what_has_outlived_its_retention_goes_from_the_answers_too(house: House) -> None:
    house.run(600)
    assert house.asked() == (1200, True)
    house.database.expire(START_MS + WINDOW_MS + max(Limits().retentions_ms.values()))
    assert house.database.settle()
    points, same = house.asked()
    assert same
    assert points < 1200
