"""The exporter as its users meet it: start, memory, scrapes, ticks."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure, percentile
from benchmarks.process import METRICS, Exporter, exporter

CONNECTIONS = 4
SCRAPES_PER_CONNECTION = 500
STARTS = 5
REST_S = 46  # three ticks, an analysis


def figures() -> Iterator[Figure]:
    """Start, memory and scrapes of an exporter with the default fleet of 20 servers."""
    with tempfile.TemporaryDirectory() as folder:
        starts = [_started(Path(folder)) for _ in range(STARTS)]
        yield Figure(f"first /metrics answer after start (median of {STARTS})", statistics.median(starts), "s", 1.5)
        with exporter(Path(folder)) as running:
            yield from _scraped(running)
            yield from _at_rest(running)


def _started(folder: Path) -> float:
    with exporter(folder) as running:
        return running.first_page_s


def _scraped(running: Exporter) -> Iterator[Figure]:
    for encoding in ("identity", "gzip"):
        times = asyncio.run(scrapes(running.port, METRICS, encoding))
        name = f"/metrics, {CONNECTIONS} connections, {encoding}"
        yield Figure(f"{name}: median", statistics.median(times) * 1e3, "ms")
        yield Figure(f"{name}: p99", percentile(times, 99) * 1e3, "ms", 5.0)


def _at_rest(running: Exporter) -> Iterator[Figure]:
    before, started = running.cpu_s(), time.perf_counter()
    time.sleep(REST_S)
    used = (running.cpu_s() - before) / (time.perf_counter() - started)
    timers = json.loads(running.get("/api/system/timers"))["timers"]
    tick = next(timer for timer in timers if timer["name"] == "unified-metrics-generation")
    yield Figure("a tick of 20 servers (the last one)", tick["last_duration_s"] * 1e3, "ms", 20.0)
    yield Figure(f"processor over {REST_S} s of ticking", used * 100, "% of a core", 1.0)
    yield Figure("resident memory, 20 servers, after these scrapes", running.resident_mb(), "MB", 80.0)


async def scrapes(port: int, path: str, encoding: str) -> list[float]:
    """Seconds of each GET of a path, all connections together, kept alive."""
    runs = await asyncio.gather(*(_connection(port, path, encoding) for _ in range(CONNECTIONS)))
    return [seconds for run in runs for seconds in run]


async def _connection(port: int, path: str, encoding: str) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {encoding}\r\n\r\n".encode()
    times = []
    for _ in range(SCRAPES_PER_CONNECTION):
        started = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(_content_length(head))
        times.append(time.perf_counter() - started)
    writer.close()
    await writer.wait_closed()
    return times


def _content_length(head: bytes) -> int:
    status, *lines = head.decode("latin-1").lower().split("\r\n")
    if " 200 " not in status:
        raise RuntimeError(f"scrape failed: {status}")
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
