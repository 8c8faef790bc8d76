"""Range queries beside a real Prometheus: the same data, the same questions over HTTP, by turns."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import math
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import orjson

from benchmarks import synthetic
from benchmarks.figure import Figure
from benchmarks.process import METRICS, Exporter, exporter
from benchmarks.synthetic import Stretch

RUNS, RUNS_OF_MANY = 5, 3
STEPS_S = (15, 60)
OFF_GRID_MS = 7_300  # on the grid of the samples, versions 2 and 3 of Prometheus count window edges differently
BEFORE_MS = 3_600_000  # where a series begins, versions 2 and 3 extrapolate differently
CONCURRENT = 64
QUERIES = (
    "bench_temperature_celsius",
    'bench_temperature_celsius{job="api"}',
    'bench_temperature_celsius{instance=~"host-00[0-4].*"} > 40',
    "rate(bench_requests_total[5m])",
    'increase(bench_requests_total{code="500"}[1h])',
    "irate(bench_requests_total[1m])",
    "sum(rate(bench_requests_total[5m]))",
    "sum by (job) (rate(bench_requests_total[5m]))",
    "sum by (instance) (rate(bench_requests_total[1m]))",
    "avg by (job) (bench_temperature_celsius)",
    "quantile by (job) (0.9, bench_temperature_celsius)",
    "stddev(bench_temperature_celsius)",
    "topk(5, bench_temperature_celsius)",
    "count(bench_temperature_celsius > 45)",
    "max_over_time(bench_temperature_celsius[10m])",
    "avg_over_time(bench_temperature_celsius[1h])",
    "quantile_over_time(0.5, bench_temperature_celsius[10m])",
    "predict_linear(bench_temperature_celsius[30m], 3600)",
    "histogram_quantile(0.95, sum by (le, job) (rate(bench_latency_seconds_bucket[5m])))",
    'sum by (job) (rate(bench_requests_total{code=~"5.."}[5m])) / sum by (job) (rate(bench_requests_total[5m]))',
    "bench_temperature_celsius - bench_temperature_celsius offset 1h",
    "max_over_time(sum(rate(bench_requests_total[70s]))[10m:1m])",
)
INSTANT_SUM = 'sum({__name__=~"bench_.*"})'


@dataclass(frozen=True, slots=True)
class Server:
    """Who answers, at which port and under which path."""

    port: int
    path: str

    def ask(self, endpoint: str, **parameters: object) -> tuple[float, bytes]:
        """Seconds until the last byte of an answer, and the answer. Raises RuntimeError if it is an error."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        with contextlib.closing(connection):
            connection.connect()
            started = time.perf_counter()
            connection.request("GET", f"{self.path}/api/v1/{endpoint}?{urllib.parse.urlencode(parameters)}")
            response = connection.getresponse()
            body = response.read()
            took_s = time.perf_counter() - started
        if response.status != http.client.OK:
            raise RuntimeError(f"{endpoint} {parameters}: {response.status} {body[:300]!r}")
        return took_s, body


def figures() -> Iterator[Figure]:
    """1,000 series over six hours."""
    yield from _of(1000, RUNS)


def figures_of_many() -> Iterator[Figure]:
    """10,000 series over six hours."""
    yield from _of(10_000, RUNS_OF_MANY)


def _of(series: int, runs: int) -> Iterator[Figure]:
    if not (shutil.which("prometheus") and shutil.which("promtool")):
        print("prometheus and promtool are not installed: nothing to measure against", file=sys.stderr)
        return
    grid_ms = synthetic.STEP_MS
    stretch = Stretch((int(time.time()) - 8 * 3600) * 1000 // grid_ms * grid_ms)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = folder / "history.om"
        synthetic.write(text, series, stretch)
        yield from _loaded(folder, text)
        with (
            _prometheus(folder) as theirs,
            exporter(folder, "--fleet.servers", "1") as running,
        ):
            ours = Server(running.port, "/api/prometheus")
            yield from _compared(ours, theirs, stretch, series, runs)
            yield from _instant(ours, theirs, stretch, series)
            yield from asyncio.run(_crowded(running, ours, stretch))
            yield Figure("resident memory after these queries", running.resident_mb(), "MB")


def _loaded(folder: Path, text: Path) -> Iterator[Figure]:
    blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "tsdb")]
    subprocess.run(blocks, check=True, capture_output=True)
    started = time.perf_counter()
    taken = [sys.executable, "-m", "exporter", "import", str(text), "--storage.url", f"sqlite:///{folder}/samples.db"]
    subprocess.run(taken, check=True, capture_output=True)
    yield Figure("importing the text", time.perf_counter() - started, "s")


