"""A Redis Cluster of three nodes on loopback keeps what one Redis would."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.storage.database import Database
from exporter.storage.open import open_store
from exporter.storage.redis import RedisStore
from exporter.storage.store import Append, Log, StoreError
from tests.servers import Running, Servers, free_port, wait_until
from tests.storage.fleet import Fleet, everything

SLOTS = 16_384


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Running]]:
    """Three masters that share the slots."""
    with Servers(tmp_path_factory.mktemp("cluster")) as servers:
        nodes = []
        for _ in range(3):
            port, bus = free_port(), free_port()
            options = ("--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-config-file", f"nodes-{port}")
            nodes.append((servers.redis(*options, port=port), bus))
        for number, (node, _) in enumerate(nodes):
            first, last = number * SLOTS // 3, (number + 1) * SLOTS // 3 - 1
            _command(node.port, "CLUSTER", "ADDSLOTSRANGE", first, last)
            for other, bus in nodes:
                _command(node.port, "CLUSTER", "MEET", "127.0.0.1", other.port, bus)
        for node, _ in nodes:
            wait_until(lambda port=node.port: _whole(port), "the cluster")  # type: ignore[misc]  # a default argument
        yield [node for node, _ in nodes]


def _command(port: int, *words: object) -> Any:
    import redis

    admin: Any = redis.Redis(port=port)
    with admin:
        return admin.execute_command(*words)


def _whole(port: int) -> bool:
    """Whether a node knows the three of them, and an owner for every slot."""
    info: bytes = _command(port, "CLUSTER", "INFO")
    return b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info


@pytest.mark.parametrize("form", ["redis+cluster://127.0.0.1:{}/0", "redis://127.0.0.1:{}/0?cluster=true"])
def test_a_cluster_keeps_frames_and_blocks(cluster: list[Running], form: str) -> None:
    url, fleet = form.format(cluster[0].port), Fleet()
    database = Database(open_store(url, form[:10]))
    fleet.run(database, 500)
    assert database.settle()
    assert everything(database) == fleet.said
    database.close()
    again = Database(open_store(form.format(cluster[1].port), form[:10]))
    assert everything(again) == fleet.said
    assert again.stats().blocks == 4
    fleet.run(again, 10)
    assert again.flush()
    again.expire(fleet.t_ms + 2**40)
    assert again.settle()
    assert again.stats().blocks == 0
    again.close()


def test_a_cluster_that_loses_a_node_is_waited_for(cluster: list[Running]) -> None:
    url, fleet = f"redis+cluster://127.0.0.1:{cluster[0].port}/0", Fleet()
    database = Database(open_store(url, "frozen"), first_retry_s=0.05)
    fleet.run(database, 20)
    assert database.flush()
    holder = next(node for node in cluster if _command(node.port, "KEYS", "openmanager:frozen:log:*"))
    holder.process.send_signal(signal.SIGSTOP)
    fleet.run(database, 20)
    wait_until(lambda: database.stats().store_away, "the silent node to be noticed")
    assert everything(database) == fleet.said
    holder.process.send_signal(signal.SIGCONT)
    assert database.flush(60)
    database.close()
    again = Database(open_store(url, "frozen"))
    assert everything(again) == fleet.said
    again.close()


def test_a_silent_node_is_not_waited_for_with_each_command(cluster: list[Running]) -> None:
    store = RedisStore(f"redis+cluster://127.0.0.1:{cluster[0].port}/0", "silent", timeout_s=0.5)
    appends = [Append(Log("live", f"metric_{number}", 0, 0, "run"), 0, b"frame") for number in range(60)]
    assert store.append(appends, {}, 0, 60_000) == []
    cluster[1].process.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    try:
        with pytest.raises(StoreError, match="Timeout"):
            store.append(appends, {}, 0, 60_000)
        assert time.monotonic() - started < 5  # a third of 180 commands is the node's: 30 s and more one by one
    finally:
        cluster[1].process.send_signal(signal.SIGCONT)
        store.close()
