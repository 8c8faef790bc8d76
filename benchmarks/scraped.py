"""20,000 servers as one target of a real Prometheus, every 15 s for ten minutes: scrapes that failed, and memory."""

from __future__ import annotations

import statistics
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson

from benchmarks.figure import Figure
from benchmarks.process import exporter
from tests.servers import Servers

SERVERS = 20_000
MINUTES = 10
INTERVAL_S, TIMEOUT_S = 15, 10
_TAKEN_IN_S = 60  # Prometheus makes a million series of the first scrape
_CONFIG = """
global: {{scrape_interval: {interval_s}s, scrape_timeout: {timeout_s}s}}
scrape_configs: [{{job_name: fleet, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""


def figures() -> Iterator[Figure]:
    """What Prometheus itself says of its scrapes; its part of each, parsing and keeping, is in their duration."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        flags = ("--fleet.servers", str(SERVERS))
        with exporter(scratch, *flags, asked="/-/ready") as running, Servers(scratch) as servers:
            config = _CONFIG.format(interval_s=INTERVAL_S, timeout_s=TIMEOUT_S, port=running.port)
            url = servers.prometheus(config).url
            time.sleep(_TAKEN_IN_S)
            started, cpu_s, resident_mb = time.monotonic(), running.cpu_s(), 0.0
            while time.monotonic() - started < MINUTES * 60:
                time.sleep(1)
                resident_mb = max(resident_mb, running.resident_mb())
            busy = (running.cpu_s() - cpu_s) / (time.monotonic() - started)
            up, took_s = (_values(url, name) for name in ("up", "scrape_duration_seconds"))
            (series,) = _values(url, "scrape_samples_scraped")[-1:]
    wanted = MINUTES * 60 // INTERVAL_S
    yield Figure(f"{SERVERS:,} servers: samples a scrape", series, "")
    yield Figure(f"{SERVERS:,} servers, {MINUTES} minutes: scrapes", len(up), "")
    yield Figure(f"{SERVERS:,} servers, {MINUTES} minutes: failed scrapes", up.count(0.0), "", 0.0)
    yield Figure(f"{SERVERS:,} servers, {MINUTES} minutes: scrapes passed over", max(wanted - len(up), 0), "", 0.0)
    yield Figure(f"{SERVERS:,} servers: a scrape, half of them", statistics.median(took_s), "s")
    yield Figure(f"{SERVERS:,} servers: a scrape, the longest", max(took_s), "s", float(INTERVAL_S))
    yield Figure(f"{SERVERS:,} servers, scraped: of a core", busy * 100, "%")
    yield Figure(f"{SERVERS:,} servers, scraped: resident at most", resident_mb, "MB", 600.0)


def _values(url: str, name: str) -> list[float]:
    """What a series of Prometheus was in the minutes that count."""
    query = urllib.parse.urlencode({"query": f"{name}[{MINUTES}m]"})
    with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=60) as answer:
        (series,) = orjson.loads(answer.read())["data"]["result"]
    return [float(value) for _, value in series["values"]]
