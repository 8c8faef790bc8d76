"""What is kept is told truly, by tier and family, while it grows and after it was sealed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.storage.census import Kept, tiers_of
from exporter.storage.layout import DAY_MS, RAW, TIERS
from exporter.storage.stats import Limits
from tests.storage.conftest import Open
from tests.storage.fleet import CPU, LOAD, REQUESTS, START_MS, STEP_MS, UP, Fleet

ROOT = str(Path(__file__).resolve().parents[2])


def families(kept: list[Kept], tier: str) -> dict[str, Kept]:
    return {each.family: each for each in kept if each.tier == tier}


@pytest.mark.parametrize("ticks", [1, 30, 500])
def test_every_sample_is_counted_once_whether_it_is_sealed_or_not(store_url: str, opened: Open, ticks: int) -> None:
    database = opened(store_url)
    Fleet().run(database, ticks)
    assert database.settle()
    found = families(database.kept(), "raw")
    assert found.keys() == {CPU.name, REQUESTS.name, LOAD.name, UP.name}
    for each in found.values():
        assert (each.series, each.samples) == (3, 3 * ticks)
        assert (each.oldest_ms, each.newest_ms) == (START_MS, START_MS + (ticks - 1) * STEP_MS)
        assert 0 < each.bytes_per_sample < 200
    assert sum(each.bytes for each in found.values()) <= database.stored_bytes() or store_url == "memory:"


def test_a_series_that_comes_and_goes_is_one_series(opened: Open) -> None:
    database = opened("memory:")
    fleet = Fleet(servers=("a", "b"))
    fleet.run(database, 10)
    fleet.servers = ("a", "b", "c")
    fleet.run(database, 10)
    fleet.servers = ("c",)
    fleet.run(database, 10)
    assert families(database.kept(), "raw")[CPU.name].series == 3


def test_a_restart_counts_what_earlier_runs_left(lasting_url: str, opened: Open) -> None:
    limits = Limits(retentions_ms={RAW: DAY_MS, TIERS[1]: 30 * DAY_MS})
    database = opened(lasting_url, limits=limits, interval_ms=60_000)
    fleet = Fleet()
    for _ in range(2 * 1440):
        fleet.run(database, 1)
        fleet.t_ms += 60_000 - STEP_MS
    assert database.settle()
    before = database.kept()
    database.close()
    again = opened(lasting_url, limits=limits)
    assert again.settle()
    unsealed = 12 * 30  # the last half hour's logs count when they are sealed
    assert sum(each.samples for each in again.kept()) == sum(each.samples for each in before) - unsealed
    minutes = families(again.kept(), "1m")[CPU.name]
    assert minutes.samples >= 3 * 1320
    assert {each.tier for each in tiers_of(again.kept())} == {"raw", "1m"}
    told: list[tuple[int, int]] = []
    reader = opened(lasting_url, limits=limits, tends=False)
    surveyed = reader.survey(lambda done, whole: told.append((done, whole)))
    assert [(each.tier, each.family, each.series, each.samples) for each in surveyed] == [
        (each.tier, each.family, each.series, each.samples) for each in before
    ]
    assert told[0][0] == 0


def test_the_command_tells_it_as_a_table_and_as_json(tmp_path: Path, opened: Open) -> None:
    url = f"sqlite:///{tmp_path}/data/samples.db"
    database = opened(url)
    Fleet().run(database, 200)
    database.close()
    command = [sys.executable, "-m", "exporter", "stats", "--storage.url", url]
    table, tree = (
        subprocess.run([*command, *more], cwd=tmp_path, env={"PYTHONPATH": ROOT}, capture_output=True, check=True)
        for more in ([], ["--json"])
    )
    assert f"raw   {CPU.name}" in table.stdout.decode()
    assert table.stdout.decode().splitlines()[0].split() == [
        *("tier", "family", "series", "samples", "bytes", "B/sample", "of", "raw", "oldest", "newest")
    ]
    said = json.loads(tree.stdout)
    assert [each["tier"] for each in said["tiers"]] == ["raw"]
    assert (said["tiers"][0]["series"], said["tiers"][0]["samples"]) == (12, 2400)
    assert said["storedBytes"] > said["tiers"][0]["bytes"]
    assert {each["family"] for each in said["families"]} == {CPU.name, REQUESTS.name, LOAD.name, UP.name}
    ratios = [each["ratioToRaw"] for each in said["families"]]
    assert ratios == [pytest.approx(each["bytesPerSample"] / 16, abs=1e-4) for each in said["families"]]
