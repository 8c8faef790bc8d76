"""The fleet follows its inventory while it runs: whoever comes, goes or changes, nothing moves on the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.config import Config, Fleet
from exporter.config import Inventory as InventorySettings
from exporter.inventory.inventory import Inventory
from exporter.model import Server, Snapshot
from exporter.simulation.fleet import make_fleet
from exporter.source import Source, open_source
from exporter.web.servers import ServerRefused
from tests.simulation.fleets import MONDAY_MS, TICK_MS, falls, flat

CORE = "openmanager_cpu_usage_percent"
MEMORY = "openmanager_memory_total_bytes"
INFO = "openmanager_server_info"


class Clock:
    """Time that the test sets."""

    def __init__(self, t_ms: int) -> None:
        self.t_ms = t_ms

    def __call__(self) -> float:
        return self.t_ms / 1000


@contextmanager
def opened(folder: Path, clock: Clock, servers: int = 20) -> Iterator[Source]:
    config = Config(inventory=InventorySettings(url=f"sqlite:///{folder}/inventory.db"), fleet=Fleet(servers=servers))
    with open_source(config, clock) as source:
        yield source


def names(source: Source) -> list[str]:
    return list(source.register.servers())


def put(source: Source, name: str, **changed: object) -> None:
    """Change a server, or add one to the web servers."""

    def decide(current: Server | None) -> Server:
        return replace(current or source.register.proposed(name, "web"), **changed)  # type: ignore[arg-type]

    source.register.change(name, decide)


def remove(source: Source, name: str) -> None:
    source.register.change(name, lambda _: None)


def without(snapshot: Snapshot, *servers: str) -> dict[object, bytes]:
    """Every series but theirs, with the bits of its value."""
    return {key: float(value).hex().encode() for key, value in flat(snapshot).items() if key[1][0] not in servers}


def of(snapshot: Snapshot, metric: str, server: str) -> list[float]:
    return [value for (name, row), value in flat(snapshot).items() if name == metric and row[0] == server]


def test_who_comes_and_goes_changes_no_bit_of_the_others_from_the_next_tick_on(tmp_path: Path) -> None:
    clock = Clock(MONDAY_MS + 5_000)
    (tmp_path / "still").mkdir()
    with opened(tmp_path, clock) as source, opened(tmp_path / "still", clock) as still:
        for each in (source, still):
            assert each.incidents is not None
            each.incidents.inject("database-disk-cascade", now_ms=MONDAY_MS - 300_000, id="a", targets=["db-01"])
        put(source, "web-77")
        remove(source, "db-01")
        before = source.maker.at(MONDAY_MS)  # the tick that was due when it was changed
        assert without(before) == without(still.maker.at(MONDAY_MS))
        for tick in range(1, 30):
            t_ms = MONDAY_MS + tick * TICK_MS
            now, as_ever = source.maker.at(t_ms), still.maker.at(t_ms)
            assert without(now, "web-77") == without(as_ever, "db-01")
            assert of(now, CORE, "web-77") and not of(now, CORE, "db-01")


def test_what_failed_on_a_server_that_left_is_still_true_after_a_restart(tmp_path: Path) -> None:
    clock = Clock(MONDAY_MS)
    with opened(tmp_path, clock) as source:
        assert source.incidents is not None
        source.incidents.inject("database-disk-cascade", ["db-01"], now_ms=MONDAY_MS - 60_000, id="a")
        remove(source, "db-01")
        expected = [without(source.maker.at(MONDAY_MS + tick * TICK_MS)) for tick in (1, 9, 20)]
    with opened(tmp_path, clock) as again:
        assert [without(again.maker.at(MONDAY_MS + tick * TICK_MS)) for tick in (1, 9, 20)] == expected
        assert "db-01" not in names(again)


def test_a_server_of_another_size_restarts_and_no_counter_of_the_others_falls(tmp_path: Path) -> None:
    clock = Clock(MONDAY_MS + 1_000)
    with opened(tmp_path, clock) as source:
        ticks = [source.maker.at(MONDAY_MS)]
        put(source, "web-01", cores=64, memory_bytes=256 << 30)
        ticks += [source.maker.at(MONDAY_MS + tick * TICK_MS) for tick in range(1, 20)]
        assert len(of(ticks[0], CORE, "web-01")) != 64
        assert of(ticks[1], MEMORY, "web-01") == of(ticks[0], MEMORY, "web-01")  # its last tick
        assert not of(ticks[2], CORE, "web-01")  # it is being started
        assert len(of(ticks[-1], CORE, "web-01")) == 64 and of(ticks[-1], MEMORY, "web-01") == [256 << 30]
        (booted,) = of(ticks[-1], "openmanager_boot_time_seconds", "web-01")
        assert MONDAY_MS / 1000 < booted < ticks[-1].t_ms / 1000
        assert set(falls(ticks)) <= {"web-01"}
        requests = sum(of(ticks[-1], "openmanager_http_requests_total", "web-01"))
        assert 0 < requests < sum(of(ticks[0], "openmanager_http_requests_total", "web-01"))


def test_notes_labels_and_environment_need_no_restart(tmp_path: Path) -> None:
    clock = Clock(MONDAY_MS + 1_000)
    with opened(tmp_path, clock) as source:
        before = source.maker.at(MONDAY_MS)
        put(source, "web-01", environment="staging", notes="x", labels={"team": "shop"})
        now = source.maker.at(MONDAY_MS + TICK_MS)
        environments = {row[2] for (name, row), _ in flat(now).items() if name == INFO and row[0] == "web-01"}
        assert environments == {"staging"}
        (index,) = [column.index for column in now.columns if column.index.metric == INFO]
        teams = {
            dict(index.labels(row)).get("team") for row in range(len(index.rows)) if index.rows[row][0] == "web-01"
        }
        assert teams == {"shop"}
        others = [dict(index.labels(row)) for row in range(len(index.rows)) if index.rows[row][0] != "web-01"]
        assert not any("team" in labels for labels in others)
        (was,) = of(before, "openmanager_boot_time_seconds", "web-01")
        assert of(now, "openmanager_boot_time_seconds", "web-01") == [was]
        assert falls([before, now]) == {}


def test_a_tick_that_is_late_still_shows_the_fleet_it_was_due_for(tmp_path: Path) -> None:
    clock = Clock(MONDAY_MS + TICK_MS - 10)
    with opened(tmp_path, clock) as source:
        remove(source, "web-01")
        clock.t_ms = MONDAY_MS + TICK_MS + 10
        remove(source, "web-02")
        first, second = source.maker.at(MONDAY_MS + TICK_MS), source.maker.at(MONDAY_MS + 2 * TICK_MS)
        assert not of(first, CORE, "web-01") and of(first, CORE, "web-02")
        assert not of(second, CORE, "web-02")


def test_what_another_process_wrote_is_followed_after_a_refresh(tmp_path: Path) -> None:
    clock = Clock(MONDAY_MS)
    with opened(tmp_path, clock) as source:
        other = Inventory.open(f"sqlite:///{tmp_path}/inventory.db")
        other.change("web-01", lambda _: None, MONDAY_MS)
        other.close()
        source.refresh()
        assert "web-01" not in names(source)
        assert not of(source.maker.at(MONDAY_MS + TICK_MS), CORE, "web-01")


def test_the_number_of_servers_adds_and_hides_those_that_nobody_has_touched(tmp_path: Path) -> None:
    clock = Clock(MONDAY_MS)
    made = [server.name for server in make_fleet(20)]
    with opened(tmp_path, clock, servers=10) as source:
        assert names(source) == made[:10]
        remove(source, made[3])
        put(source, made[8], notes="mine")
    with opened(tmp_path, clock, servers=20) as source:
        assert names(source) == [name for name in made if name != made[3]]
    with opened(tmp_path, clock, servers=5) as source:
        assert names(source) == [name for name in made[:5] if name != made[3]] + [made[8]]
        put(source, made[6])  # as it is, but asked for
        assert names(source) == [name for name in made[:5] if name != made[3]] + [made[6], made[8]]


def test_a_role_that_is_not_known_and_an_empty_fleet_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path, Clock(MONDAY_MS), servers=1) as source:
        with pytest.raises(ValueError, match=r"role: 'mainframe': must be one of web, api, "):
            source.register.proposed("x", "mainframe")
        with pytest.raises(ServerRefused, match=r"id: 'web-01': is the last server of the fleet"):
            remove(source, "web-01")
        assert names(source) == ["web-01"]


def test_what_failures_left_behind_is_computed_again_for_another_machine_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    clock = Clock(MONDAY_MS + 1_000)
    with opened(tmp_path, clock) as source:
        assert source.incidents is not None
        source.incidents.inject("ddos", ["web-01", "web-02"], now_ms=MONDAY_MS - 600_000, id="a")
        source.maker.at(MONDAY_MS)
        remove(source, "web-01")
        put(source, "web-01", cores=64)
        put(source, "web-77")
        ticks = [source.maker.at(MONDAY_MS + tick * TICK_MS) for tick in range(1, 12)]
    with opened(tmp_path, clock) as fresh:  # knows nothing of before
        assert [without(tick) for tick in ticks] == [without(fresh.maker.at(tick.t_ms)) for tick in ticks]
