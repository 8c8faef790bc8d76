"""Clients of the stream that mean harm: neither a tick nor a scrape may notice them."""

from __future__ import annotations

import asyncio
import base64
import json
import statistics
import struct
import sys
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from exporter.web.live import Live
from exporter.web.server import Web, build
from tests.web.fleet import FleetMaker
from tests.web.site import Client, Kept, parts, serving

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\nSec-WebSocket-Version: 13\r\n"
)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


def framed(opcode: int, payload: bytes, first: int = 0x80) -> bytes:
    """A frame as clients send it, with a mask of zeros."""
    size = len(payload)
    head = struct.pack("!BB", 0x80 | size, 0)[:1] if size < 126 else struct.pack("!BQ", 0xFF, size)
    return bytes([first | opcode]) + head + bytes(4) + payload


def bomb() -> bytes:
    """10 MB of blanks, deflated to 10 kB."""
    deflate = zlib.compressobj(wbits=-15)
    return (deflate.compress(b" " * 10_000_000) + deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


async def sent(client: Client, data: bytes, extension: bytes = b"") -> bytes:
    """All that the exporter says to a client that sends this, until it closes the connection."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(HANDSHAKE + extension + b"\r\n" + data)
    try:
        said = await asyncio.wait_for(reader.read(), 15)
    except ConnectionError:
        said = b""
    writer.close()
    return said


@asynccontextmanager
async def room() -> AsyncIterator[tuple[Client, Web, Live, FleetMaker]]:
    """A room over 200 servers."""
    maker, live = FleetMaker(*(f"web-{i:03}" for i in range(200))), Live()
    live.publish(maker.at(1))
    web = build(parts(live, Kept()))
    async with serving(web) as client:
        yield client, web, live, maker


@pytest.mark.parametrize(
    ("data", "extension", "code"),
    [
        (framed(1, b"x" * 10_000_000), b"", 1009),
        (framed(1, bomb(), 0xC0), DEFLATE, 1009),
        (framed(3, b"reserved opcode"), b"", 1002),
        (framed(1, b"reserved bit", 0xA0), b"", 1002),
        (framed(1, b"\xff\xfe not UTF-8"), b"", 1007),
        (framed(9, b"x" * 200), b"", 1002),
        (framed(9, b"ping") * 3_000, b"", 1008),
        (framed(1, b"{}") * 3_000, b"", 1008),
    ],
    ids=["10 MB", "a bomb", "opcode", "bit", "text", "long ping", "ping flood", "flood"],
)
async def test_what_breaks_the_protocol_is_closed_with_its_code(data: bytes, extension: bytes, code: int) -> None:
    async with room() as (client, web, _, _):
        said = await sent(client, data, extension)
        assert said == b"" or struct.pack("!H", code) in said[-128:]
        async with asyncio.timeout(10):
            while web.stats().stream.connections:
                await asyncio.sleep(0.01)


# A process of its own, so that its work is not measured as the exporter's.
ATTACKS = """
import base64, contextlib, os, select, socket, struct, sys, threading, time
sys.path.insert(0, os.getcwd())
from tests.web.test_stream_hostile import DEFLATE, HANDSHAKE, bomb, framed
host, port, until = sys.argv[1], int(sys.argv[2]), time.monotonic() + 6
def attack(data, never_reads):
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=2) as s:
            s.sendall(HANDSHAKE + (b"" if never_reads else DEFLATE) + b"\\r\\n" + data)
            if never_reads:
                time.sleep(max(0, until - time.monotonic()))
            s.recv(1 << 16)
        time.sleep(0.02)
subscribe = framed(1, b'{"type":"subscribe","channels":["server-metrics","alerts","system-status"]}')
kinds = [(subscribe * 50, True)] * 20 + [
    (framed(1, b"x" * 10_000_000), False), (framed(1, bomb(), 0xC0), False), (os.urandom(10_000), False),
    (framed(9, b"ping") * 3000, False), (framed(1, b"{}") * 3000, False), (framed(1, b"part", 0x00) * 50, False)]
threads = [threading.Thread(target=attack, args=kind) for kind in kinds]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


async def test_twenty_six_attackers_at_once_move_neither_a_tick_nor_a_scrape() -> None:
    async with room() as (client, web, live, maker):
        quiet = await _times(client, live, maker, 20)
        attackers = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ATTACKS, str(client.host), str(client.port), cwd=Path.cwd()
        )
        async with asyncio.timeout(15):
            while not web.stats().stream.behind:  # until those that never read are behind
                live.publish(maker.at(2))
                await asyncio.sleep(0.01)
        under_attack = await _times(client, live, maker, 60)
        assert await asyncio.wait_for(attackers.wait(), 30) == 0
    worst = statistics.quantiles(under_attack, n=20)[-1]
    assert worst < max(0.25, 10 * statistics.median(quiet)), json.dumps([quiet, under_attack])


async def _times(client: Client, live: Live, maker: FleetMaker, rounds: int) -> list[float]:
    """Seconds of so many ticks, each with a scrape and the broadcast to one honest reader."""
    socket = await client.ws_connect("/ws")
    await socket.receive()
    await socket.send_json({"type": "subscribe", "channels": ["server-metrics"]})
    await _update(socket, 0)
    took = []
    for tick in range(3, 3 + rounds):
        started = time.perf_counter()
        live.publish(maker.at(tick))
        async with client.get("/metrics") as response:
            assert response.status == 200
            await response.read()
        await _update(socket, maker.at(tick).t_ms // 1000)
        took.append(time.perf_counter() - started)
        await asyncio.sleep(0.03)
    await socket.close()
    return took


async def _update(socket: ClientWebSocketResponse, tick: int) -> None:
    """Reads until the message of a tick, or of a later one, has come."""
    while True:
        message = await asyncio.wait_for(socket.receive(), 10)
        assert message.type is WSMsgType.TEXT
        if json.loads(message.data)["data"]["tick"] >= tick:
            return


@pytest.mark.parametrize("compress", [0, 15])
async def test_a_hundred_clients_get_every_tick_and_the_hundred_and_first_is_refused(compress: int) -> None:
    async with room() as (client, web, live, maker):
        sockets = [await client.ws_connect("/ws", compress=compress) for _ in range(100)]
        for socket in sockets:
            await socket.receive()
            await socket.send_json({"type": "subscribe", "channels": ["server-metrics"]})
            await _update(socket, 0)
        for tick in (2, 3, 4):
            live.publish(maker.at(tick))
            await asyncio.gather(*(_update(socket, maker.at(tick).t_ms // 1000) for socket in sockets))
        refused = await client.ws_connect("/ws", compress=compress)
        assert (await refused.receive()).data == 1013
        assert web.stats().stream.refused == 1
        await asyncio.gather(*(socket.close() for socket in sockets))
