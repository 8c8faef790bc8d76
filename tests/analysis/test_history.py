"""The stored past, read back as snapshots."""

from __future__ import annotations

import random

import numpy as np

from exporter.analysis.analyst import Analyst
from exporter.analysis.history import snapshots, warm_up
from exporter.analysis.incidents import PERSISTS_S
from exporter.analysis.servers import Readings
from exporter.model import Snapshot
from exporter.storage.database import Database
from exporter.storage.memory import MemoryStore
from exporter.web.live import Live
from tests.web.fleet import T0_MS, FleetMaker


def past(ticks: int, rng: random.Random) -> list[Snapshot]:
    """A quiet past in which one server is away for a while."""
    both, alone = FleetMaker("api-01", "web-01"), FleetMaker("api-01")
    usual = {"cpu_usage_percent": 40.0}
    return [
        (alone if 20 <= tick < 30 else both).at(
            tick, api_01={"cpu_usage_percent": 40 + rng.gauss(0, 2)}, **({} if 20 <= tick < 30 else {"web_01": usual})
        )
        for tick in range(1, ticks + 1)
    ]


def kept(made: list[Snapshot]) -> Database:
    database = Database(MemoryStore(), interval_ms=15_000)
    for snapshot in made:
        database.append(snapshot)
    return database


def test_the_stored_past_reads_as_it_was_told() -> None:
    made = past(200, random.Random(1))
    told, read = Readings(), Readings()
    again = list(snapshots(kept(made), T0_MS, T0_MS + 10**9))
    assert [snapshot.t_ms for snapshot in again] == [snapshot.t_ms for snapshot in made]
    for before, after in zip(made, again, strict=True):
        assert repr(read.read(after)) == repr(told.read(before))


def test_an_analyst_that_was_warmed_up_knows_what_is_usual_at_its_first_tick() -> None:
    rng = random.Random(2)
    made, live, analyst = past(1000, rng), Live(), Analyst()
    assert warm_up(analyst, kept(made), made[-1].t_ms + 1) == 1000
    maker = FleetMaker("api-01", "web-01")
    for tick in range(1001, 1003 + round(PERSISTS_S / 15)):
        snapshot = maker.at(tick, api_01={"cpu_usage_percent": 85.0}, web_01={"cpu_usage_percent": 40.0})
        live.publish(snapshot)
        analyst.observe(snapshot, live.fleet())
    assert [incident.root.server for incident in analyst.incidents()] == ["api-01"]


def test_only_the_last_hours_are_read_and_only_while_it_goes_on() -> None:
    made = past(300, random.Random(3))
    database, end_ms = kept(made), made[-1].t_ms + 1
    assert warm_up(Analyst(), database, end_ms, past_ms=15_000 * 100) == 100
    assert warm_up(Analyst(), database, end_ms, going_on=lambda: False) == 0


def test_there_may_be_no_past() -> None:
    assert warm_up(Analyst(), kept([]), T0_MS) == 0


def test_samples_that_are_no_numbers_were_not_said() -> None:
    snapshot = FleetMaker("web-01").at(1, web_01={"cpu_usage_percent": float("nan")})
    (again,) = snapshots(kept([snapshot]), T0_MS, T0_MS + 10**6)
    assert "openmanager_cpu_usage_percent" not in {column.index.metric for column in again.columns}
    assert all(not np.isnan(column.values).any() for column in again.columns)
