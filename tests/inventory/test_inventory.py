"""The inventory keeps the same promises on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.inventory.database import Database, InventoryUnavailable
from exporter.inventory.inventory import Inventory
from exporter.inventory.records import server_from_json, server_to_json
from exporter.model import Server
from tests.servers import Running, Servers, free_port

WEB = Server(
    name="web-01",
    role="web",
    environment="production",
    cores=4,
    memory_bytes=16 << 30,
    disk_bytes=80 << 30,
    services=("nginx", "php-fpm"),
    labels={"team": "상점"},
    thresholds={"cpu": 70.0},
    notes='it\'s "quoted"; -- and %s',
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


def test_what_was_put_is_read_by_the_next_process_in_its_order(url: str) -> None:
    first = Inventory.open(url)
    servers = [replace(WEB, name=name) for name in ("web-02", "web-01", "api-09")]
    first.put(servers)
    first.close()
    second = Inventory.open(url)
    assert second.servers() == tuple(servers)
    assert second.server("web-01") == servers[1] and second.server("none") is None
    second.close()


def test_putting_a_server_again_replaces_it_at_its_place(url: str) -> None:
    inventory = Inventory.open(url)
    inventory.put(some_servers(3))
    changed = replace(WEB, name="web-001", notes="moved")
    inventory.put([changed])
    expected = (some_servers(3)[0], changed, some_servers(3)[2])
    assert inventory.servers() == expected
    inventory.refresh()
    assert inventory.servers() == expected
    inventory.close()


def test_a_fleet_of_thousands_is_written_in_batches_of_a_hundred(url: str) -> None:
    inventory = Inventory.open(url)
    before = inventory.stats().queries
    inventory.put(some_servers(1_050))
    assert inventory.stats().queries - before == 1 + 11
    assert len(Inventory.open(url).servers()) == 1_050
    inventory.close()


def test_only_an_empty_inventory_is_seeded(url: str) -> None:
    inventory = Inventory.open(url)
    assert inventory.seed(some_servers(2)) is True
    assert inventory.seed(some_servers(5)) is False
    assert len(inventory.servers()) == 2
    inventory.close()


def test_a_removed_server_is_gone(url: str) -> None:
    inventory = Inventory.open(url)
    inventory.put(some_servers(2))
    assert inventory.remove("web-000") is True
    assert inventory.remove("web-000") is False
    assert [server.name for server in Inventory.open(url).servers()] == ["web-001"]
    inventory.close()


def test_refresh_sees_what_another_process_wrote(url: str) -> None:
    one, other = Inventory.open(url), Inventory.open(url)
    other.put(some_servers(1))
    assert one.servers() == ()
    assert one.refresh() is True
    assert one.servers() == other.servers()
    assert one.refresh() is False
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
    assert versions == [{"version": 1}]
    with pytest.raises(InventoryUnavailable, match="schema version 99 is newer than 1"):
        Inventory.open(url)


def test_a_write_that_fails_changes_neither_database_nor_memory(url: str) -> None:
    inventory = Inventory.open(url)
    inventory.put(some_servers(1))
    broken = [replace(WEB, name="fine"), replace(WEB, name="broken", role=None)]  # type: ignore[arg-type]  # on purpose
    with pytest.raises(InventoryUnavailable):
        inventory.put(broken)
    assert inventory.stats().available is False
    assert [server.name for server in inventory.servers()] == ["web-000"]
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
    inventory.put(some_servers(2))
    running.interrupt()  # a fast shutdown: clients are cut off
    assert len(inventory.servers()) == 2
    with pytest.raises(InventoryUnavailable) as error:
        inventory.put(some_servers(3))
    assert "\n" not in str(error.value)
    assert len(inventory.servers()) == 2 and inventory.stats().available is False
    assert isinstance(running.process.args, list)
    command = [str(word) for word in running.process.args]
    servers.start(command, running.port, lambda: refreshed(inventory), cwd=Path("/"))
    inventory.put(some_servers(3))
    assert len(inventory.servers()) == 3 and inventory.stats().available is True
    inventory.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://x:s3cret@h/db", "must be sqlite or postgresql"),
        ("no url with s3cret", "must be sqlite:///PATH or postgresql://USER@HOST/DATABASE"),
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


def test_json_reads_back_as_it_was() -> None:
    assert server_from_json(server_to_json(WEB), "web-01") == WEB


@given(
    st.dictionaries(st.text(max_size=10), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()))
)
def test_any_json_object_is_a_server_or_refused_in_one_line(tree: dict[str, object]) -> None:
    try:
        server = server_from_json(tree, "web-01")
    except ValueError as err:
        assert len(str(err).splitlines()) == 1
    else:
        assert server.name == "web-01"


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "Object missing required field `role`"),
        ({"role": "web", "cores": 0}, "cores: Expected `int` >= 1"),
        ({"role": "web", "core": 1}, "Object contains unknown field `core`"),
        ({"role": "web", "name": "web-02"}, "name: 'web-02': must be 'web-01', as in the path"),
        ({"role": "web", "labels": {"server": "x"}}, "labels.server: is a label that every server has"),
        ({"role": "web", "thresholds": {"cpu": 101}}, "thresholds[...]: Expected `float` <= 100"),
    ],
)
def test_a_mistake_in_a_server_names_its_place_and_rule(tree: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as error:
        server_from_json(tree, "web-01")
    assert message in str(error.value)
