"""A day without failures: no shipped rule has a reason to fire, and the identities hold at every tick."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.simulation.fleets import HOUR_MS, MONDAY_MS, a_simulator

Rows = tuple[tuple[str, ...], ...]
Day = dict[str, tuple[Rows, NDArray[np.float64]]]


@pytest.fixture(scope="module")
def day() -> Day:
    """A Monday of 20 servers: metric -> its rows and values of shape (rows, 5760)."""
    rows: dict[str, Rows] = {}
    values: dict[str, list[NDArray[np.float64]]] = {}
    for snapshot in a_simulator().ticks(MONDAY_MS, MONDAY_MS + 24 * HOUR_MS - 1):
        for column in snapshot.columns:
            name = column.index.metric.removeprefix("openmanager_")
            rows[name] = column.index.rows
            values.setdefault(name, []).append(column.values)
    return {name: (rows[name], np.stack(columns, axis=1)) for name, columns in values.items()}


def longest_run(true: NDArray[np.bool_]) -> int:
    """How many ticks in a row it was true at most."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], true.astype(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max(initial=0))


@pytest.mark.parametrize(
    ("metric", "over", "ticks"),
    [
        ("cpu_usage_percent", 80, 20),
        ("cpu_usage_percent", 95, 8),
        ("memory_usage_percent", 85, 20),
        ("disk_usage_percent", 85, 20),
        ("disk_usage_percent", 95, 8),
    ],
)
def test_no_threshold_is_passed_for_as_long_as_a_rule_waits(day: Day, metric: str, over: float, ticks: int) -> None:
    rows, values = day[metric]
    assert [row for row, series in zip(rows, values, strict=True) if longest_run(series > over) > ticks] == []


def test_no_disk_is_on_its_way_to_be_full_within_four_hours(
    day: Day,
) -> None:
    rows, values = day["disk_usage_percent"]
    hourly = (values[:, 240:] - values[:, :-240]).max(axis=1)
    assert [row for row, rise, top in zip(rows, hourly, values.max(axis=1), strict=True) if top + 4 * rise > 100] == []


def test_load_5_and_15_follow_load_1_as_the_kernel_averages_them(
    day: Day,
) -> None:
    one = day["cpu_load_average_1m"][1]
    keep = np.exp(-15 / 60)
    threads = (one[:, 1:] - one[:, :-1] * keep) / (1 - keep)
    for metric, window_s in (("cpu_load_average_5m", 300), ("cpu_load_average_15m", 900)):
        shown, factor = day[metric][1], np.exp(-15 / window_s)
        level, away = shown[:, 0], []
        for tick in range(threads.shape[1]):
            level = factor * level + (1 - factor) * threads[:, tick]
            away.append(np.abs(level - shown[:, tick + 1]))
        assert np.max(away) <= 0.05
        assert np.sqrt(np.mean(np.square(away))) <= 0.02


@pytest.mark.parametrize(
    ("size", "operations", "least", "most"),
    [
        ("disk_read_bytes_total", "disk_read_ops_total", 512, 2 << 20),
        ("disk_write_bytes_total", "disk_write_ops_total", 512, 2 << 20),
        ("network_receive_bytes_total", "network_receive_packets_total", 40, 9000),
        ("network_transmit_bytes_total", "network_transmit_packets_total", 40, 9000),
    ],
)
def test_operations_and_packets_have_possible_sizes(
    day: Day,
    size: str,
    operations: str,
    least: float,
    most: float,
) -> None:
    moved, done = np.diff(day[size][1]), np.diff(day[operations][1])
    assert (moved[done == 0] == 0).all()
    ratio = moved[done > 0] / done[done > 0]
    assert least <= ratio.min() and ratio.max() <= most


def test_cpu_remembers_the_last_tick_and_has_a_heavy_tail(
    day: Day,
) -> None:
    rows, values = day["cpu_usage_percent"]
    for server in sorted({row[0] for row in rows}):
        cpu = values[[row[0] == server for row in rows]].mean(axis=0)
        assert 0.5 <= np.corrcoef(cpu[1:], cpu[:-1])[0, 1] <= 0.99, server
        step = np.diff(cpu) - np.diff(cpu).mean()
        assert (step**4).mean() / (step**2).mean() ** 2 - 3 > 4, server


def test_a_share_of_all_series_stands_still(
    day: Day,
) -> None:
    still = np.concatenate([np.ptp(values, axis=1) == 0 for _, values in day.values()])
    assert 0.28 <= still.mean() <= 0.75
