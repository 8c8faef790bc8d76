"""The WebSocket hub, with real connections."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError, web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from exporter.access import Access
from exporter.web.frames import Message, frame
from exporter.web.live import Live
from exporter.web.server import build
from exporter.web.stream import Hub
from tests.web.fleet import FleetMaker
from tests.web.site import Client, Kept, parts, serving, site

CHANNELS = ["server-metrics", "system-status", "ai-analysis", "alerts"]


async def heard(socket: ClientWebSocketResponse) -> Any:
    """The next message."""
    return await asyncio.wait_for(socket.receive_json(), 5)


async def subscribed(client: Client, *channels: str, compress: int = 0) -> ClientWebSocketResponse:
    """A connection past hello that wants these channels."""
    socket = await client.ws_connect("/ws", compress=compress)
    assert (await heard(socket))["type"] == "hello"
    await socket.send_json({"type": "subscribe", "channels": list(channels)})
    return socket


async def test_hello_tells_the_protocol_then_comes_a_snapshot_of_each_channel() -> None:
    async with site() as client, client.ws_connect("/ws") as socket:
        assert await heard(socket) == {"type": "hello", "protocol": 1, "channels": CHANNELS, "tick": 15.0}
        await socket.send_json({"type": "subscribe", "channels": ["server-metrics", "alerts"]})
        metrics, alerts = await heard(socket), await heard(socket)
        assert (metrics["type"], metrics["channel"], metrics["seq"]) == ("snapshot", "server-metrics", 0)
        assert metrics["timestamp"] == "2025-05-31T10:00:45Z"
        server = metrics["data"]["servers"][0]
        wanted = {"id": "api-01", "cpu": 40.0, "memory": 50.0, "disk": 30.0, "network": {"in": 67, "out": 67},
                  "status": "healthy", "alerts": 0}  # fmt: skip
        assert wanted.items() <= server.items()
        summary = {"total_servers": 3, "healthy": 3, "warning": 0, "critical": 0, "avg_cpu": 40.0, "avg_memory": 50.0}
        assert summary.items() <= metrics["data"]["summary"].items()
        assert alerts["data"]["alerts"] == []


@pytest.mark.parametrize("compress", [0, 9, 15])
async def test_every_tick_is_broadcast_with_the_next_number(compress: int) -> None:
    maker, live = FleetMaker(), Live()
    live.publish(maker.at(1))
    async with serving(build(parts(live, Kept()))) as client:
        socket = await subscribed(client, "server-metrics", compress=compress)
        assert (await heard(socket))["seq"] == 0
        for tick in (2, 3, 4):
            live.publish(maker.at(tick, web_01={"cpu_usage_percent": 90 + tick}))
            message = await heard(socket)
            assert (message["type"], message["seq"]) == ("update", tick - 1)
            assert message["data"]["servers"][2]["cpu"] == 90 + tick
            assert message["data"]["servers"][2]["status"] == "critical"


async def test_a_second_client_on_other_terms_gets_the_same_broadcast() -> None:
    maker, live = FleetMaker(), Live()
    live.publish(maker.at(1))
    async with serving(build(parts(live, Kept()))) as client:
        sockets = [await subscribed(client, "server-metrics", compress=bits) for bits in (0, 15, 15, 9)]
        for socket in sockets:
            await heard(socket)
        live.publish(maker.at(2))
        messages = [await heard(socket) for socket in sockets]
        assert all(message == messages[0] for message in messages)


async def test_who_unsubscribes_hears_no_more() -> None:
    maker, live = FleetMaker(), Live()
    live.publish(maker.at(1))
    async with serving(build(parts(live, Kept()))) as client:
        socket = await subscribed(client, "server-metrics")
        await heard(socket)
        await socket.send_json({"type": "unsubscribe", "channels": ["server-metrics"]})
        await socket.send_json({"type": "subscribe", "channels": ["system-status"]})
        assert (await heard(socket))["channel"] == "system-status"
        live.publish(maker.at(2))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.receive(), 0.2)


@pytest.mark.parametrize(
    "said",
    ["x", "[]", "{}", '{"type":"subscribe"}', '{"type":"subscribe","channels":[1]}', '{"type":1,"channels":[]}',
     '{"type":"shout","channels":["alerts"]}', '{"type":"subscribe","channels":["nothing"]}',
     '{"type":"subscribe","channels":[],"more":1}', "\ud83d\ude00"],
)  # fmt: skip
async def test_a_malformed_message_gets_an_error_and_the_connection_stays(said: str) -> None:
    async with site() as client, client.ws_connect("/ws") as socket:
        await heard(socket)
        await socket.send_bytes(said.encode("utf-8", "surrogatepass"))
        error = await heard(socket)
        assert (error["type"], error["code"]) == ("error", "bad_message")
        await socket.send_json({"type": "subscribe", "channels": ["alerts"]})
        assert (await heard(socket))["channel"] == "alerts"


async def test_an_oversized_message_closes_the_connection() -> None:
    async with site() as client, client.ws_connect("/ws") as socket:
        await heard(socket)
        await socket.send_str("x" * (1 << 20))
        closed = await asyncio.wait_for(socket.receive(), 5)
        assert closed.type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING)
        assert socket.close_code == 1009


async def test_a_flood_closes_the_connection() -> None:
    async with site() as client, client.ws_connect("/ws") as socket:
        with contextlib.suppress(ConnectionError):
            for _ in range(500):
                await socket.send_str('{"type":"unsubscribe","channels":[]}')
        while (message := await asyncio.wait_for(socket.receive(), 5)).type is WSMsgType.TEXT:
            pass
        assert message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING)
        assert socket.close_code == 1008


async def test_the_hundred_and_first_connection_is_refused_with_1013() -> None:
    async with site() as client:
        sockets = [await client.ws_connect("/ws") for _ in range(100)]
        refused = await client.ws_connect("/ws")
        closed = await asyncio.wait_for(refused.receive(), 5)
        assert (closed.type, closed.data) == (WSMsgType.CLOSE, 1013)
        await sockets.pop().close()
        await asyncio.sleep(0)
        async with client.ws_connect("/ws") as welcome:
            assert (await heard(welcome))["type"] == "hello"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("http://evil.example", False), ("null", False), ("http://{host}", True), ("https://{host}", True)],
)
async def test_only_our_own_pages_may_connect(origin: str, allowed: bool) -> None:
    async with site() as client:
        headers = {"Origin": origin.format(host=f"{client.host}:{client.port}")}
        if allowed:
            async with client.ws_connect("/ws", headers=headers) as socket:
                assert (await heard(socket))["type"] == "hello"
        else:
            with pytest.raises(WSServerHandshakeError, match="403"):
                await client.ws_connect("/ws", headers=headers)


async def test_a_reader_that_does_not_read_holds_little_and_gets_the_latest() -> None:
    maker, live = FleetMaker(*(f"web-{i:03}" for i in range(200))), Live()
    live.publish(maker.at(1))
    room = build(parts(live, Kept()))
    async with serving(room) as client:
        reader, writer = await asyncio.open_connection(client.host, client.port, limit=1024)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.write(masked(b'{"type":"subscribe","channels":["server-metrics"]}'))
        async with asyncio.timeout(10):
            while not room.stats().stream.messages:  # until it has its snapshot
                await asyncio.sleep(0.01)
        for tick in range(2, 400):
            live.publish(maker.at(tick))
            if tick % 20 == 0:
                await asyncio.sleep(0)
        stats = room.stats().stream
        assert stats.behind == 1
        assert stats.skipped > 200
        seqs, tail = {0}, b""
        async with asyncio.timeout(20):
            while max(seqs) < 398 and (chunk := await reader.read(1 << 20)):  # more where the hub's own 5 s passed
                seqs.update(map(int, re.findall(rb'"seq":([0-9]+)[,}]', tail + chunk)))
                tail = chunk[-20:]
        assert max(seqs) >= 398
        assert 390 not in seqs
        writer.close()


def masked(payload: bytes) -> bytes:
    """A short text frame as clients send it, with a mask of zeros."""
    return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload


@given(st.binary(max_size=70_000))
def test_a_frame_says_how_long_its_payload_is(payload: bytes) -> None:
    made = frame(payload)
    head = {126: 4, 127: 10}.get(made[1], 2)
    size = int.from_bytes(made[2:head], "big") if head > 2 else made[1]
    assert (size, made[head:]) == (len(payload), payload)


def test_a_frame_is_made_once_for_all_who_agree_on_the_window() -> None:
    message = Message(b"x" * 1000)
    assert message.frame(15) is message.frame(15)
    assert len(message.frame(15)) < 50 < len(message.frame(0))


@asynccontextmanager
async def hub_with(source: Callable[[], object], **options: object) -> AsyncIterator[tuple[Hub, Client]]:
    """A hub of its own with one channel."""
    usual = {"tick_s": 15.0, "now": time.time, "monotonic": time.monotonic, **options}
    hub = Hub({"news": source}, **usual)  # type: ignore[arg-type]  # the table above is typed by its names
    application = web.Application()
    application.add_routes(hub.routes())
    application.cleanup_ctx.append(hub.context)
    async with TestClient(TestServer(application)) as client:
        yield hub, client


async def test_every_channel_is_broadcast_every_so_often() -> None:
    count = itertools.count()
    async with hub_with(lambda: next(count), interval_s=0.02) as (_, client):
        socket = await subscribed(client, "news")
        messages = [await heard(socket) for _ in range(4)]
        assert [message["seq"] for message in messages] == [0, 1, 2, 3]
        assert [message["data"] for message in messages] == [0, 1, 2, 3]


async def test_a_channel_with_nothing_to_say_is_silent_until_it_has() -> None:
    said: list[int] = []
    async with hub_with(lambda: said or None, interval_s=3600) as (hub, client):
        socket = await subscribed(client, "news")
        await socket.send_json({"type": "subscribe", "channels": ["news"]})
        hub.publish("news")
        said.append(7)
        async with asyncio.timeout(10):
            while not hub.stats().messages:
                hub.publish("news")
                await asyncio.sleep(0.01)
        message = await heard(socket)
        assert message["data"] == [7]


async def test_a_source_that_fails_does_not_end_the_broadcasts() -> None:
    count = itertools.count()
    async with hub_with(lambda: 1 // (next(count) % 2), interval_s=0.02) as (_, client):
        socket = await subscribed(client, "news")
        assert [(await heard(socket))["data"] for _ in range(3)] == [1, 1, 1]


async def test_who_never_reads_is_cut_off_in_the_end() -> None:
    now, maker, live = [0.0], FleetMaker(*(f"web-{i:03}" for i in range(200))), Live()
    live.publish(maker.at(1))
    room = build(parts(live, Kept(), monotonic=lambda: now[0]))
    async with serving(room) as client:
        _, writer = await asyncio.open_connection(client.host, client.port, limit=1024)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        writer.write(masked(b'{"type":"subscribe","channels":["server-metrics"]}'))
        async with asyncio.timeout(20):
            while not room.stats().stream.connections:
                await asyncio.sleep(0)
            while room.stats().stream.connections:
                now[0] += 10
                for _ in range(20):
                    live.publish(maker.at(2))
                await asyncio.sleep(0.1)
        writer.close()


async def test_who_wants_nothing_for_a_minute_is_let_go_and_who_wants_something_stays() -> None:
    now = [0.0]
    async with hub_with(lambda: 1, interval_s=3600, monotonic=lambda: now[0]) as (hub, client):
        listener = await subscribed(client, "news")
        async with client.ws_connect("/ws") as idle:
            await heard(idle)
            now[0] = 61.0
            closed = await asyncio.wait_for(idle.receive(), 10)
            assert (closed.type, closed.data, closed.extra) == (WSMsgType.CLOSE, 1008, "no subscription")
        hub.publish("news")
        assert [(await heard(listener))["seq"] for _ in range(2)] == [0, 1]


async def test_a_snapshot_is_made_once_for_all_who_come_between_two_broadcasts() -> None:
    count = itertools.count()
    async with hub_with(lambda: next(count), interval_s=3600) as (hub, client):
        sockets = [await subscribed(client, "news") for _ in range(5)]
        assert [(await heard(socket))["data"] for socket in sockets] == [0] * 5
        hub.publish("news")
        assert [(await heard(socket))["data"] for socket in sockets] == [1] * 5
        late = await subscribed(client, "news")
        assert (await heard(late))["data"] == 1


async def test_of_a_large_fleet_the_worst_servers_are_told_and_how_many_are_left_out() -> None:
    maker, live = FleetMaker(*(f"web-{i:05}" for i in range(3_000))), Live()
    live.publish(maker.at(1, web_02999={"cpu_usage_percent": 97}))
    async with serving(build(parts(live, Kept()))) as client:
        socket = await client.ws_connect("/ws", max_msg_size=0)
        await heard(socket)
        await socket.send_json({"type": "subscribe", "channels": ["server-metrics"]})
        text = await asyncio.wait_for(socket.receive_str(), 10)
    data = orjson.loads(text)["data"]
    assert (len(data["servers"]), data["omitted"], data["summary"]["total_servers"]) == (1_000, 2_000, 3_000)
    assert (data["servers"][0]["id"], data["servers"][0]["status"]) == ("web-02999", "critical")
    assert len(text) < 400_000


async def test_where_users_are_needed_the_stream_needs_one_too() -> None:
    access = Access(users={"ana": "hash"}, tokens={"ci": "t0k"})
    async with site(access=access, verify=lambda password, _: password == "pw") as client:
        with pytest.raises(WSServerHandshakeError, match="401"):
            await client.ws_connect("/ws")
        for word in (f"Basic {base64.b64encode(b'ana:pw').decode()}", "Bearer t0k"):
            async with client.ws_connect("/ws", headers={"Authorization": word}) as socket:
                assert (await heard(socket))["type"] == "hello"
