"""Pages of single servers that come late, cut off, as an error or not at all, on real sockets."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from exporter.web.scrape_faults import PageFault
from tests.web.site import site

PAGE = "/api/prometheus/metrics?server=web-01"


def only_web_01(fault: PageFault) -> object:
    return lambda server, t_ms: fault if server == "web-01" else None


async def test_a_failing_agent_answers_503_for_its_server_only() -> None:
    async with site(page_fault=only_web_01(PageFault(failing=True))) as client:
        async with client.get(PAGE) as response:
            assert (response.status, await response.text()) == (503, "the agent of this server fails\n")
        for path in ("/metrics", "/metrics?server=db-01", "/metrics?server=db-01&server=web-01"):
            async with client.get(path) as response:
                assert response.status == 200


async def test_a_server_that_is_off_answers_nothing() -> None:
    async with site(page_fault=only_web_01(PageFault(closed=True))) as client:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await client.get(PAGE)


async def test_a_page_that_is_cut_off_promises_more_than_it_brings() -> None:
    plain = {"Accept-Encoding": "identity"}
    async with site() as client, client.get(PAGE, headers=plain) as response:
        whole = await response.read()
    async with site(page_fault=only_web_01(PageFault(part=0.5))) as client, client.get(PAGE, headers=plain) as response:
        assert response.content_length == len(whole)
        got = b""
        with pytest.raises(aiohttp.ClientPayloadError):
            while True:
                got += await response.content.readany() or b""
        assert whole.startswith(got) and len(got) == len(whole) // 2


async def test_a_slow_page_comes_whole_and_delays_no_other() -> None:
    async with site(page_fault=only_web_01(PageFault(delay_s=1.0))) as client:
        started = time.monotonic()
        slow = asyncio.create_task(client.get(PAGE).__aenter__())
        async with client.get("/metrics?server=db-01") as response:
            assert response.status == 200 and not slow.done()
        response = await slow
        assert response.status == 200 and b"web-01" in await response.read()
        assert time.monotonic() - started >= 1.0
