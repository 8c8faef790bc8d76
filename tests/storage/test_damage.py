"""Bytes that rot in the store are found, named, set aside, and do not take their neighbours along."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from exporter.storage.database import Database
from exporter.storage.memory import MemoryStore
from exporter.storage.open import open_store
from exporter.storage.store import Append, Sealing, UnusableStore
from tests.storage.conftest import Open
from tests.storage.fleet import CPU, Fleet, everything


def _filled(ticks: int) -> tuple[MemoryStore, Fleet]:
    store, fleet = MemoryStore(), Fleet()
    database = Database(store)
    fleet.run(database, ticks)
    assert database.settle()
    database.close()
    return store, fleet


def test_a_damaged_block_is_set_aside_and_its_neighbours_stay(caplog: pytest.LogCaptureFixture) -> None:
    store, fleet = _filled(970)
    broken = min(key for key in store.blocks() if key.metric == CPU.name)
    (data,) = store.read_blocks([broken])
    assert data is not None
    store.seal(Sealing({broken: data[:-9] + b"x" + data[-8:]}, (), (), frozenset(), 1))
    database = Database(store)
    with caplog.at_level(logging.ERROR, "exporter.storage"):
        for _ in range(3):
            kept = everything(database)
    for labels, said in fleet.said.items():
        lost = 480 if dict(labels)["__name__"] == CPU.name else 0
        assert kept[labels] == dict(list(said.items())[lost:])
    assert database.stats().quarantined == 1
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"{broken.window_ms}/{CPU.name}" in line
    assert database.flush()
    assert broken not in store.blocks()
    database.close()


def test_a_damaged_frame_costs_its_group_and_the_rest_is_sealed(caplog: pytest.LogCaptureFixture) -> None:
    store, fleet = _filled(200)
    broken = next(log for log in store.logs() if log.metric == CPU.name)
    data = bytearray(store.read(broken))
    data[len(data) // 2] ^= 0xFF
    store.replace(Append(broken, 0, bytes(data)), {}, 0, 1)
    database = Database(store)
    kept = everything(database)
    for labels, said in fleet.said.items():
        if dict(labels)["__name__"] != CPU.name:
            assert kept[labels] == said
        else:
            assert kept[labels].items() <= said.items()
            assert 140 <= len(kept[labels]) < 200
    fleet.run(database, 400)
    assert database.settle()
    again = everything(database)
    assert all(again[labels].items() >= samples.items() for labels, samples in kept.items())
    assert database.stats().quarantined == 1
    database.close()


def test_no_damage_to_anything_stored_stops_the_rest() -> None:
    random = np.random.default_rng(7)
    for _ in range(12):
        store, fleet = _filled(500)
        logs, blocks = store.logs(), store.blocks()
        victim = int(random.integers(len(logs) + len(blocks)))
        if victim < len(logs):
            log = logs[victim]
            store.replace(Append(log, 0, _rotten(store.read(log), random)), {}, 0, 1)
            metric = log.metric
        else:
            key = blocks[victim - len(logs)]
            (data,) = store.read_blocks([key])
            assert data is not None
            store.seal(Sealing({key: _rotten(data, random)}, (), (), frozenset(), 1))
            metric = key.metric
        database = Database(store)
        kept = everything(database)
        fleet.run(database, 3)
        for labels, said in fleet.said.items():
            if dict(labels)["__name__"] == metric:
                assert kept.get(labels, {}).items() <= said.items()
            else:
                assert kept[labels] == dict(list(said.items())[:-3])
        database.close()


def _rotten(data: bytes, random: np.random.Generator) -> bytes:
    """Cut, flipped, emptied or filled with noise somewhere."""
    at, kind = int(random.integers(len(data))), int(random.integers(4))
    size = int(random.integers(1, 50))
    noise = random.integers(0, 256, size, np.uint8).tobytes()
    return [
        data[:at],
        data[:at] + noise + data[at:],
        data[:at] + noise + data[at + size :],
        data[:at] + data[at + size :],
    ][kind]


def test_a_segment_that_is_missing_costs_its_metric_only(caplog: pytest.LogCaptureFixture) -> None:
    store, fleet = _filled(20)
    store.expire_segments(2**62)
    database = Database(store)
    assert everything(database) == {}
    fleet.run(database, 5)
    kept = everything(database)
    assert all(kept[labels].items() <= said.items() and len(kept[labels]) >= 5 for labels, said in fleet.said.items())
    assert database.stats().quarantined == 4
    database.close()


FOREIGN = [
    (b"this is no database at all, but it is long enough", "file is not a database"),
    (None, "a database of another program"),
]


@pytest.mark.parametrize(("content", "reason"), FOREIGN)
def test_a_file_of_something_else_is_refused_and_left_alone(content: bytes | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    if content is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE theirs (x)")
    else:
        path.write_bytes(content * 40)
    before = path.read_bytes()
    with pytest.raises(UnusableStore, match=f"x.db: {reason}"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == before


URLS = [
    ("sqlite://x.db", "three slashes|sqlite:///PATH"),
    ("sqlite:///", "sqlite:///PATH"),
    ("mysql://root:hunter2@x", "'mysql' is none of"),
    ("redis://:hunter2@127.0.0.1:99999/0", "storage.url"),
    ("redis://:hunter2@127.0.0.1/0?nonsense=1", "storage.url"),
]


@pytest.mark.parametrize(("url", "reason"), URLS)
def test_a_url_that_cannot_be_used_is_refused_without_telling_its_password(url: str, reason: str) -> None:
    with pytest.raises(UnusableStore, match=reason) as refused:
        open_store(url)
    assert "hunter2" not in str(refused.value)


def test_a_folder_that_is_missing_is_made(tmp_path: Path, opened: Open) -> None:
    fleet = Fleet()
    fleet.run(opened(f"sqlite:///{tmp_path}/a/b/c.db"), 1)
    assert (tmp_path / "a/b/c.db").exists()
