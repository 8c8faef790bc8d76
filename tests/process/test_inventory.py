"""The exporter with its inventory in a real PostgreSQL: followed while it runs, missed by nobody while it is away."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.process.house import House, fetch, page, query, scratch, values
from tests.servers import Servers, connects, wait_until


def in_fleet(house: House) -> list[str]:
    """The servers that have samples now."""
    rows = query(f"{house.exporter_url}/api/prometheus", "count by (server) (openmanager_cpu_load_average_1m)")
    return [row["metric"]["server"] for row in rows]


def patched(house: House, server: str, **fields: Any) -> Any:
    return fetch(f"{house.exporter_url}/api/servers/{server}", method="PATCH", body=fields)


def test_servers_come_and_go_while_it_runs_and_stay_so_after_a_kill(servers: Servers) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"))
    flags = ("--inventory.url", servers.postgresql().url, "--failures.rate", "0")
    running = house.exporter(*flags)
    fetch(f"{house.exporter_url}/api/servers/web-77", method="PUT", body={"role": "web", "cores": 8})
    fetch_nothing(f"{house.exporter_url}/api/servers/db-01", "DELETE")
    wait_until(lambda: "web-77" in in_fleet(house) and "db-01" not in in_fleet(house), "the fleet to follow")
    running.kill()
    house.exporter(*flags)
    wait_until(lambda: "web-77" in in_fleet(house), "the next tick")
    assert "db-01" not in in_fleet(house) and len(in_fleet(house)) == 20


def test_a_database_that_stops_costs_no_tick_and_no_read_and_is_found_again(servers: Servers) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"))
    database = servers.postgresql()
    house.exporter("--inventory.url", database.url, "--failures.rate", "0")
    patched(house, "web-01", notes="before")
    database.interrupt()
    with pytest.raises(urllib.error.HTTPError) as refused:
        patched(house, "web-01", notes="lost")
    assert refused.value.code == 503
    assert "nothing has changed" in refused.value.read().decode()
    assert fetch(f"{house.exporter_url}/api/servers/web-01")["notes"] == "before"
    ticks = values(page(f"{house.exporter_url}/metrics"), "openmanager_exporter_job_runs_total")
    wait_until(
        lambda: ticks_of(house) > ticks['{job="unified-metrics-generation"}'] + 2, "ticks while the database is away"
    )
    assert values(page(f"{house.exporter_url}/metrics"), "openmanager_exporter_inventory_up") == {"": 0.0}
    assert isinstance(database.process.args, list)
    command = [str(word) for word in database.process.args]
    servers.start(command, database.port, lambda: connects(database.port), cwd=Path("/"))
    wait_until(lambda: accepted(house), "a change to be accepted again")
    assert fetch(f"{house.exporter_url}/api/servers/web-01")["notes"] == "after"


def ticks_of(house: House) -> float:
    runs = values(page(f"{house.exporter_url}/metrics"), "openmanager_exporter_job_runs_total")
    return runs['{job="unified-metrics-generation"}']


def accepted(house: House) -> bool:
    try:
        return bool(patched(house, "web-01", notes="after")["notes"] == "after")
    except urllib.error.HTTPError:
        return False


def fetch_nothing(url: str, method: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as response:
        assert response.status == 204
