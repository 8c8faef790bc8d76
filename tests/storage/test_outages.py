"""A store that is away, full, slow, restarted or locked: ticks go on, nothing is lost, nothing comes twice."""

from __future__ import annotations

import logging
import socket
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from exporter.storage.database import Database
from exporter.storage.memory import MemoryStore
from exporter.storage.open import open_store
from exporter.storage.stats import Limits
from exporter.storage.store import Append, Log, Sealing, StoreError
from tests.servers import Servers, free_port, wait_until
from tests.storage.conftest import Open
from tests.storage.fleet import START_MS, STEP_MS, Fleet, everything


def _kept_elsewhere(url: str) -> dict[tuple[tuple[str, str], ...], dict[int, int]]:
    """What another process would find in the store."""
    database = Database(open_store(url), tends=False)
    found = everything(database)
    database.close()
    return found


def _lines(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "exporter.storage")


def test_redis_stopped_and_started_empty_gets_everything_again_once(
    servers: Servers, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    server = servers.redis()
    database, fleet = opened(server.url), Fleet()
    fleet.run(database, 100)
    assert database.flush()
    server.kill()
    fleet.run(database, 100)
    wait_until(lambda: database.stats().store_away, "the outage to be noticed")
    assert everything(database) == fleet.said
    assert database.stats().pending_bytes
    servers.redis(port=server.port)
    assert database.flush()
    fleet.run(database, 10)
    assert database.settle()
    assert everything(database) == _kept_elsewhere(server.url) == fleet.said
    assert database.stats().outages == len(_lines(caplog, "is away")) == len(_lines(caplog, "is back")) == 1
    assert database.stats().samples_lost == 0


def test_redis_that_was_flushed_unnoticed_gets_the_live_window_again(servers: Servers, opened: Open) -> None:
    import redis

    server = servers.redis()
    database, fleet = opened(server.url), Fleet()
    fleet.run(database, 90)
    assert database.flush()
    redis.Redis.from_url(server.url).flushall()
    fleet.run(database, 20)
    assert database.flush()
    assert database.stats().torn_logs == 4
    assert _kept_elsewhere(server.url) == fleet.said


def test_a_full_redis_is_waited_for(servers: Servers, opened: Open) -> None:
    import redis

    server = servers.redis("--maxmemory-policy", "noeviction")
    database, fleet = opened(server.url), Fleet()
    fleet.run(database, 20)
    assert database.flush()
    admin = redis.Redis.from_url(server.url)
    admin.config_set("maxmemory", "1mb")
    fleet.run(database, 200)
    wait_until(lambda: database.stats().store_away, "the full store to be noticed")
    assert everything(database) == fleet.said
    admin.config_set("maxmemory", "0")
    assert database.settle()
    assert _kept_elsewhere(server.url) == fleet.said


def test_a_redis_that_hangs_does_not_hold_up_ticks_or_questions(opened: Open) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        from exporter.storage.redis import RedisStore

        store = RedisStore(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", "x", timeout_s=0.2)
        database, fleet = Database(store, first_retry_s=0.02), Fleet()
        fleet.run(database, 100)
        assert everything(database) == fleet.said
        assert database.stats().store_away
        database.close(0.1)


def test_a_redis_that_comes_up_later_gets_all_and_gives_its_history(
    servers: Servers, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    url = f"redis://:hunter2@127.0.0.1:{port}/0"
    database, fleet = opened(url), Fleet()
    assert database.latest() is None
    fleet.run(database, 50)
    assert everything(database) == fleet.said
    servers.redis("--requirepass", "hunter2", port=port)
    assert database.flush()
    assert _kept_elsewhere(url) == fleet.said
    assert len(_lines(caplog, "is away")) == 1
    assert "hunter2" not in caplog.text


def test_a_wrong_password_is_an_outage_that_does_not_tell_it(
    servers: Servers, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    server = servers.redis("--requirepass", "right")
    database = opened(f"redis://:hunter2@127.0.0.1:{server.port}/0")
    assert database.stats().store_away
    assert "hunter2" not in caplog.text


def test_a_locked_sqlite_file_is_waited_for(tmp_path: Path, opened: Open) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    database, fleet = opened(url), Fleet()
    fleet.run(database, 10)
    assert database.flush()
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    fleet.run(database, 100)
    assert everything(database) == fleet.said
    assert database.stats().pending_bytes
    other.execute("ROLLBACK")
    other.close()
    assert database.flush()
    assert _kept_elsewhere(url) == fleet.said


def test_a_full_disk_is_waited_for(tmp_path: Path, opened: Open) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    store = open_store(url)
    database, fleet = Database(store, first_retry_s=0.02), Fleet()
    fleet.run(database, 10)
    assert database.flush()
    limit = _SqliteLimit(store)
    limit.set(1)
    fleet.run(database, 400)
    wait_until(lambda: database.stats().store_away, "the full disk to be noticed")
    assert everything(database) == fleet.said
    limit.set(2**30)
    assert database.settle()
    database.close()
    assert _kept_elsewhere(url) == fleet.said


class _SqliteLimit:
    """SQLite's own limit on the pages of a file: beyond it a write fails as on a full disk."""

    def __init__(self, store: object) -> None:
        self._connections: list[sqlite3.Connection] = store._all  # type: ignore[attr-defined]  # the limit is theirs

    def set(self, pages: int) -> None:
        for connection in self._connections:
            connection.execute(f"PRAGMA max_page_count = {pages}")


class _Unsure(MemoryStore):
    """Does what it is told, and says that it failed: the answer got lost on the way back, every other time."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def append(self, appends: Sequence[Append], segments: object, now_ms: int, ttl_ms: int) -> list[Log]:
        self.calls += 1
        torn = super().append(appends, segments, now_ms, ttl_ms)  # type: ignore[arg-type]  # passed on
        if self.calls % 2:
            raise StoreError("the answer was lost")
        return torn


def test_a_write_whose_answer_was_lost_is_not_there_twice() -> None:
    store, fleet = _Unsure(), Fleet()
    database = Database(store, first_retry_s=0.001)
    for _ in range(100):
        fleet.run(database, 1)
        assert database.flush()
    database.close()
    again = Database(store)
    assert everything(again) == fleet.said
    assert sum(len(store.read(log)) for log in store.logs()) == database.stats().frame_bytes
    again.close()


class _Away(MemoryStore):
    """A store that can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.away = threading.Event()

    def append(self, appends: Sequence[Append], segments: object, now_ms: int, ttl_ms: int) -> list[Log]:
        self._check()
        return super().append(appends, segments, now_ms, ttl_ms)  # type: ignore[arg-type]  # passed on

    def read(self, log: Log, offset: int = 0, size: int | None = None) -> bytes:
        self._check()
        return super().read(log, offset, size)

    def reopen(self) -> None:
        self._check()

    def _check(self) -> None:
        if self.away.is_set():
            raise StoreError("away")


def test_memory_is_bounded_while_the_store_is_away_and_the_loss_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    store, fleet = _Away(), Fleet()
    limit = 20_000
    database = Database(store, first_retry_s=0.01, limits=Limits(pending_bytes=limit, frames_bytes=limit))
    fleet.run(database, 10)
    assert database.flush()
    store.away.set()
    for _ in range(20):
        fleet.run(database, 60)
        stats = database.stats()
        assert stats.memory_bytes <= limit + 8_000
    assert stats.samples_lost
    assert len(_lines(caplog, "samples lost")) == 1
    store.away.clear()
    assert database.flush()
    kept = everything(database)
    missing = 0
    for labels, said in fleet.said.items():
        missing += len(said) - len(kept[labels])
        assert kept[labels].items() <= said.items()
    assert missing == stats.samples_lost
    database.close()


class _Slow(MemoryStore):
    """Holds a write until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.free = threading.Event(), threading.Event()
        self.free.set()

    def append(self, appends: Sequence[Append], segments: object, now_ms: int, ttl_ms: int) -> list[Log]:
        self.begun.set()
        assert self.free.wait(30)
        return super().append(appends, segments, now_ms, ttl_ms)  # type: ignore[arg-type]  # passed on


def test_what_is_on_its_way_is_not_dropped_for_want_of_memory() -> None:
    store, fleet = _Slow(), Fleet()
    database = Database(store, limits=Limits(pending_bytes=1_000, frames_bytes=1_000))
    store.free.clear()
    fleet.run(database, 1)
    assert store.begun.wait(30)
    fleet.run(database, 300)
    store.free.set()
    assert database.flush()
    kept = everything(database)
    for labels, said in fleet.said.items():
        assert kept[labels].items() <= said.items()
        assert START_MS in kept[labels]
    assert sum(map(len, fleet.said.values())) - sum(map(len, kept.values())) == database.stats().samples_lost
    database.close()


def test_what_was_sealed_lately_still_answers_while_the_store_is_away() -> None:
    store, fleet = _Away(), Fleet()
    database = Database(store, first_retry_s=0.01, limits=Limits(cache_bytes=0))
    fleet.run(database, 500)
    assert database.settle()
    store.away.set()
    fleet.run(database, 3)
    wait_until(lambda: database.stats().store_away, "the outage to be noticed")
    assert everything(database) == fleet.said
    database.close(0)


def test_a_redis_that_is_made_a_replica_is_waited_for(
    servers: Servers, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    import redis

    server, other = servers.redis(), servers.redis()
    database, fleet = opened(server.url), Fleet()
    fleet.run(database, 90)
    assert database.flush()
    admin = redis.Redis.from_url(server.url)
    admin.replicaof("127.0.0.1", other.port)
    fleet.run(database, 40)
    wait_until(lambda: database.stats().store_away, "the demotion to be noticed")
    assert everything(database) == fleet.said
    admin.replicaof("NO", "ONE")
    assert database.flush()
    assert _kept_elsewhere(server.url) == fleet.said
    assert len(_lines(caplog, "is away")) == len(_lines(caplog, "is back")) == 1


def test_tiers_are_made_after_all_when_the_store_fails_in_between() -> None:
    failures = ["first block of minutes", "and again", "first of five minutes"]

    class Failing(MemoryStore):
        def seal(self, sealing: Sealing) -> None:
            if failures and any(key.tier_ms for key in sealing.blocks):
                raise StoreError(failures.pop())
            super().seal(sealing)

    database, fleet = Database(Failing(), interval_ms=600_000, first_retry_s=0.01), Fleet()
    for _ in range(10 * 144):
        fleet.run(database, 1)
        fleet.t_ms += 600_000 - STEP_MS
    assert database.settle()
    assert not failures
    assert {each.tier for each in database.kept()} == {"raw", "1m", "5m"}
    assert everything(database) == fleet.said
    database.close()


def test_a_flushed_store_costs_no_more_than_the_group_whose_beginning_memory_had_given_up(
    servers: Servers, opened: Open
) -> None:
    import redis

    server = servers.redis()
    database, fleet = opened(server.url, limits=Limits(frames_bytes=0)), Fleet()
    fleet.run(database, 10)
    assert database.flush()
    fleet.run(database, 10)
    assert database.flush()
    assert everything(database) == fleet.said
    redis.Redis.from_url(server.url).flushall()
    fleet.run(database, 1)
    assert database.flush()
    came_ms = fleet.t_ms
    fleet.run(database, 10)
    assert database.flush()
    kept = {
        labels: {t_ms: bits for t_ms, bits in said.items() if t_ms >= came_ms} for labels, said in fleet.said.items()
    }
    assert _kept_elsewhere(server.url) == kept
