"""Heavy queries, all at once, and the scrapes that must not notice."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import orjson

from exporter.model import Family, Labels, Matcher, SeriesSet, make_labels
from exporter.promql.engine import Engine
from tests.web.fleet import T0_MS
from tests.web.site import site

QUERIES = 64
SERIES, TICKS = 1_000, 1_440
NOW = T0_MS // 1000 + 45

# Processes of their own, so that their work is not measured as the exporter's.
ASKING = """
import sys, threading, urllib.parse, urllib.request
def ask(url, statuses):
    with urllib.request.urlopen(url, timeout=300) as response:
        size = 0
        while part := response.read(1 << 20):
            size += len(part)
        statuses.append((response.status, size > 100_000))
statuses, threads = [], []
for number in range(int(sys.argv[2])):
    query = urllib.parse.quote(f"rate(big_total[{number + 5}m])")
    threads.append(threading.Thread(target=ask, args=(sys.argv[1] + "&query=" + query, statuses)))
for thread in threads: thread.start()
for thread in threads: thread.join()
print(statuses.count((200, True)))
"""
SCRAPING = """
import json, select, sys, time, urllib.request
took = []
while not select.select([sys.stdin], [], [], 0.02)[0]:
    began = time.perf_counter()
    with urllib.request.urlopen(urllib.request.Request(sys.argv[1], headers={"Accept-Encoding": "gzip"})) as response:
        assert response.status == 200 and len(response.read()) > 500
    took.append(time.perf_counter() - began)
print(json.dumps(took))
"""


class Big:
    """Six hours of a thousand counters."""

    def __init__(self) -> None:
        self.t_ms = T0_MS + 45_000 + 15_000 * (np.arange(TICKS, dtype=np.int64) - TICKS + 1)
        self.values = np.random.default_rng(1).uniform(0, 9, (SERIES, TICKS)).cumsum(axis=1)
        self.labels = [make_labels({"__name__": "big_total", "instance": f"host-{i:04}"}) for i in range(SERIES)]

    def select(self, _matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesSet]:
        begin, end = np.searchsorted(self.t_ms, [start_ms, end_ms + 1]).tolist()
        return [SeriesSet(self.labels, self.t_ms[begin:end], self.values[:, begin:end])]

    def series(self, _matchers: Sequence[Matcher], _start_ms: int, _end_ms: int) -> list[Labels]:
        return self.labels

    def families(self) -> Mapping[str, Family]:
        return {}


async def _python(script: str, *arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-c", script, *arguments, stdin=pipe, stdout=pipe)


async def test_64_heavy_queries_at_once_fail_no_scrape(record_property: Callable[[str, object], None]) -> None:
    async with site(engine=Engine(Big())) as client:
        base = f"http://{client.host}:{client.port}"
        scraping = await _python(SCRAPING, f"{base}/metrics")
        url = f"{base}/api/prometheus/api/v1/query_range?start={NOW - 21_600}&end={NOW}&step=60"
        asking = await _python(ASKING, url, str(QUERIES))
        answered, _ = await asyncio.wait_for(asking.communicate(), 120)
        scraped, _ = await asyncio.wait_for(scraping.communicate(b"enough"), 30)
    assert answered.strip() == str(QUERIES).encode()
    took = sorted(orjson.loads(scraped))
    p99 = took[int(len(took) * 0.99)]
    record_property("scrape_p99_seconds", p99)
    print(f"{len(took)} scrapes during {QUERIES} heavy queries: p50 {took[len(took) // 2]:.3f} s, p99 {p99:.3f} s")
    assert len(took) > 20
    assert p99 < 1.0
