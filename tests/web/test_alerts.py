"""The alerter's alerts at the exporter."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.web.alerts import Alerts
from tests.web.site import site

FIRING = {
    "labels": {"alertname": "HighCPUUsage", "server": "web-01", "severity": "warning"},
    "annotations": {"summary": "High CPU usage on web-01"},
    "state": "firing",
    "activeAt": "2025-05-31T10:00:00Z",
    "value": "9.1e+01",
}


class Alerter:
    """Answers as an alerter does; `answer` can be changed."""

    def __init__(self) -> None:
        self.answer: Any = {"status": "success", "data": {"alerts": [FIRING]}}
        self.status = 200
        self.asked: list[str] = []

    async def answers(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        if isinstance(self.answer, str):
            return web.Response(text=self.answer, status=self.status)
        return web.json_response(self.answer, status=self.status)


@asynccontextmanager
async def alerting() -> AsyncIterator[tuple[Alerter, str]]:
    """A running alerter and its address, which has a path and credentials."""
    alerter = Alerter()
    application = web.Application()
    application.router.add_get("/base/api/v1/{what}", alerter.answers)
    async with TestServer(application) as server:
        yield alerter, f"http://user:hunter2@{server.host}:{server.port}/base"


@asynccontextmanager
async def asking(
    url: str, interval_s: float = 3600.0, monotonic: Callable[[], float] = time.monotonic
) -> AsyncIterator[Alerts]:
    """Alerts that ask in the background."""
    alerts = Alerts(url, monotonic, interval_s)
    context = alerts.context(web.Application())
    await anext(context)
    yield alerts
    with pytest.raises(StopAsyncIteration):
        await anext(context)


async def test_alerts_are_known_and_counted_per_server() -> None:
    async with alerting() as (alerter, url), asking(url) as alerts:
        alerter.answer["data"]["alerts"] = [FIRING, {**FIRING, "state": "pending"}, {**FIRING, "labels": {}}]
        await alerts.refresh()
        assert alerts.per_server() == {"web-01": 1, "": 1}
        assert alerts.active[0].as_json() == FIRING


async def test_listeners_hear_of_changes_only() -> None:
    async with alerting() as (alerter, url), asking(url) as alerts:
        await alerts.refresh()
        heard: list[int] = []
        alerts.on_change(lambda: heard.append(len(alerts.active)))
        await alerts.refresh()
        assert heard == []
        alerter.answer["data"]["alerts"] = []
        await alerts.refresh()
        assert heard == [0]


@pytest.mark.parametrize(
    ("answer", "status"),
    [("no JSON", 200), ({"status": "success"}, 200), ([], 200), ({"data": {"alerts": [1]}}, 200), ("gone", 500)],
)
async def test_an_alerter_that_says_nonsense_is_away(answer: object, status: int) -> None:
    async with alerting() as (alerter, url), asking(url) as alerts:
        await alerts.refresh()
        assert alerts.active
        alerter.answer, alerter.status = answer, status
        await alerts.refresh()
        assert alerts.active == ()
        assert alerts.away


async def test_no_password_is_shown_when_the_alerter_is_away() -> None:
    async with alerting() as (_, url):
        pass
    async with asking(url) as alerts:
        await alerts.refresh()
        assert alerts.away is not None
        assert "hunter2" not in alerts.away


async def test_an_absence_is_known_at_once_and_logged_once_when_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    clock = [0.0]
    caplog.set_level(logging.WARNING, "exporter.web.alerts")
    async with alerting() as (alerter, url), asking(url, monotonic=lambda: clock[0]) as alerts:

        async def lines_after(*times: float, status: int = 500) -> int:
            alerter.status = status
            for clock[0] in times:
                await alerts.refresh()
                assert (alerts.away is None) == (status == 200)
            return len(caplog.records)

        assert await lines_after(0.0, 29.0) == 0
        assert await lines_after(30.0, 31.0, 500.0) == 1
        assert await lines_after(599.0, status=200) == 1
        assert await lines_after(600.0, 629.0) == 1
        assert await lines_after(631.0, 640.0) == 2


async def test_it_asks_again_and_again_in_the_background() -> None:
    async with alerting() as (alerter, url), asking(url, 0.01) as alerts:
        changed = asyncio.Event()
        alerts.on_change(changed.set)
        for expected in ([FIRING], []):
            alerter.answer["data"]["alerts"] = expected
            await asyncio.wait_for(changed.wait(), 5)
            changed.clear()
            assert [alert.as_json() for alert in alerts.active] == expected


async def test_rules_and_alerts_pass_through_with_their_query() -> None:
    async with alerting() as (alerter, url), site(alerter_url=url) as client:
        base = "/api/prometheus/api/v1"
        async with client.get(f"{base}/alerts") as response:
            assert await response.json() == alerter.answer
        async with client.get(f"{base}/rules?type=alert&rule_name[]=A") as response:
            assert response.status == 200
        assert alerter.asked[-1].startswith("/base/api/v1/rules?type=alert&rule_name")
        alerter.answer, alerter.status = {"status": "error", "errorType": "bad_data", "error": "no such type"}, 400
        async with client.get(f"{base}/rules?type=x") as response:
            assert (response.status, (await response.json())["error"]) == (400, "no such type")


async def test_the_alerts_are_on_the_stream_and_in_the_unified_api() -> None:
    async with alerting() as (_, url), site(alerter_url=url) as client, client.ws_connect("/ws") as socket:
        await socket.receive_json()
        await socket.send_json({"type": "subscribe", "channels": ["alerts"]})
        message = await asyncio.wait_for(socket.receive_json(), 5)
        while not message["data"]["alerts"]:  # the first answer of the alerter may still be on its way
            message = await asyncio.wait_for(socket.receive_json(), 10)
        assert message["data"] == {"alerts": [FIRING], "alerter": {"up": True, "error": ""}}
        async with client.get("/api/unified-metrics") as response:
            servers = (await response.json())["data"]["servers"]
        assert [len(server["alerts"]) for server in servers] == [0, 0, 1]
