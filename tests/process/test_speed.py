"""Simulated time that runs faster than the real one until it has caught up."""

from __future__ import annotations

import time
from itertools import pairwise
from urllib.parse import urlencode

from tests.process.house import House, fetch, scratch
from tests.servers import Servers, wait_until

ONE = 'openmanager_memory_used_bytes{server="web-01"}'


def times(house: House) -> list[float]:
    """When there are samples, of the last hour."""
    question = urlencode({"query": f"{ONE}[1h]", "time": str(time.time())})
    result = fetch(f"{house.exporter_url}/api/prometheus/api/v1/query?{question}")["data"]["result"]
    return [float(t) for t, _ in result[0]["values"]] if result else []


def test_it_fills_the_past_without_a_gap_and_goes_on_in_real_time_without_a_seam(servers: Servers) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"), interval="5s")
    started = time.time()
    running = house.exporter("--speed", "120", "--start-behind", "20m")
    wait_until(lambda: len(times(house)) > 3 and times(house)[-1] > started, "real time", timeout_s=60)
    caught_up = times(house)
    wait_until(lambda: len(times(house)) >= len(caught_up) + 2, "two ticks in real time")
    seen = times(house)
    assert seen[0] <= started - 1195 and seen[-1] <= time.time()
    assert {round(later - before, 3) for before, later in pairwise(seen)} == {5.0}
    assert "failed" not in running.output()
    running.kill()
    house.exporter()  # the same fleet, at the usual speed
    wait_until(lambda: times(house)[-1] > seen[-1], "a tick of the second start")
