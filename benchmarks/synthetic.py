"""Seven hours of a service's metrics, the same each time: counters with resets, gauges, a histogram."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporter.model import METRIC_NAME, Family, Labels, MetricType, make_labels
from exporter.openmetrics import END, header, lines

Floats = NDArray[np.float64]

STEP_MS = 15_000
TICKS = 1680
BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf")
REQUESTS = Family("bench_requests_total", MetricType.COUNTER, "Requests.")
TEMPERATURE = Family("bench_temperature_celsius", MetricType.GAUGE, "Temperature.", "celsius")
LATENCY = Family("bench_latency_seconds", MetricType.HISTOGRAM, "Latency.", "seconds")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where the data begins and ends, Unix ms, both on the grid of 15 s."""

    start_ms: int

    @property
    def end_ms(self) -> int:
        return self.start_ms + (TICKS - 1) * STEP_MS


def write(path: Path, series: int, stretch: Stretch) -> None:
    """About `series` series as OpenMetrics text: two fifths counters, two fifths gauges, the rest a histogram."""
    t_ms = np.arange(stretch.start_ms, stretch.end_ms + 1, STEP_MS)
    with path.open("w") as out:
        for family, members in _families(series):
            out.write(header(family))
            for labels, values in members:
                out.write(lines(labels, t_ms, values))
        out.write(END)


def _families(series: int) -> Iterator[tuple[Family, Iterator[tuple[Labels, Floats]]]]:
    share = series * 2 // 5
    yield LATENCY, _histograms(series // 5 // len(BOUNDS), np.random.default_rng(1))
    yield REQUESTS, _counters(share, np.random.default_rng(2))
    yield TEMPERATURE, _gauges(share, np.random.default_rng(3))


def _named(metric: str, number: int, **labels: str) -> Labels:
    own = {"instance": f"host-{number // 4:04d}:9100", "job": ("api", "web", "db")[number % 3]}
    return make_labels({METRIC_NAME: metric, **own, **labels})


def _counters(count: int, random: np.random.Generator) -> Iterator[tuple[Labels, Floats]]:
    for number in range(count):
        values = np.cumsum(random.poisson(20 + number % 50, TICKS)).astype(np.float64)
        if number % 10 == 0:  # a process that was started again
            values[TICKS // 2 :] -= values[TICKS // 2]
        yield _named(REQUESTS.name, number, code=("200", "404", "500", "503")[number % 4]), values


def _gauges(count: int, random: np.random.Generator) -> Iterator[tuple[Labels, Floats]]:
    for number in range(count):
        walk = 40 + np.cumsum(random.normal(0, 0.3, TICKS))
        # no two series tie: which of them topk takes is not the same in all versions of Prometheus
        yield _named(TEMPERATURE.name, number, sensor=str(number % 4)), np.round(walk, 2) + number * 1e-6


def _histograms(count: int, random: np.random.Generator) -> Iterator[tuple[Labels, Floats]]:
    for number in range(count):
        observed = np.cumsum(random.poisson(3.0, (len(BOUNDS), TICKS)), axis=1)
        for bound, values in zip(BOUNDS, np.cumsum(observed, axis=0), strict=True):
            yield _named(f"{LATENCY.name}_bucket", number * 4, le=bound), values.astype(np.float64)
