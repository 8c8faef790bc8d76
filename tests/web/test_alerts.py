"""The alerter's alerts at the exporter."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.web.alert_details import limit_of
from exporter.web.alerter import Alerter
from exporter.web.alerts import Alerts
from tests.web.site import site

FIRING = {
    "labels": {"alertname": "HighCPUUsage", "server": "web-01", "severity": "warning"},
    "annotations": {"summary": "High CPU usage on web-01"},
    "state": "firing",
    "activeAt": "2025-05-31T10:00:00Z",
    "value": "9.1e+01",
}


class FakeAlerter:
    """Answers as an alerter does; `answer` can be changed."""

    def __init__(self) -> None:
        self.answer: Any = {"status": "success", "data": {"alerts": [FIRING]}}
        self.status = 200
        self.asked: list[str] = []
        self.others: dict[str, Any] = {}
        self.posted: list[Any] = []
        self.refusal = ""

    async def answers(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        if request.path != "/base/api/v1/alerts" and (other := self.others.get(request.path)) is not None:
            return web.json_response(other)
        if request.path.endswith("/history") or "/v2/" in request.path:
            return web.Response(status=404)
        if isinstance(self.answer, str):
            return web.Response(text=self.answer, status=self.status)
        return web.json_response(self.answer, status=self.status)

    async def silences(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        if self.refusal:
            return web.json_response(self.refusal, status=400)
        if request.method == "POST":
            self.posted.append(await request.json())
        return web.json_response({"silenceID": "1f0c"} if request.method == "POST" else {})


@asynccontextmanager
async def alerting() -> AsyncIterator[tuple[FakeAlerter, str]]:
    """A running alerter and its address, which has a path and credentials."""
    alerter = FakeAlerter()
    application = web.Application()
    application.router.add_get("/base/api/{version}/{what}", alerter.answers)
    application.router.add_post("/base/api/v2/silences", alerter.silences)
    application.router.add_delete("/base/api/v2/silence/{id}", alerter.silences)
    async with TestServer(application) as server:
        yield alerter, f"http://user:hunter2@{server.host}:{server.port}/base"


@asynccontextmanager
async def asking(
    url: str, interval_s: float = 3600.0, monotonic: Callable[[], float] = time.monotonic
) -> AsyncIterator[Alerts]:
    """Alerts that ask in the background."""
    alerter = Alerter(url)
    alerts = Alerts(alerter, monotonic, time.time, interval_s=interval_s)
    contexts = [alerter.context(web.Application()), alerts.context(web.Application())]
    for context in contexts:
        await anext(context)
    yield alerts
    for context in reversed(contexts):
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
        async with client.get(f"{base}/rules?type=record") as response:
            assert (response.status, (await response.json())["error"]) == (400, "no such type")


async def test_the_alerts_are_on_the_stream_and_in_the_unified_api() -> None:
    async with alerting() as (_, url), site(alerter_url=url) as client, client.ws_connect("/ws") as socket:
        await socket.receive_json()
        await socket.send_json({"type": "subscribe", "channels": ["alerts"]})
        message = await asyncio.wait_for(socket.receive_json(), 5)
        while not message["data"]["alerts"]:  # the first answer of the alerter may still be on its way
            message = await asyncio.wait_for(socket.receive_json(), 10)
        shown = {**FIRING, "limit": "", "silenced_by": []}
        assert message["data"]["alerts"] == [shown]
        assert message["data"]["alerter"] == {"up": True, "error": ""}
        async with client.get("/api/unified-metrics") as response:
            servers = (await response.json())["data"]["servers"]
        assert [len(server["alerts"]) for server in servers] == [0, 0, 1]


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("cpu > 80", "> 80"), ("80 < cpu", "> 80"), ("(cpu >= -0.5)", ">= -0.5"), ("up == 0", "== 0"),
        ("cpu > 80 and on (server) up == 1", "> 80"), ("cpu > 90 unless maintenance", "> 90"), ("cpu", ""),
        ("cpu > limit", ""), ("cpu > 80 or memory > 90", ""), ("cpu >", ""),
    ],
)  # fmt: skip
def test_the_limit_of_a_rule_is_the_number_its_value_is_held_against(query: str, limit: str) -> None:
    assert limit_of(query) == limit


SILENCE = {
    "id": "1f0c", "status": {"state": "active"}, "endsAt": "2025-05-31T12:00:00Z",
    "comment": "moving", "createdBy": "me",
    "matchers": [{"name": "server", "value": "web-.*", "isRegex": True},
                 {"name": "severity", "value": "critical", "isEqual": False}],
}  # fmt: skip


async def test_an_alert_comes_with_the_limit_of_its_rule_and_what_silences_it() -> None:
    async with alerting() as (alerter, url), site(alerter_url=url) as client, client.ws_connect("/ws") as socket:
        rule = {"name": "HighCPUUsage", "query": "cpu > 80", "type": "alerting"}
        step = {"time": "2025-05-31T09:59:00Z", "kind": "transition", "what": "resolved", "labels": {"server": "db-01"}}
        alerter.others = {
            "/base/api/v1/rules": {"data": {"groups": [{"rules": [rule]}]}},
            "/base/api/v2/silences": [SILENCE, {**SILENCE, "id": "gone", "status": {"state": "expired"}}],
            "/base/api/v1/history": {"data": [step, {**step, "kind": "delivery"}, {**step, "what": "firing"}]},
        }
        await socket.receive_json()
        await socket.send_json({"type": "subscribe", "channels": ["alerts"]})
        data: dict[str, Any] = {"alerts": [], "silences": []}
        while not (data["alerts"] and data["silences"]):
            data = (await asyncio.wait_for(socket.receive_json(), 10))["data"]
        (alert,) = data["alerts"]
        assert (alert["limit"], alert["silenced_by"]) == ("> 80", ["1f0c"])
        assert data["silences"][0]["matchers"] == ['server=~"web-.*"', 'severity!="critical"']
        assert [(each["labels"], each["state"]) for each in data["resolved"]] == [({"server": "db-01"}, "resolved")]


async def test_a_change_is_on_the_stream_within_a_second_while_somebody_looks() -> None:
    async with alerting() as (alerter, url), site(alerter_url=url) as client, client.ws_connect("/ws") as socket:
        await socket.receive_json()
        await socket.send_json({"type": "subscribe", "channels": ["alerts"]})
        message = await asyncio.wait_for(socket.receive_json(), 5)
        took = []
        for expected in ([], [FIRING], [], [FIRING], []):
            alerter.answer = {"status": "success", "data": {"alerts": expected}}
            changed = time.monotonic()
            while len(message["data"]["alerts"]) != len(expected):
                message = await asyncio.wait_for(socket.receive_json(), 10)
            took.append(time.monotonic() - changed)
        assert sorted(took)[2] < 1.0


async def test_nobody_looking_the_alerter_is_asked_seldom() -> None:
    async with alerting() as (alerter, url), asking(url):
        await asyncio.sleep(1.2)
        assert alerter.asked.count("/base/api/v1/alerts") == 1


async def test_a_silence_is_passed_through_and_a_refusal_told() -> None:
    async with alerting() as (alerter, url), site(alerter_url=url) as client:
        wish = {"matchers": [{"name": "server", "value": "web-01"}], "comment": "moving"}
        async with client.post("/api/silences", json=wish) as response:
            assert (response.status, await response.json()) == (200, {"silenceID": "1f0c"})
        assert alerter.posted == [wish]
        async with client.delete("/api/silences/1f0c") as response:
            assert response.status == 200
        assert "/base/api/v2/silence/1f0c" in alerter.asked
        alerter.refusal = "silence.createdBy in body is required"
        async with client.post("/api/silences", json={}) as response:
            said = (await response.json())["error"]
        assert (response.status, said["code"]) == (400, "alerter_refused")
        assert said["message"] == "the alerter says: silence.createdBy in body is required"
        async with client.delete("/api/silences/..%2f..%2fsecret") as response:
            assert response.status == 404
    async with site() as client, client.get("/api/silences") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (502, "alerter_away")


async def test_a_change_is_looked_into_twice_for_the_history_is_written_a_moment_later() -> None:
    async with alerting() as (alerter, url), asking(url) as alerts:
        await alerts.refresh()
        await alerts.refresh()
        alerter.answer["data"]["alerts"] = []
        await alerts.refresh()
        assert _resolved(alerts) == []
        step = {"time": "2025-05-31T09:59:00Z", "kind": "transition", "what": "resolved", "labels": {"server": "db-01"}}
        alerter.others = {"/base/api/v1/history": {"data": [step]}}
        await alerts.refresh()
        assert _resolved(alerts) == [{"server": "db-01"}]


def _resolved(alerts: Alerts) -> list[Mapping[str, str]]:
    return [each.labels for each in alerts.details.resolved]
