"""The page for scrapers, over HTTP and by a real Prometheus."""

from __future__ import annotations

import asyncio
import json
import urllib.request

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from exporter.model import Snapshot
from exporter.web.exposition import Format
from exporter.web.negotiation import accepts_gzip, page_format
from exporter.web.page import Page
from tests.servers import Servers, wait_until
from tests.web.fleet import FleetMaker
from tests.web.site import own_families, site

OM = "application/openmetrics-text"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "format_"),
    [
        ("", Format.TEXT),
        ("*/*", Format.TEXT),
        ("text/html,*/*;q=0.8", Format.TEXT),
        (OM, Format.OPENMETRICS),
        (f"{OM};version=1.0.0,text/plain;q=0.5", Format.OPENMETRICS),
        (f"{OM};version=1.0.0;q=0.2,text/plain;version=0.0.4;q=0.5", Format.TEXT),
        (f"{OM};q=0", Format.TEXT),
        (f"{OM};version=2.0.0", Format.TEXT),
        (f"{OM};q=nonsense", Format.TEXT),
        (PROMETHEUS_3, Format.OPENMETRICS),
    ],
)
def test_the_format_is_negotiated(accept: str, format_: Format) -> None:
    assert page_format(accept) is format_


@pytest.mark.parametrize(
    ("header", "accepted"),
    [("", False), ("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0", False), ("*", True), ("*;q=0", False),
     ("identity", False), ("GZIP", True), ("*, gzip;q=0", False)],
)  # fmt: skip
def test_the_encoding_is_negotiated(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


async def test_the_page_carries_both_the_fleet_and_the_process() -> None:
    async with site() as client:
        for path in ("/metrics", "/api/prometheus/metrics"):
            async with client.get(path, headers={"Accept": OM}) as response:
                body = await response.text()
                assert response.headers["Content-Type"] == Format.OPENMETRICS.value
                assert response.headers["Vary"] == "Accept, Accept-Encoding"
        assert "openmanager_cpu_usage_percent{" in body
        assert body.count("# EOF\n") == 1
        assert body.endswith("openmanager_exporter_up 1.0\n# EOF\n")


async def test_servers_and_families_are_chosen_by_the_url() -> None:
    async with site() as client:
        async with client.get("/metrics?server=web-01&server=db-01&name[]=openmanager_service_up") as response:
            lines = [line for line in (await response.text()).splitlines() if line[0] != "#"]
        assert lines == [f'openmanager_service_up{{server="{name}",service="nginx"}} 1' for name in ("db-01", "web-01")]
        async with client.get("/metrics?name[]=openmanager_http_request_latency_seconds_bucket") as response:
            assert "openmanager_http_request_latency_seconds_sum" in await response.text()


async def test_a_silent_server_fails_its_scrape() -> None:
    async with site() as client, client.get("/metrics?server=gone-01") as response:
        assert response.status == 503
        assert "gone-01" in await response.text()


class Counted:
    """Telemetry that counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self, page: Format) -> bytes:
        self.reads += 1
        return own_families(page)


async def test_a_page_is_made_once_per_tick_however_many_ask() -> None:
    maker, telemetry, now = FleetMaker(), Counted(), [0.0]
    latest: list[Snapshot] = [maker.at(1)]
    page = Page(lambda: latest[-1], telemetry, lambda: now[0], 15.0)
    application = web.Application()
    application.add_routes(page.routes())
    async with TestClient(TestServer(application)) as client:

        async def scrape() -> str:
            async with client.get("/metrics") as response:
                return await response.text()

        pages = await asyncio.gather(*(scrape() for _ in range(20)))
        assert len(set(pages)) == 1
        assert telemetry.reads == page.stats().renders == 1
        latest.append(maker.at(2))
        assert await scrape() != pages[0]
        assert telemetry.reads == 2
        now[0] = 14.9
        await scrape()
        assert telemetry.reads == 2
        now[0] = 15.1  # ticks stay away: what the process says of itself must not
        await scrape()
        assert telemetry.reads == 3


async def test_a_failed_render_is_tried_again() -> None:
    fails = [True]

    def telemetry(page: Format) -> bytes:
        if fails and fails.pop():
            raise RuntimeError("not now")
        return own_families(page)

    snapshot = FleetMaker().at(1)
    page = Page(lambda: snapshot, telemetry, lambda: 0.0)
    with pytest.raises(RuntimeError):
        await page.whole(snapshot, Format.TEXT, True)
    assert await page.whole(snapshot, Format.TEXT, True)


async def test_before_the_first_tick_a_scrape_fails() -> None:
    page = Page(lambda: None, own_families, lambda: 0.0)
    application = web.Application()
    application.add_routes(page.routes())
    async with TestClient(TestServer(application)) as client, client.get("/metrics") as response:
        assert response.status == 503


async def test_a_real_prometheus_scrapes_it_whole_and_by_discovery(servers: Servers) -> None:
    async with site() as client:
        port = client.port
        config = f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: whole
    metrics_path: /api/prometheus/metrics
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
  - job_name: each
    http_sd_configs: [{{url: "http://127.0.0.1:{port}/api/prometheus/sd", refresh_interval: 1s}}]
"""
        prometheus = await asyncio.to_thread(servers.prometheus, config, "--enable-feature=exemplar-storage")

        def answer(query: str) -> list[dict[str, dict[str, str]]]:
            with urllib.request.urlopen(f"{prometheus.url}/api/v1/query?query={query}", timeout=5) as response:
                found: list[dict[str, dict[str, str]]] = json.load(response)["data"]["result"]
                return found

        await asyncio.to_thread(wait_until, lambda: len(answer("up==1")) == 4, "four targets that are up", 30)
        assert {found["metric"]["instance"] for found in answer('up{job="each"}')} == {"api-01", "db-01", "web-01"}
        assert len(answer('openmanager_cpu_usage_percent{job="whole"}')) == 6
        assert len(answer('openmanager_cpu_usage_percent{job="each"}')) == 6
        assert answer("up==0") == []
