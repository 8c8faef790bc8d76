"""What follows from the hidden state without adding up: memory, disk space and load averages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exporter.simulation.counters import WRITE_SECTORS, Counters
from exporter.simulation.load import Load
from exporter.simulation.noise import Floats, Indices, uniform, wander
from exporter.simulation.pattern import HOUR_MS

_HEALTHY = 81.0  # a level that a role's profile puts above this is approached, not passed: 85 is where rules wake
_HEADROOM = 3.4
_WINDOWS_S = np.array([60.0, 300.0, 900.0])
_SYSTEM_SHARE = 1.0 / 12.0  # of the disk work that goes to the system disk beside a data disk


def _below_alarm(percent: Floats) -> Floats:
    over = np.maximum(percent - _HEALTHY, 0.0)
    kept: Floats = np.minimum(percent, _HEALTHY) + _HEADROOM * np.tanh(over / _HEADROOM)
    return kept


class Memory:
    """Memory in use: a level, the sawtooth of a collector, a slow wander, and a little that follows demand."""

    def __init__(self, load: Load) -> None:
        once = np.zeros(1, dtype=np.int64)
        self._wander, self._quick, self._cycle = load.key("memory/slow"), load.key("memory"), load.key("memory/cycle")
        tuned = 3.0 * (uniform(load.key("memory/level"), once) - 0.5)
        self._pattern, self._role_row = load.pattern, load.role_row
        self._level = np.array([[role.memory] for role in load.roles]) + tuned
        self._points = np.array([[role.heap.points] for role in load.roles])
        self._period_ms = np.array([[role.heap.hours * HOUR_MS] for role in load.roles])
        self._period_ms = self._period_ms * (0.8 + 0.4 * uniform(load.key("memory/period"), once))

    def percent(self, t_ms: Indices) -> Floats:
        """Percent of memory in use. Shape (m,) -> (n, m)."""
        expected = self._pattern.demand(t_ms)[self._role_row]
        cycle = t_ms / self._period_ms + uniform(self._cycle, np.zeros(1, dtype=np.int64))
        number = np.floor(cycle)
        height = self._points * (0.85 + 0.3 * uniform(self._cycle, number.astype(np.int64)))
        saw = height * (cycle - number) - self._points / 2.0
        drift = 0.7 * wander(self._wander, t_ms, 6 * HOUR_MS) + 0.12 * wander(self._quick, t_ms, HOUR_MS // 4)
        return np.clip(_below_alarm(self._level + saw + drift + 1.5 * (np.minimum(expected, 1.5) - 0.7)), 2.0, 99.0)


class Space:
    """Disk space: grows with what is written and kept, falls in a step when it is cleaned up."""

    def __init__(self, load: Load) -> None:
        once = np.zeros(1, dtype=np.int64)
        self._every = np.array([role.cleanup_days for role in load.roles], dtype=np.int64)
        self._turn = (uniform(load.key("disk/turn"), once)[:, 0] * self._every).astype(np.int64)
        growth = np.array([[role.growth] for role in load.roles])
        self._growth = growth * (0.8 + 0.4 * uniform(load.key("disk/growth"), once))
        whole = self._growth * self._every[:, None]
        level = np.array([[role.disk] for role in load.roles]) + 3.0 * (uniform(load.key("disk/level"), once) - 0.5)
        self._low = np.minimum(level - whole / 2.0, 84.3 - 1.1 * whole)
        self._system_low = 24.0 + 16.0 * uniform(load.key("disk/system"), once)

    def cleaned_day(self, day: int) -> Indices:
        """The day at whose start each server was last cleaned up. Shape (n,)."""
        cleaned: Indices = day - (day + self._turn) % self._every
        return cleaned

    def percent(self, written: Floats, per_day: Floats) -> tuple[Floats, Floats]:
        """Of the main disk and of the system disk. written: sectors since the clean-up, shape (n, m)."""
        days = written / per_day
        return self._low + self._growth * days, self._system_low + 0.15 * days

    def written(self, counters: Counters, day: int, today: Floats) -> Floats:
        """Sectors since the clean-up. today: counters since the start of `day`, shape (n, ALL, m)."""
        before = counters.since(self.cleaned_day(day), day)[:, WRITE_SECTORS]
        return before[:, None] + today[:, WRITE_SECTORS]


def running(cores: Floats, cpu: Floats) -> Floats:
    """How many threads run or wait for a core."""
    busy = cpu / 100.0
    square = busy * busy
    threads: Floats = cores * busy * (1.0 + 0.8 * square * square)
    return threads


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """What load averages remember of a block of ticks. first, last: the queue in its first tick, threads in its last,
    shape (n,). left: what is left of it at its end in load 1, 5 and 15, shape (3, n).
    """

    first: Floats
    last: Floats
    left: Floats


def decay(tick_s: float) -> Floats:
    """What load 1, 5 and 15 keep from a tick to the next. Shape (3,)."""
    kept: Floats = np.exp(-tick_s / _WINDOWS_S)
    return kept


def stretch(threads: Floats, keep: Floats) -> Stretch:
    """The stretch of a block. threads: shape (n, 1 + ticks), from the last tick of the block before."""
    queue = _queue(threads)
    ages = np.arange(queue.shape[1] - 1, -1, -1)
    weights = (1.0 - keep)[:, None] * keep[:, None] ** ages
    # each row is summed alone: a matrix product would round by how many rows there are
    left = np.stack([(queue * weight).sum(axis=1) for weight in weights])
    # copies: a view would keep all of the threads
    return Stretch(queue[:, 0].copy(), threads[:, -1].copy(), left)


def load_averages(threads: Floats, before: Sequence[Stretch], keep: Floats) -> Floats:
    """Load 1, 5 and 15 in a block as the kernel averages them, exponentially, from the blocks before it.

    threads: shape (n, 1 + ticks), from the last tick of the block before. Returns shape (3, n, ticks).
    """
    queue = _queue(threads)
    ticks = queue.shape[1]
    level = np.repeat(before[0].first[None], 3, axis=0)  # of what was earlier still, next to nothing is left
    for block in before:
        level = level * (keep**ticks)[:, None] + block.left
    averages = np.empty((3, len(threads), ticks))
    for tick in range(ticks):
        level = level * keep[:, None] + (1.0 - keep)[:, None] * queue[:, tick]
        averages[:, :, tick] = level
    return averages


def _queue(threads: Floats) -> Floats:
    """A queue takes a moment to form: half of what runs or waits came in the interval before."""
    queue: Floats = (threads[:, 1:] + threads[:, :-1]) / 2.0
    return queue
