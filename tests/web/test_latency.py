"""The 99th percentile that the dashboard shows is the one a query gives."""

from __future__ import annotations

import pytest

from exporter.model import Snapshot
from exporter.simulation.fleet import make_fleet
from exporter.simulation.simulator import Simulator
from exporter.web.latency import Latency
from exporter.web.live import Live
from exporter.web.server import build
from tests.web.fleet import FleetMaker
from tests.web.site import Kept, parts, serving

QUERY = "histogram_quantile(0.99, sum by (server, le) (increase(openmanager_http_request_latency_seconds_bucket[16s])))"


async def test_it_is_what_histogram_quantile_says() -> None:
    simulator = Simulator(make_fleet(20), seed=3)
    snapshots = [simulator.at(1_750_000_005_000 + 15_000 * tick) for tick in range(2)]
    found: dict[str, float] = {}
    latency = Latency()
    for snapshot in snapshots:
        found = dict(latency.read(snapshot))
    kept = Kept(snapshots)
    async with serving(build(parts(Live(), kept))) as client:
        parameters = {"query": QUERY, "time": str(snapshots[-1].t_ms / 1000)}
        async with client.get("/api/prometheus/api/v1/query", params=parameters) as response:
            result = (await response.json())["data"]["result"]
    queried = {each["metric"]["server"]: float(each["value"][1]) for each in result if each["value"][1] != "NaN"}
    assert len(queried) > 5
    assert found == pytest.approx(queried)


def test_a_server_without_requests_and_a_first_tick_say_nothing() -> None:
    maker, latency = FleetMaker("web-01"), Latency()
    assert latency.read(maker.at(1)) == {}
    assert list(latency.read(maker.at(2))) == ["web-01"]
    assert latency.read(Snapshot(maker.at(3).t_ms, maker.at(2).columns)) == {}
