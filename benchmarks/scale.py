"""A tick of 20,000 servers on one core, stage by stage: make, compress, store, render and gzip; and its memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import psutil
from isal import isal_zlib

from benchmarks.figure import Figure
from exporter.model import Snapshot
from exporter.simulation.fleet import make_fleet
from exporter.simulation.simulator import Simulator
from exporter.storage.database import Database
from exporter.storage.open import open_store
from exporter.web.exposition import Exposition, Format

T = TypeVar("T")

SERVERS = 20_000
TICKS = 24  # a block of five minutes of the simulation begins in them
SETTLING = 3  # the first ones make what all others use
TICK_MS = 15_000
START_MS = 1_750_000_000_000 // TICK_MS * TICK_MS
STAGES = ("make", "compress", "store", "render and gzip")


def figures() -> Iterator[Figure]:
    """Processor time, so that what else the machine does is not in it."""
    simulator = Simulator(make_fleet(SERVERS), seed=1, interval_ms=TICK_MS)
    exposition = Exposition()
    spent: list[list[float]] = []
    resident_mb = 0.0
    series = page_bytes = 0
    with tempfile.TemporaryDirectory() as folder:
        database = Database(open_store(f"sqlite:///{folder}/samples.db"))
        for number in range(TICKS):
            make_s, snapshot = _timed(partial(simulator.at, START_MS + number * TICK_MS))
            append_s, _ = _timed(partial(database.append, snapshot))
            store_s, _ = _timed(partial(database.flush, 60))
            page_s, page_bytes = _timed(partial(_page, exposition, snapshot))
            spent.append([make_s, append_s, store_s, page_s])
            resident_mb = max(resident_mb, psutil.Process().memory_info().rss / 1e6)
            series = sum(len(column.values) for column in snapshot.columns)
        database.close()
    yield Figure(f"{SERVERS:,} servers: series", series, "")
    steady = spent[SETTLING:]
    for stage, times in zip(STAGES, zip(*steady, strict=True), strict=True):
        yield Figure(f"{SERVERS:,} servers, a tick: {stage}", statistics.mean(times), "s")
    yield Figure(f"{SERVERS:,} servers, a tick altogether", statistics.mean(map(sum, steady)), "s", 1.0)
    compressed_s = statistics.median(times[1] for times in steady)
    yield Figure(f"{SERVERS:,} servers: compressing a million samples", compressed_s / series * 1e6, "s", 0.1)
    yield Figure(f"{SERVERS:,} servers: the page, gzipped", page_bytes / 1e6, "MB")
    yield Figure(f"{SERVERS:,} servers: resident", resident_mb, "MB", 600.0)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    started = time.process_time()
    done = work()
    return time.process_time() - started, done


def _page(exposition: Exposition, tick: Snapshot) -> int:
    packer = isal_zlib.compressobj(1, wbits=31)
    return sum(len(packer.compress(part)) for part in exposition.parts(tick, Format.TEXT)) + len(packer.flush())
