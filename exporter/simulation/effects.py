"""What a failure does to a server: a few primitive effects, each of one kind, value and level."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from exporter.simulation.noise import Floats


class Kind(StrEnum):
    """`…_to` draws a percentage towards the value, `…_times` multiplies by it; a level of 1 is the whole effect."""

    CPU_TO = "cpu_to"
    CPU_TIMES = "cpu_times"
    DEMAND_TIMES = "demand_times"
    LATENCY_TIMES = "latency_times"
    LATENCY_TO = "latency_to"  # mean seconds
    MEMORY_TO = "memory_to"
    MEMORY_TIMES = "memory_times"
    DISK_TO = "disk_to"
    DISK_IO_TIMES = "disk_io_times"
    NETWORK_TIMES = "network_times"
    ERRORS = "errors"  # part of the requests that fail
    LOSS = "loss"  # packets per second that are lost
    SERVICE_DOWN = "service_down"
    DOWN = "down"
    CRASH = "crash"  # down, and back with counters at 0 and a new boot time
    CLOCK_SKEW = "clock_skew"  # seconds that the server's clock is ahead
    SCRAPE_DOWN = "scrape_down"
    SCRAPE_SLOW = "scrape_slow"  # seconds before the page comes
    SCRAPE_TRUNCATED = "scrape_truncated"  # percent of the page that never comes
    SCRAPE_GAP = "scrape_gap"  # part of the scrapes that are missed
    STUCK = "stuck"  # the page repeats
    CHURN = "churn"  # network interfaces that come and go


SERVED = frozenset(
    {
        Kind.CPU_TO,
        Kind.CPU_TIMES,
        Kind.DEMAND_TIMES,
        Kind.LATENCY_TIMES,
        Kind.LATENCY_TO,
        Kind.ERRORS,
        Kind.SERVICE_DOWN,
    }
)
"""The kinds that change which requests are answered, and how fast."""

COUNTED = SERVED | {Kind.DISK_IO_TIMES, Kind.NETWORK_TIMES, Kind.LOSS}
"""The kinds that leave a trace in counters."""

SILENCING = frozenset(
    {Kind.DOWN, Kind.CRASH, Kind.SCRAPE_DOWN, Kind.SCRAPE_SLOW, Kind.SCRAPE_TRUNCATED, Kind.SCRAPE_GAP}
)
"""The kinds that may keep a server's page from whoever scrapes it."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect on the server in row `row`. level: shape (m,), 0 … 1 at each tick."""

    row: int
    kind: Kind
    value: float
    level: Floats


def drawn(values: Floats, effects: Iterable[Effect], kind: Kind) -> Floats:
    """`values` with the effects of a `…_to` kind: never drawn below what they are."""
    changed = values
    for effect in effects:
        if effect.kind is kind:
            changed = changed.copy() if changed is values else changed
            row = changed[effect.row]
            changed[effect.row] = row + effect.level * np.maximum(effect.value - row, 0.0)
    return changed


def times(shape: tuple[int, ...], effects: Iterable[Effect], kind: Kind) -> Floats:
    """The factors of a `…_times` kind, 1 where nothing happens. Returns shape `shape` = (n, m)."""
    factors = np.ones(shape)
    for effect in effects:
        if effect.kind is kind:
            factors[effect.row] *= 1.0 + effect.level * (effect.value - 1.0)
    return factors


def summed(shape: tuple[int, ...], effects: Iterable[Effect], kind: Kind) -> Floats:
    """value · level of one kind added up, 0 where nothing happens. Returns shape `shape` = (n, m)."""
    total = np.zeros(shape)
    for effect in effects:
        if effect.kind is kind:
            total[effect.row] += effect.value * effect.level
    return total
