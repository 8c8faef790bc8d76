"""A normal day: the hidden demand of each server and the cpu and latency that follow from it.

Demand has structure at three scales, hours, five-minute blocks and ticks. Each scale can be asked for alone,
which is what lets counters be computed at any time without adding up all ticks before it (see `counters`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum

import numpy as np

from exporter.model import Server
from exporter.simulation.noise import Floats, Indices, Keys, keys, normal, uniform, wander
from exporter.simulation.pattern import Pattern
from exporter.simulation.roles import Roles


class Scale(IntEnum):
    """How fine demand is asked for."""

    HOUR = 0
    BLOCK = 1
    TICK = 2


_MINUTE = 60_000
# (scale from which it counts, spacing of its knots, deviation shared by the role, deviation of the server's own)
_WANDERS = (
    (Scale.HOUR, 480 * _MINUTE, 0.13, 0.08),
    (Scale.HOUR, 180 * _MINUTE, 0.06, 0.04),
    (Scale.BLOCK, 45 * _MINUTE, 0.05, 0.03),
    (Scale.BLOCK, 15 * _MINUTE, 0.04, 0.03),
    (Scale.TICK, 2 * _MINUTE, 0.03, 0.03),
)
_KNEE, _ROOM = 62.0, 9.0  # a healthy server is given work until it nears 71 %: warnings begin at 75
_SPIKE_CHANCE = 0.01
LATENCY_SHAPE = 3.0  # log-logistic: deviation of the logarithm 0.6, p99 / p50 = 4.6
MEAN_OF_MEDIAN = float((np.pi / LATENCY_SHAPE) / np.sin(np.pi / LATENCY_SHAPE))


def queueing(busy: Floats) -> Floats:
    """How much longer a request takes than on an idle server. busy: 0 … 1."""
    rho = np.minimum(busy, 0.985)
    longer: Floats = 1.0 + 1.5 * rho * rho / (1.0 - rho)
    return longer


def limited(percent: Floats) -> Floats:
    """A percentage that nears 71 and does not pass it, for what a scheduler keeps from filling up."""
    over = np.maximum(percent - _KNEE, 0.0)
    kept: Floats = np.minimum(percent, _KNEE) + _ROOM * np.tanh(over / _ROOM)
    return kept


class Load:
    """The hidden state of n servers. Every answer has shape (n, m) for m instants."""

    def __init__(self, servers: Sequence[Server], roles: Roles, pattern: Pattern, seed: int) -> None:
        self.servers = tuple(servers)
        self.pattern = pattern
        names = [server.name for server in servers]
        order = {name: row for row, name in enumerate(roles.roles)}
        self.role_row = np.array([order[server.role] for server in servers], dtype=np.int64)
        self.roles = [roles.roles[server.role] for server in servers]
        self._seed, self._names = seed, names
        self._shared = [
            keys(seed, [server.role for server in servers], f"demand/{spacing}")[:, None]
            for _, spacing, _, _ in _WANDERS
        ]
        self._own = [self.key(f"demand/own/{spacing}") for _, spacing, _, _ in _WANDERS]
        self._white, self._spike = self.key("demand/white"), self.key("cpu/spike")
        self._cpu_keys = [self.key(f"cpu/{number}") for number in range(3)]
        typical = np.array([np.mean([size.cores for size in role.sizes]) for role in self.roles])[:, None]
        self.cores = self.column(lambda server: server.cores)
        once = np.zeros(1, dtype=np.int64)
        self.size = self.cores / typical * (0.88 + 0.24 * uniform(self.key("size"), once))
        tuned = 0.94 + 0.12 * uniform(self.key("cpu/level"), once)
        self._idle = np.array([[role.cpu_idle] for role in self.roles])
        self.slope = (np.array([[role.cpu] for role in self.roles]) - self._idle) * tuned
        self.requests = np.array([[role.requests] for role in self.roles]) * self.size
        self.capacity = self.requests * (100.0 - self._idle) / self.slope  # requests per second that take all cores
        self._jitter = np.array([[role.jitter] for role in self.roles])
        self._white_sd = np.minimum(np.sqrt(3.0 / (self.requests * 15.0)), 0.2)
        busy = limited(self._idle + self.slope) / 100.0
        response = np.array([[role.response_ms / 1000.0] for role in self.roles])
        self._median_idle = response / (queueing(busy) * MEAN_OF_MEDIAN)

    def key(self, purpose: str) -> Keys:
        """One key per server for a purpose. Shape (n, 1)."""
        return keys(self._seed, self._names, purpose)[:, None]

    def column(self, read: Callable[[Server], float]) -> Floats:
        """A number per server as a column. Shape (n, 1)."""
        return np.array([[float(read(server))] for server in self.servers])

    def demand(self, t_ms: Indices, tick: Indices, scale: Scale) -> Floats:
        """Demand in the middle `t_ms` of intervals; `tick` numbers them and matters at the scale of ticks only."""
        log = np.zeros((len(self.servers), len(t_ms)))
        for (needed, spacing, shared, own), shared_key, own_key in zip(_WANDERS, self._shared, self._own, strict=True):
            if needed <= scale:
                log += shared * wander(shared_key, t_ms, spacing) + own * wander(own_key, t_ms, spacing)
        if scale is Scale.TICK:
            log += self._white_sd * normal(self._white, tick)
        demand: Floats = self.pattern.demand(t_ms)[self.role_row] * np.exp(log)
        return demand

    def expected_cpu(self, demand: Floats) -> Floats:
        """Percent of all cores that this demand takes, without the noise of a moment."""
        return limited(self._idle + self.slope * demand)

    def cpu(self, demand: Floats, t_ms: Indices, tick: Indices) -> Floats:
        """Percent of all cores in use."""
        expected = self.expected_cpu(demand)
        slow, quick, white = self._cpu_keys
        z = normal(white, tick)
        moment = self._jitter * z * (0.5 + 0.15 * z * z)  # mostly little, sometimes much
        quickly = 1.2 * np.sqrt(np.minimum(self._jitter, 1.0)) * wander(quick, t_ms, _MINUTE)
        noise = 1.4 * wander(slow, t_ms, 20 * _MINUTE) + quickly + moment
        chance = uniform(self._spike, tick)
        spike = np.where(chance < _SPIKE_CHANCE, 8.0 + 24.0 * (chance / _SPIKE_CHANCE) ** 2, 0.0)
        busy: Floats = np.clip(expected + noise * (0.35 + expected / 60.0) + spike, 0.4, 99.4)
        return busy

    def median_latency(self, cpu: Floats) -> Floats:
        """Seconds within which half of the requests are answered at this cpu percentage."""
        median: Floats = self._median_idle * queueing(cpu / 100.0)
        return median
