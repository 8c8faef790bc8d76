"""What a failure does to a server's hidden state: a few primitive effects, each of one kind, value and level."""

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