@contextlib.contextmanager
def _prometheus(folder: Path) -> Iterator[Server]:
    """A Prometheus on the blocks in `tsdb`, that scrapes nothing."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    config = folder / "prometheus.yml"
    config.write_text("")
    command = [
        *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}", "--log.level=error"),
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Server(port, "")
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, RuntimeError):
                server.ask("query", query="1")
                break
            time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(20)


def _compared(ours: Server, theirs: Server, stretch: Stretch, series: int, runs: int) -> Iterator[Figure]:
    ratios: dict[str, float] = {}
    differences: dict[str, float] = {}
    for step_s in STEPS_S:
        for query in QUERIES:
            a, b, apart = _by_turns(ours, theirs, query, stretch, step_s, runs)
            name = f"{query} step {step_s}s"
            ratios[name], differences[name] = a / b, apart
            yield Figure(f"{name}: {a * 1e3:.1f} ms, Prometheus {b * 1e3:.1f} ms", a / b, "x")
    about = f"{series:,} series"
    yield Figure(f"{about}, median of all queries' times by Prometheus'", statistics.median(ratios.values()), "x", 0.5)
    worst = max(ratios, key=lambda name: ratios[name])
    yield Figure(f"{about}, worst: {worst}", ratios[worst], "x", 1.0)
    furthest = max(differences, key=lambda name: differences[name])
    yield Figure(f"{about}, largest relative difference of a value: {furthest}", differences[furthest], "", 1e-9)


def _by_turns(
    ours: Server, theirs: Server, query: str, stretch: Stretch, step_s: int, runs: int
) -> tuple[float, float, float]:
    """Median seconds of each, and how far their values are apart. Each run asks for slightly other times."""
    times: tuple[list[float], list[float]] = ([], [])
    apart = 0.0
    for run in range(runs + 1):
        moved_ms = OFF_GRID_MS + run * 40
        asked = {
            "query": query,
            "start": (stretch.start_ms + BEFORE_MS + moved_ms) / 1000,
            "end": (stretch.end_ms - 15_000 + moved_ms) / 1000,
            "step": step_s,
        }
        (a, mine), (b, other) = ours.ask("query_range", **asked), theirs.ask("query_range", **asked)
        if run == 0:  # both are warm from now on
            apart = _apart(mine, other, query)
            continue
        times[0].append(a)
        times[1].append(b)
    return statistics.median(times[0]), statistics.median(times[1]), apart


def _apart(mine: bytes, other: bytes, query: str) -> float:
    """The largest relative difference between two answers' values; infinite where they differ otherwise.

    Row by row, as millions of points at once would take gigabytes.
    """
    ours, theirs = _rows(mine), _rows(other)
    if ours.keys() != theirs.keys() or not theirs:
        print(f"different series: {query}", file=sys.stderr)
        return math.inf
    return max(_row_apart(ours[name], row, f"{query} {name!r}") for name, row in theirs.items())


def _rows(answer: bytes) -> dict[bytes, bytes]:
    """The JSON of each series' values, by its labels in order."""
    rows = {}
    for row in answer.split(b'{"metric":')[1:]:
        labels, _, values = row.partition(b',"values":')
        sorted_labels = orjson.dumps(orjson.loads(labels), option=orjson.OPT_SORT_KEYS)
        rows[sorted_labels] = values[: values.rindex(b"]]") + 2]
    return rows


def _row_apart(mine: bytes, other: bytes, what: str) -> float:
    if mine == other:
        return 0.0
    ours, theirs = np.array(orjson.loads(mine), dtype=np.float64), np.array(orjson.loads(other), dtype=np.float64)
    if ours.shape != theirs.shape or (ours[:, 0] != theirs[:, 0]).any():
        print(f"different times: {what}", file=sys.stderr)
        return math.inf
    a, b = ours[:, 1], theirs[:, 1]
    with np.errstate(all="ignore"):
        apart = np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))
    return float(np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, apart).max())


def _instant(ours: Server, theirs: Server, stretch: Stretch, series: int) -> Iterator[Figure]:
    times: dict[Server, list[float]] = {ours: [], theirs: []}
    for run in range(40):
        for server, found in times.items():
            found.append(server.ask("query", query=INSTANT_SUM, time=stretch.end_ms / 1000 - 60 + run)[0])
    goal = 2.0 if series == 1000 else None
    yield Figure(f"an instant sum over {series:,} series (median)", statistics.median(times[ours]) * 1e3, "ms", goal)
    yield Figure("the same in Prometheus", statistics.median(times[theirs]) * 1e3, "ms")


async def _crowded(running: Exporter, ours: Server, stretch: Stretch) -> list[Figure]:
    """Range queries all at once, while a page is scraped every 100 ms."""
    failed, scrapes = 0, []
    asked = {"start": (stretch.start_ms + BEFORE_MS) / 1000 + 7, "end": stretch.end_ms / 1000, "step": 60}
    started = time.perf_counter()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(CONCURRENT + 4))
    queries = [
        loop.run_in_executor(None, partial(ours.ask, "query_range", query=query, **asked))
        for query in (QUERIES * CONCURRENT)[:CONCURRENT]
    ]
    together = asyncio.gather(*queries)
    while not together.done():
        began = time.perf_counter()
        try:
            await loop.run_in_executor(None, running.get, METRICS)
            scrapes.append(time.perf_counter() - began)
        except (OSError, RuntimeError):
            failed += 1
        await asyncio.sleep(max(0.0, 0.1 - (time.perf_counter() - began)))
    await together
    took_s = time.perf_counter() - started
    return [
        Figure(f"{CONCURRENT} range queries at once", took_s, "s"),
        Figure(f"scrapes that failed meanwhile, of {len(scrapes) + failed}", failed, "", 0.0),
        Figure("the longest of these scrapes", max(scrapes, default=math.nan) * 1e3, "ms"),
    ]
