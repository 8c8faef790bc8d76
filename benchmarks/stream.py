"""The stream: how long a broadcast takes to the last of 100 clients, what it costs, how large it gets."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import orjson
import uvloop
from aiohttp import web

from benchmarks.figure import Figure, percentile
from exporter.simulation.fleet import make_fleet
from exporter.simulation.simulator import Simulator
from exporter.web.alerter import Alerter
from exporter.web.alerts import Alerts
from exporter.web.channels import Channels
from exporter.web.live import Live
from exporter.web.stream import Hub

CLIENTS, BROADCASTS = 100, 300
T0_MS = 1_750_000_005_000

# A process of its own, which only notes when the last of its sockets has got something: no client's work is measured.
LISTENING = """
import base64, json, os, selectors, socket, struct, sys, time
port, clients, quiet_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
hello = (f"GET /ws HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
  "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode() + "\\r\\nSec-WebSocket-Version: 13\\r\\n"
  "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\\r\\n\\r\\n").encode()
wish = b'{"type":"subscribe","channels":["server-metrics"]}'
ready = selectors.DefaultSelector()
for _ in range(clients):
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(hello)
    assert b"101" in s.recv(65536)
    s.sendall(bytes([0x81, 0x80 | len(wish), 0, 0, 0, 0]) + wish)
    s.setblocking(False)
    ready.register(s, selectors.EVENT_READ)
time.sleep(0.5)
print("ready", flush=True)
bursts, seen, last = [], set(), 0.0
while True:
    events = ready.select(timeout=quiet_s)
    now = time.monotonic()
    if not events and seen:
        bursts.append([last, len(seen)])
        seen = set()
    over = False
    for key, _ in events:
        data = key.fileobj.recv(1 << 20)
        over = over or not data
        seen.add(key.fd)
    last = now if events else last
    if over:
        break
print(json.dumps(bursts))
"""


def figures() -> Iterator[Figure]:
    """20 servers to 100 clients with permessage-deflate; then what 20,000 servers make of it."""
    for servers, times, pause_s in ((20, BROADCASTS, 0.04), (1_000, 60, 0.3), (20_000, 10, 0.3)):
        loop = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        with loop:
            took_ms, cpu_ms, kb = loop.run(_broadcast(servers, times, pause_s))
        name = f"broadcast of {servers} servers to the last of {CLIENTS} clients"
        yield Figure(f"{name}: median", statistics.median(took_ms), "ms", 5.0 if servers == 20 else None)
        yield Figure(f"{name}: p99", percentile(took_ms, 99), "ms", 25.0 if servers == 20 else None)
        yield Figure(f"processor for a broadcast of {servers} servers", cpu_ms, "ms", 2.0 if servers == 20 else None)
        yield Figure(f"a message of {servers} servers, before it is deflated", kb, "kB")


async def _broadcast(servers: int, times: int, pause_s: float) -> tuple[list[float], float, float]:
    """Milliseconds until the last client has it, processor milliseconds each, kilobytes of a message."""
    simulator, live = Simulator(make_fleet(servers), seed=1), Live()
    alerts = Alerts(Alerter("http://127.0.0.1:9"), time.monotonic, time.time)
    channels = Channels(live, alerts, status=dict, analysis=lambda: None)
    source = {"server-metrics": channels.server_metrics}
    hub = Hub(source, now=time.time, monotonic=time.monotonic, tick_s=15, interval_s=3600)
    application = web.Application()
    application.add_routes(hub.routes())
    application.cleanup_ctx.append(hub.context)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    live.publish(simulator.at(T0_MS))
    await site.start()
    port = runner.addresses[0][1]
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LISTENING, str(port), str(CLIENTS), str(pause_s * 0.4)), stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"ready\n"
    started, cpu_s = [], 0.0
    for tick in range(1, times + 1):
        live.publish(simulator.at(T0_MS + 15_000 * tick))
        cpu = time.process_time()
        started.append(time.monotonic())
        hub.publish("server-metrics")
        await asyncio.sleep(pause_s)
        cpu_s += time.process_time() - cpu
    message = len(orjson.dumps(channels.server_metrics()))
    await runner.cleanup()
    bursts = json.loads(await child.stdout.read())[-times - 1 :]
    await child.wait()
    return _matched(started, bursts), cpu_s / times * 1e3, message / 1e3


def _matched(started: list[float], bursts: list[list[float]]) -> list[float]:
    """Milliseconds from each start to the end of the burst that follows it, which must have reached every client."""
    found = []
    for at, following in zip(started, [*started[1:], float("inf")], strict=True):
        ends = [(end, reached) for end, reached in bursts if at <= end < following]
        if not ends or ends[-1][1] != CLIENTS:
            continue
        found.append((ends[-1][0] - at) * 1e3)
    if len(found) < 0.9 * len(started):
        raise RuntimeError(f"only {len(found)} of {len(started)} broadcasts could be told apart")
    return found
