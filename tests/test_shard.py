"""Exporters that share a fleet: every server in exactly one of them, and nothing is otherwise than in one of all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import Config, Fleet, Inventory
from exporter.model import Labels, Snapshot
from exporter.shard import WHOLE, Shard, parse_shard
from exporter.source import fleet_name, open_source

T_MS = 1_750_000_005_000


@given(st.lists(st.text(min_size=1), unique=True), st.integers(1, 20))
def test_every_server_is_in_exactly_one_shard(servers: list[str], count: int) -> None:
    shards = [Shard(number, count) for number in range(1, count + 1)]
    assert all(sum(shard.has(server) for shard in shards) == 1 for server in servers)


def test_shards_are_of_like_size_and_stay_when_the_fleet_grows() -> None:
    servers = [f"web-{number:02d}" for number in range(4000)]
    sizes = [sum(map(Shard(number, 8).has, servers)) for number in range(1, 9)]
    assert max(sizes) < 1.2 * min(sizes)
    assert [server for server in servers[:100] if Shard(2, 8).has(server)] == [
        server for server in servers if Shard(2, 8).has(server)
    ][: sum(map(Shard(2, 8).has, servers[:100]))]


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3", "-1/2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be i/n with 1 <= i <= n, such as 2/8"):
        parse_shard(text)


def test_no_shard_is_the_whole_fleet() -> None:
    assert parse_shard("") == WHOLE


def said(snapshot: Snapshot) -> dict[Labels, int]:
    return {
        column.index.labels(row): bits
        for column in snapshot.columns
        for row, bits in enumerate(np.ascontiguousarray(column.values).view(np.uint64).tolist())
    }


def test_shards_together_say_what_one_exporter_of_all_says(tmp_path: Path) -> None:
    def snapshot(shard: str) -> dict[Labels, int]:
        config = Config(shard=shard, inventory=Inventory(url=f"sqlite:///{tmp_path}/inventory.db"), fleet=Fleet())
        with open_source(config) as source:
            found = said(source.maker.at(T_MS))
            names = {dict(labels).get("server") for labels in found}
            assert names == set(source.register.servers())
            return found

    parts = [snapshot(f"{number}/3") for number in (1, 2, 3)]
    together = {labels: bits for part in parts for labels, bits in part.items()}
    assert len(together) == sum(map(len, parts))
    assert together == snapshot("")


def test_shards_on_one_store_are_kept_apart() -> None:
    names = [fleet_name(Config(shard=shard)) for shard in ("", "1/2", "2/2")]
    assert len(set(names)) == 3


def test_a_shard_without_servers_is_said_in_one_line(tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parents[1])
    command = [sys.executable, "-m", "exporter", "--fleet.servers", "1", "--web.listen-address", "127.0.0.1:0"]
    errors = [
        subprocess.run(
            [*command, "--shard", shard], cwd=tmp_path, env={"PYTHONPATH": root}, capture_output=True, check=False
        ).stderr.decode()
        for shard in ("9/9", "8/9", "10/9")
    ]
    assert "shard: '9/9': none of the 1 servers is in it" in "".join(errors[:2])
    assert "must be i/n" in errors[2]
