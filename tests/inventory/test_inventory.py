"""The inventory keeps the same promises on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from exporter.inventory.database import Database, InventoryUnavailable
from exporter.inventory.inventory import Inventory, TooManyServersError
from exporter.inventory.schema import MIGRATIONS, migrate
from exporter.model import Limits, Maintenance, Server
from tests.servers import Running, Servers, free_port, wait_until

WEB = Server(
    name="web-01",
    role="web",
    environment="production",
    cores=4,
    memory_bytes=16 << 30,
    disk_bytes=80 << 30,
    services=("nginx", "php-fpm"),
    labels={"team": "상점"},
    thresholds={"cpu": Limits(warning=70.0), "response": Limits(0.5, 2.0)},
    notes='it\'s "quoted"; -- and %s',
    maintenance=(Maintenance(1_795_392_000_000, 1_795_395_600_000, "디스크 교체"),),
)
INCIDENT = {
    "id": "a",
    "scenario": "cpu-saturation",
    "targets": ["web-01", "web-02"],
    "start_ms": 1_795_392_000_000,
    "duration_ms": 300_000,
    "intensity": 0.7,
    "cleared_ms": None,
}


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Servers(tmp_path_factory.mktemp("postgresql")) as servers:
        yield servers.postgresql()


_names = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/deeper/inventory.db"
    server: Running = request.getfixturevalue("postgresql")
    name = f"inventory_{next(_names)}"
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    return server.url.rpartition("/")[0] + f"/{name}"


def some_servers(count: int) -> list[Server]:
    return [replace(WEB, name=f"web-{number:03d}") for number in range(count)]


def refreshed(inventory: Inventory) -> bool:
    try:
        inventory.refresh()
    except InventoryUnavailable:
        return False
    return True


def put(inventory: Inventory, server: Server) -> None:
    """Write a server, whatever there was of its name."""
    assert inventory.change(server.name, lambda _: server, 0) == server


def remove(inventory: Inventory, name: str) -> bool:
    """Take a server out; whether it was there."""
    there: list[bool] = []

    def gone(current: Server | None) -> None:
        there.append(current is not None)

    inventory.change(name, gone, 0)
    return there[0]


def names(inventory: Inventory) -> list[str]:
    """Of the servers, in their order."""
    return [server.name for server in inventory.servers()]


def test_what_was_put_is_read_by_the_next_process_in_its_order(url: str) -> None:
    first = Inventory.open(url)
    servers = [replace(WEB, name=name) for name in ("web-02", "web-01", "api-09")]
    for server in servers:
        put(first, server)
    first.close()
    second = Inventory.open(url)
    assert second.servers() == tuple(servers)
    second.close()


def test_putting_a_server_again_replaces_it_at_its_place(url: str) -> None:
    inventory = Inventory.open(url)
    inventory.add(some_servers(3), 0)
    changed = replace(WEB, name="web-001", notes="moved")
    put(inventory, changed)
    expected = (some_servers(3)[0], changed, some_servers(3)[2])
    assert inventory.servers() == expected
    assert inventory.refresh() is False
    assert Inventory.open(url).servers() == expected
    inventory.close()


def test_a_fleet_of_thousands_is_written_in_batches_of_a_hundred(url: str) -> None:
    inventory = Inventory.open(url)
    before = inventory.stats().queries
    inventory.add(some_servers(1_050), 0)
    assert inventory.stats().queries - before == 1 + 11
    assert len(Inventory.open(url).servers()) == 1_050
    inventory.close()


def test_a_large_fleet_shares_what_it_has_in_common_and_is_not_read_anew(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/inventory.db"
    Inventory.open(url).add(some_servers(20_000), 0)
    inventory = Inventory.open(url)
    kept = inventory.kept()
    assert len(kept) == 20_000
    first, *_, last = inventory.servers()
    assert first.services is last.services and first.labels is last.labels and first.maintenance is last.maintenance
    put(inventory, replace(first, notes="changed"))
    other = Inventory.open(url)
    remove(other, last.name)
    assert inventory.refresh() is True
    now = inventory.kept()
    assert sum(now[name] is each for name, each in kept.items()) == 19_998
    inventory.close()
    other.close()


def test_what_is_known_is_not_added_again_neither_is_what_was_removed(url: str) -> None:
    inventory = Inventory.open(url)
    inventory.add(some_servers(3), 0)
    mine = replace(WEB, name="web-001", notes="mine")
    put(inventory, mine)
    assert remove(inventory, "web-002") is True
    inventory.add(some_servers(4), 0)
    assert names(inventory) == ["web-000", "web-001", "web-003"]
    assert inventory.servers()[1] == mine
    assert [each.made for each in inventory.kept().values()] == [True, False, False, True]
    inventory.close()


def test_a_removed_server_is_gone_remembered_and_can_come_back(url: str) -> None:
    inventory = Inventory.open(url)
    inventory.add(some_servers(2), 0)
    assert remove(inventory, "web-000") is True
    assert remove(inventory, "web-000") is False
    again = Inventory.open(url)
    assert names(again) == ["web-001"]
    assert again.kept()["web-000"].removed
    put(again, WEB)
    put(again, replace(WEB, name="web-000"))
    assert names(again) == ["web-000", "web-001", "web-01"]
    inventory.close()
    again.close()


def test_a_change_begins_with_what_another_process_has_written(url: str) -> None:
    one, other = Inventory.open(url), Inventory.open(url)
    put(other, WEB)
    seen: list[Server | None] = []

    def noted(current: Server | None) -> Server | None:
        seen.append(current)
        return None if current is None else replace(current, notes="two")

    one.change(WEB.name, noted, 0)
    assert seen == [WEB]
    other.refresh()
    assert other.servers() == (replace(WEB, notes="two"),)
    one.close()
    other.close()


def test_what_decide_raises_leaves_all_as_it_was(url: str) -> None:
    inventory = Inventory.open(url)
    put(inventory, WEB)
    revision = inventory.revision

    def refuse(current: Server | None) -> Server | None:
        raise LookupError("no")

    with pytest.raises(LookupError):
        inventory.change(WEB.name, refuse, 0)
    assert inventory.change(WEB.name, lambda current: current, 0) == WEB
    assert (inventory.revision, inventory.stats().available) == (revision, True)
    put(inventory, replace(WEB, notes="new"))
    assert inventory.revision == revision + 1
    inventory.close()


def test_changes_of_many_threads_are_all_there(url: str) -> None:
    inventory = Inventory.open(url)
    put(inventory, replace(WEB, cores=1))

    def one_more(_: int) -> None:
        inventory.change(WEB.name, lambda current: replace(WEB, cores=current.cores + 1 if current else 0), 0)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one_more, range(40)))
    assert inventory.servers()[0].cores == Inventory.open(url).servers()[0].cores == 41
    inventory.close()


def test_a_full_inventory_takes_changes_and_no_more_servers(tmp_path: Path) -> None:
    inventory = Inventory.open(f"sqlite:///{tmp_path}/inventory.db", most=3)
    inventory.add(some_servers(3), 0)
    with pytest.raises(TooManyServersError, match="the inventory holds 3 servers"):
        put(inventory, WEB)
    put(inventory, replace(WEB, name="web-000", notes="x"))
    assert len(inventory.servers()) == 3
    inventory.close()


def test_refresh_sees_what_another_process_wrote(url: str) -> None:
    one, other = Inventory.open(url), Inventory.open(url)
    other.add(some_servers(1), 0)
    assert one.servers() == ()
    assert one.refresh() is True
    assert one.servers() == other.servers()
    assert one.refresh() is False
    remove(other, "web-000")
    assert one.refresh() is True
    assert one.servers() == ()
    one.close()
    other.close()


def test_incidents_are_kept_and_replaced_by_id(url: str) -> None:
    inventory = Inventory.open(url)
    inventory.save_incident({**INCIDENT, "id": "b", "start_ms": INCIDENT["start_ms"]})
    inventory.save_incident({**INCIDENT, "start_ms": 1})
    cleared = {**INCIDENT, "start_ms": 1, "cleared_ms": 1_795_392_060_000}
    inventory.save_incident(cleared)
    assert Inventory.open(url).incidents() == [cleared, {**INCIDENT, "id": "b"}]
    inventory.close()


def test_a_second_start_migrates_nothing_and_a_newer_schema_is_refused(url: str) -> None:
    Inventory.open(url).close()
    Inventory.open(url).close()
    database = Database(url)
    with database.transaction() as transaction:
        versions = transaction.execute("SELECT version FROM schema_version")
        transaction.execute("INSERT INTO schema_version VALUES (99)")
    database.close()
    assert versions == [{"version": 1}, {"version": 2}]
    with pytest.raises(InventoryUnavailable, match="schema version 99 is newer than 2"):
        Inventory.open(url)


def test_a_database_of_the_first_version_keeps_its_servers(url: str) -> None:
    database = Database(url)
    values = {"name": "web-01", "services": '["nginx"]', "memory": 16 << 30, "disk": 80 << 30}
    with database.transaction() as transaction:
        migrate(transaction, MIGRATIONS[:1])
        transaction.execute(
            "INSERT INTO servers VALUES"
            " (:name, 0, 'web', 'production', 4, :memory, :disk, '/', :services, '{}', '{}', '')",
            values,
        )
    database.close()
    inventory = Inventory.open(url)
    (kept,) = inventory.kept().values()
    assert (kept.server.name, kept.server.services, kept.server.maintenance) == ("web-01", ("nginx",), ())
    assert (kept.made, kept.removed) == (True, False)
    inventory.close()


def test_a_write_that_fails_changes_neither_database_nor_memory(url: str) -> None:
    inventory = Inventory.open(url)
    inventory.add(some_servers(1), 0)
    broken = [replace(WEB, name="fine"), replace(WEB, name="broken", role=None)]  # type: ignore[arg-type]  # on purpose
    with pytest.raises(InventoryUnavailable):
        inventory.add(broken, 0)
    assert inventory.stats().available is False
    assert names(inventory) == ["web-000"]
    assert inventory.refresh() is False
    assert inventory.stats().available is True
    inventory.close()


def test_slow_queries_are_counted_and_logged(url: str, caplog: pytest.LogCaptureFixture) -> None:
    ticking = itertools.count(0.0, 0.6)
    with caplog.at_level(logging.WARNING):
        inventory = Inventory.open(url, clock=lambda: next(ticking))
    stats = inventory.stats()
    assert stats.slow_queries == stats.queries > 0
    assert "slow query duration_s=0.600 statement=" in caplog.text
    quick = Inventory.open(url)
    assert quick.stats().slow_queries == 0
    inventory.close()
    quick.close()


def test_a_database_that_stops_leaves_reads_and_refuses_writes_until_it_is_back(servers: Servers) -> None:
    running = servers.postgresql()
    inventory = Inventory.open(running.url)
    inventory.add(some_servers(2), 0)
    running.interrupt()  # a fast shutdown: clients are cut off
    assert len(inventory.servers()) == 2
    with pytest.raises(InventoryUnavailable) as error:
        put(inventory, WEB)
    assert "\n" not in str(error.value)
    assert len(inventory.servers()) == 2 and inventory.stats().available is False
    assert isinstance(running.process.args, list)
    command = [str(word) for word in running.process.args]
    servers.start(command, running.port, lambda: refreshed(inventory), cwd=Path("/"))
    put(inventory, WEB)
    assert len(inventory.servers()) == 3 and inventory.stats().available is True
    inventory.close()


def test_a_database_that_hangs_is_away_after_a_bounded_wait(servers: Servers) -> None:
    running = servers.postgresql()
    inventory = Inventory.open(running.url)
    put(inventory, WEB)
    frozen = family(running.process.pid)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(InventoryUnavailable):
            put(inventory, replace(WEB, notes="x"))
        assert time.monotonic() - began < 60
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    wait_until(lambda: refreshed(inventory), "the inventory is there again")
    put(inventory, replace(WEB, notes="y"))
    assert Inventory.open(running.url).servers() == (replace(WEB, notes="y"),)
    inventory.close()


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in family(int(child)))]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://x:s3cret@h/db", "must be sqlite or postgresql"),
        ("no url with s3cret", "must be sqlite:///PATH or postgresql://"),
        ("sqlite:////proc/1/none/s.db", "inventory /proc/1/none/s.db"),
    ],
)
def test_a_url_that_can_never_work_is_refused_in_one_line(url: str, message: str) -> None:
    with pytest.raises(ValueError, match="inventory") as error:
        Inventory.open(url)
    assert message in str(error.value) and "\n" not in str(error.value) and "s3cret" not in str(error.value)


def test_no_password_is_in_an_error() -> None:
    with pytest.raises(InventoryUnavailable) as error:
        Inventory.open(f"postgresql://me:s3cret@127.0.0.1:{free_port()}/db")
    assert "s3cret" not in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).startswith("inventory postgresql://me:***@127.0.0.1:")
    assert error.value.__cause__ is None
