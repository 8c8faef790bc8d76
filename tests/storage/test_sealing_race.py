"""What is asked while a log is being sealed: the store has changed, and memory does not know yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from exporter.model import Column, Snapshot
from exporter.storage.block import VALUE, Block, encode
from exporter.storage.cache import ByteCache
from exporter.storage.database import Database
from exporter.storage.frame import Run
from exporter.storage.layout import LOG_MS
from exporter.storage.memory import MemoryStore
from exporter.storage.reading import Decoded, Reader
from exporter.storage.store import BlockKey, Sealing
from tests.storage.fleet import CPU, EVER, START_MS, STEP_MS, index, named


class PausingStore(MemoryStore):
    """Once armed, stops after each sealing until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.sealed = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def seal(self, sealing: Sealing) -> None:
        super().seal(sealing)
        self.sealed.set()
        self.go_on.wait(20)

    @contextmanager
    def paused_at_the_next_sealing(self) -> Iterator[None]:
        self.sealed.clear()
        self.go_on.clear()
        yield
        self.go_on.set()


def test_nothing_is_missing_between_a_sealing_and_its_note_in_memory() -> None:
    store = PausingStore()
    database = Database(store)
    servers = index(CPU, ["web-01"])
    per_log = LOG_MS // STEP_MS
    times = [START_MS + tick * STEP_MS for tick in range(2 * per_log + 1)]

    def append(some: list[int]) -> None:
        for t_ms in some:
            database.append(Snapshot(t_ms, (Column(servers, np.array([t_ms / 1000])),)))

    def kept() -> list[int]:
        (found,) = database.select(named(CPU.name), *EVER)
        assert (found.values[0] == found.t_ms / 1000).all()
        return [int(t_ms) for t_ms in found.t_ms]

    append(times[: per_log + 1])
    assert database.settle()
    assert kept() == times[: per_log + 1]  # the first log's block is remembered now
    with store.paused_at_the_next_sealing():
        append(times[per_log + 1 :])
        assert store.sealed.wait(20)
        during = kept()
    assert during == times
    assert database.settle()
    assert kept() == times
    database.close()


class ChangingStore(MemoryStore):
    """Something happens each time blocks are read: after the store has looked, before the reader has the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Callable[[], None]] = []

    def read_blocks(self, keys: Sequence[BlockKey]) -> list[bytes | None]:
        found = super().read_blocks(keys)
        while self.meanwhile:
            self.meanwhile.pop()()
        return found


def test_a_block_that_changes_while_it_is_read_is_not_remembered_as_it_was() -> None:
    store, key = ChangingStore(), BlockKey(0, START_MS, CPU.name, 0)
    cache: ByteCache[object, Decoded] = ByteCache(1 << 20)
    reader = Reader(store, cache, 1 << 20, lambda: False, lambda name, reason, data: None)
    old, new = (Run(bytes(8), 0, count) for count in (1, 2))

    def sealed(run: Run) -> None:
        block = Block((run,), np.array([START_MS], np.int64), {VALUE: np.zeros((run.count, 1))}, None)
        store.seal(Sealing({key: encode(block)}, (), (), frozenset(), 1))
        reader.hold({key: encode(block)})
        reader.forget([key])

    sealed(old)
    store.meanwhile = [lambda: sealed(new)]
    assert reader.sealed([key])[key].runs == (old,)
    assert reader.sealed([key])[key].runs == (new,)
    sealed(old)
    store.meanwhile = [lambda: sealed(new)]
    assert reader.runs([key]) == {(old,)}
    assert reader.runs([key]) == {(new,)}
