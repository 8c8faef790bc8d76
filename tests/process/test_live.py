"""The stream and the page beside the real alerter."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp

from tests.process.house import House, fetch, scratch
from tests.servers import Servers

RULES = """
groups:
  - name: quick
    interval: 1s
    rules:
      - alert: MemoryInUse
        expr: openmanager_memory_usage_percent{server="web-01"} > 0
        labels: {severity: critical}
        annotations: {summary: "memory of {{ $labels.server }}"}
"""
SILENCE = {
    "matchers": [{"name": "server", "value": "web-01", "isEqual": True, "isRegex": False}],
    "startsAt": "2020-01-01T00:00:00Z",
    "endsAt": "2100-01-01T00:00:00Z",
    "createdBy": "a test",
    "comment": "moving",
}


async def _alerts(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """The next data of the channel."""
    while True:
        message = await asyncio.wait_for(socket.receive_json(), 20)
        if message.get("channel") == "alerts":
            return message["data"]


async def _firing(session: aiohttp.ClientSession, house: House) -> float:
    """When the alerter itself first says that an alert fires."""
    while True:
        async with session.get(f"{house.alerter_url}/api/v1/alerts") as response:
            alerts = (await response.json())["data"]["alerts"]
        if any(alert["state"] == "firing" for alert in alerts):
            return time.monotonic()
        await asyncio.sleep(0.02)


async def test_an_alert_is_on_the_stream_soon_after_the_alerters_word_and_can_be_silenced(
    servers: Servers,
) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"))
    house.exporter()
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{house.exporter_url}/ws") as socket:
        await socket.receive_json()
        await socket.send_json({"type": "subscribe", "channels": ["alerts"]})
        house.alerter(RULES)
        known = asyncio.create_task(_firing(session, house))
        data = await _alerts(socket)
        while not (data["alerts"] and data["alerts"][0]["state"] == "firing"):
            data = await _alerts(socket)
        late_s = time.monotonic() - await known
        assert late_s < 2.0  # a second, and what a loaded machine adds
        (alert,) = data["alerts"]
        assert (alert["labels"]["alertname"], alert["silenced_by"]) == ("MemoryInUse", [])

        added = fetch(f"{house.exporter_url}/api/silences", method="POST", body=SILENCE)["silenceID"]
        while not data["alerts"] or not data["alerts"][0]["silenced_by"]:
            data = await _alerts(socket)
        assert (data["alerts"][0]["limit"], data["alerts"][0]["silenced_by"]) == ("> 0", [added])
        assert [silence["comment"] for silence in data["silences"]] == ["moving"]
        assert fetch(f"{house.alerter_url}/api/v2/silences")[0]["id"] == added
