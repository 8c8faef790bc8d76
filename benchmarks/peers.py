"""Bytes per sample beside VictoriaMetrics and Prometheus: the same samples in all three, in one run.

Counted are, for us, raw samples only: the blocks, and beside them the whole SQLite file, closed, with labels and
indexes. For VictoriaMetrics, beside which the blocks are held: its `data` folder after a forced merge, without its
index of labels. For Prometheus, beside which the whole file is held: chunks and index of the blocks that promtool
makes. A folder of `timestamp,value` files may be named by REAL_SERIES.
"""

from __future__ import annotations

import csv
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson

from benchmarks.figure import Figure
from exporter import openmetrics
from exporter.model import METRIC_NAME, Column, Labels, SeriesIndex, SeriesSet, Snapshot, make_labels
from exporter.simulation.fleet import make_fleet
from exporter.simulation.simulator import Simulator
from exporter.storage.database import Database
from exporter.storage.layout import DAY_MS, RAW
from exporter.storage.open import open_store
from exporter.storage.stats import Limits
from tests.servers import Servers, answers, binary, free_port

if TYPE_CHECKING:
    from exporter.model import Samples, Times

RAW_BYTES = 16
TICK_MS = 15_000
START_MS = 1_750_000_000_000 // DAY_MS * DAY_MS
REAL_SERIES = Path(os.environ.get("REAL_SERIES", "../shared/data/real-series"))
VICTORIA_GOAL, PROMETHEUS_GOAL, RAW_GOAL_PERCENT = 0.85, 0.35, 8.0
_CHUNK = 10_000
_LONG_BLOCKS = ("--max-block-duration", "1536h")  # as its compaction would make them; promtool's own are of 2 h


@dataclass(frozen=True, slots=True)
class Series:
    """One series. t_ms, values: shape (m,)."""

    labels: Labels
    t_ms: Times
    values: Samples


def figures() -> Iterator[Figure]:
    """A day of 20 servers, and real series where there are any."""
    ticks = list(Simulator(make_fleet(20), seed=1, interval_ms=TICK_MS).ticks(START_MS + TICK_MS, START_MS + DAY_MS))
    sets = _sets(ticks)
    fleet = [Series(labels, each.t_ms, each.values[row]) for each in sets for row, labels in enumerate(each.labels)]
    yield from _compared("a day of 20 servers", fleet, ticks)
    real = list(_real_series())
    if real:
        yield from _compared(f"{len(real)} real series", real, ())


def _sets(ticks: Sequence[Snapshot]) -> list[SeriesSet]:
    """Ticks as sets of series: a set for each stretch in which an index stays the same."""
    stretches: dict[SeriesIndex, list[tuple[int, Column]]] = {}
    for tick in ticks:
        for column in tick.columns:
            stretches.setdefault(column.index, []).append((tick.t_ms, column))
    return [
        SeriesSet(
            [index.labels(row) for row in range(len(index.rows))],
            np.array([t_ms for t_ms, _ in stretch], np.int64),
            np.stack([column.values for _, column in stretch], axis=1),
        )
        for index, stretch in stretches.items()
    ]


def _real_series() -> Iterator[Series]:
    for path in sorted(REAL_SERIES.glob("*.csv")):
        with path.open() as file:
            rows = {row["timestamp"]: float(row["value"]) for row in csv.DictReader(file)}
        times = {int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000): text for text in rows}
        t_ms = np.array(sorted(times), np.int64)
        values = np.array([rows[times[t]] for t in t_ms.tolist()])
        yield Series(make_labels({METRIC_NAME: "real", "series": path.stem}), t_ms, values)


def _compared(what: str, series: Sequence[Series], ticks: Sequence[Snapshot]) -> Iterator[Figure]:
    samples = sum(len(each.t_ms) for each in series)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blocks, whole = (size / samples for size in _ours(folder / "ours", series, ticks))
        victoria = _victoria(folder / "victoria", series) / samples
        prometheus = _prometheus(folder / "prometheus", series) / samples
    yield Figure(f"{what}: bytes per sample, blocks", blocks, "B")
    yield Figure(f"{what}: blocks, of the raw size", blocks / RAW_BYTES * 100, "%", RAW_GOAL_PERCENT)
    yield Figure(f"{what}: bytes per sample, the whole SQLite file", whole, "B")
    yield Figure(f"{what}: VictoriaMetrics, its data folder", victoria, "B")
    yield Figure(f"{what}: our blocks as a share of VictoriaMetrics' data", blocks / victoria, "", VICTORIA_GOAL)
    yield Figure(f"{what}: Prometheus, chunks and index", prometheus, "B")
    yield Figure(f"{what}: our file as a share of Prometheus'", whole / prometheus, "", PROMETHEUS_GOAL)


def _ours(folder: Path, series: Sequence[Series], ticks: Sequence[Snapshot]) -> tuple[int, int]:
    """Ticks as the fleet says them, or, without any, series as they are imported: bytes of blocks, and of the file."""
    limits = Limits(retentions_ms={RAW: 20 * 365 * DAY_MS})
    database = Database(open_store(f"sqlite:///{folder}/samples.db"), limits=limits)
    for tick in ticks:
        database.append(tick)
    if not ticks:
        for each in series:
            database.ingest([SeriesSet([each.labels], each.t_ms, each.values[None, :])])
    for _ in range(2):
        database.expire(int(time.time() * 1000))
        database.settle(300)
    blocks = sum(each.bytes for each in database.kept())
    database.close()
    return blocks, _size(folder)


def _victoria(folder: Path, series: Sequence[Series]) -> int:
    folder.mkdir()
    with Servers(folder) as servers:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        servers.start(
            [
                *(binary("victoria-metrics", "victoria-metrics-prod"), f"-httpListenAddr=127.0.0.1:{port}"),
                *(f"-storageDataPath={folder / 'data'}", "-retentionPeriod=100y", "-loggerLevel=ERROR"),
            ],
            port,
            lambda: answers(f"{url}/health"),
        )
        for each in series:
            for begin in range(0, len(each.t_ms), _CHUNK):
                cut = slice(begin, begin + _CHUNK)
                line = {
                    "metric": dict(each.labels),
                    "values": each.values[cut].tolist(),
                    "timestamps": each.t_ms[cut].tolist(),
                }
                _post(f"{url}/api/v1/import", orjson.dumps(line) + b"\n")
        _post(f"{url}/internal/force_flush", b"")
        _post(f"{url}/internal/force_merge", b"")
        return _settled(folder / "data" / "data")


def _post(url: str, body: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, body or None), timeout=60) as answer:  # loopback
        answer.read()


def _settled(folder: Path) -> int:
    """Its size once it has stayed the same for two seconds, half a minute at most."""
    sizes = [_size(folder)]
    for _ in range(30):
        time.sleep(1)
        sizes.append(_size(folder))
        if len(sizes) > 3 and sizes[-3] == sizes[-2] == sizes[-1]:
            break
    return sizes[-1]


def _prometheus(folder: Path, series: Sequence[Series]) -> int:
    folder.mkdir()
    text = folder / "samples.om"
    with text.open("w") as out:
        for each in sorted(series, key=lambda each: each.labels):
            out.write(openmetrics.lines(each.labels, each.t_ms, each.values))
        out.write(openmetrics.END)
    command = [binary("promtool"), "tsdb", "create-blocks-from", "openmetrics", *_LONG_BLOCKS, str(text)]
    subprocess.run([*command, str(folder / "blocks")], check=True, capture_output=True)
    text.unlink()
    return _size(folder)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
