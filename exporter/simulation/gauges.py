"""What follows from the hidden state without adding up: memory, disk space and load averages."""

from __future__ import annotations

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


def load_averages(threads: Floats, history: int, per_block: int, tick_s: float) -> Floats:
    """Load 1, 5 and 15 as the kernel averages them, exponentially, each block from the `history` ticks before it.

    A queue takes a moment to form: half of what runs or waits came in the interval before.
    threads: shape (n, history + m), m a multiple of per_block. Returns shape (3, n, m).
    """
    n, m = len(threads), threads.shape[1] - history
    queue = threads.copy()
    queue[:, 1:] += threads[:, :-1]
    queue[:, 1:] /= 2.0
    keep = np.exp(-tick_s / _WINDOWS_S)
    weights = (1.0 - keep)[:, None] * keep[:, None] ** np.arange(history - 2, -1, -1)
    averages = np.empty((3, n, m // per_block, per_block))
    for block in range(m // per_block):
        start = block * per_block
        # each row is summed alone: a matrix product would round by how many rows and blocks there are
        before = queue[:, start + 1 : start + history]
        oldest = queue[:, start + 1] * keep[:, None] ** (history - 1)
        level = np.stack([(before * weight).sum(axis=1) for weight in weights]) + oldest
        for step in range(per_block):
            level = level * keep[:, None] + (1.0 - keep)[:, None] * queue[:, start + history + step]
            averages[:, :, block, step] = level
    return averages.reshape(3, n, m)
