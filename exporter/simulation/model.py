"""The state of all servers over some ticks: the normal day, with what failures make of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporter.simulation import counters as c
from exporter.simulation.boots import Boots
from exporter.simulation.effects import COUNTED, SERVED, Effect, Kind, drawn, summed, times
from exporter.simulation.gauges import Memory, Space, Stretch, decay, load_averages, running, stretch
from exporter.simulation.hardware import throttle
from exporter.simulation.load import MEAN_OF_MEDIAN, Load, Scale
from exporter.simulation.noise import Floats, Indices
from exporter.simulation.pattern import DAY_MS

Effects = Callable[[Indices], Sequence[Effect]]
"""The effects at the ends of some ticks (Unix ms), in the order in which they are to be applied."""

Offsets = Callable[[int], Floats]
"""What failures before a block have added to each counter since boot (or taken from it). Shape (n, ALL)."""

HISTORY_BLOCKS = 2 * c.BLOCKS  # two hours: what load 15 remembers of before is under 0.04 %
_DAY_BLOCKS = DAY_MS // c.BLOCK_MS


@dataclass(frozen=True, slots=True)
class State:
    """n servers over m ticks, the first ending at `first_ms + tick_ms`. Gauges have shape (n, m).

    counters: shape (n, ALL, m), since boot, whole numbers. loads: shape (3, n, m). boot_s: Unix seconds.
    latency_s: mean of the tick's requests. skew_s: how far each server's clock is ahead.
    """

    first_ms: int
    tick_ms: int
    cpu: Floats
    loads: Floats
    memory: Floats
    disk: Floats
    system_disk: Floats
    counters: Floats
    latency_s: Floats
    boot_s: Floats
    skew_s: Floats
    up: NDArray[np.bool_]
    service_up: NDArray[np.bool_]

    def only(self, tick: int) -> State:
        """The same at one of the ticks."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                values[name] = value[..., tick : tick + 1]
        return State(**{**values, "first_ms": self.first_ms + tick * self.tick_ms})


class Model:
    """n servers. `ticks_per_block` ticks make 5 minutes. `effects`: what failures do to them; none at first."""

    def __init__(self, load: Load, ticks_per_block: int, seed: int) -> None:
        self.load = load
        self.per_block = ticks_per_block
        self.tick_ms = c.BLOCK_MS // ticks_per_block
        self.effects: Effects = lambda ends_ms: ()
        self._counters = c.Counters(load, ticks_per_block)
        self._boots = Boots(seed, [server.name for server in load.servers])
        self._memory, self._space = Memory(load), Space(load)
        self._base = functools.lru_cache(maxsize=4)(self._read_base)
        self._keep = decay(self.tick_ms / 1000.0)
        self._remembered: dict[int, Stretch] = {}

    def boot_days(self, day: int) -> Indices:
        """The day at whose start each server was last booted by plan. Shape (n,)."""
        return self._boots.before(day)

    def _read_base(self, day: int) -> Floats:
        return self._counters.since(self.boot_days(day), day)

    def ends(self, first_block: int, blocks: int) -> Indices:
        """When the ticks of some blocks end. Shape (m,), Unix ms."""
        return (_index(first_block, blocks, self.per_block) + 1) * self.tick_ms

    def forget(self) -> None:
        """Drop what was kept between calls, because the effects have changed."""
        self._remembered.clear()

    def _demand_and_cpu(self, first_block: int, blocks: int) -> tuple[Floats, Floats]:
        """Both of shape (n, 1 + m), for some blocks and the tick before them."""
        index = np.concatenate(([first_block * self.per_block - 1], _index(first_block, blocks, self.per_block)))
        middle = index * self.tick_ms + self.tick_ms // 2
        demand = self.load.demand(middle, index, Scale.TICK)
        effects = self.effects((index + 1) * self.tick_ms)
        return demand, self._affected_cpu(self.load.cpu(demand, middle, index), demand, effects)

    def _stretches(self, first_block: int, end_block: int) -> list[Stretch]:
        """What load averages remember of some blocks; each is computed once while it is of use."""
        missing = [block for block in range(first_block, end_block) if block not in self._remembered]
        if missing:
            self._remember(missing[0], missing[-1] - missing[0] + 1)
        for block in [block for block in self._remembered if not first_block <= block < end_block]:
            del self._remembered[block]
        return [self._remembered[block] for block in range(first_block, end_block)]

    def _remember(self, first_block: int, blocks: int) -> None:
        for start in range(first_block, first_block + blocks, c.BLOCKS):
            many = min(c.BLOCKS, first_block + blocks - start)
            threads = running(self.load.cores, self._demand_and_cpu(start, many)[1])
            for number in range(many):
                part = slice(number * self.per_block, (number + 1) * self.per_block + 1)
                self._remembered[start + number] = stretch(threads[:, part], self._keep)

    def _affected_cpu(self, cpu: Floats, demand: Floats, effects: Sequence[Effect]) -> Floats:
        if not effects:
            return cpu
        more = self.load.slope * demand * (times(cpu.shape, effects, Kind.DEMAND_TIMES) - 1.0)
        cpu = np.clip((cpu + more) * times(cpu.shape, effects, Kind.CPU_TIMES), 0.4, 99.4)
        return drawn(cpu, effects, Kind.CPU_TO)

    def state(self, first_block: int, blocks: int, offsets: Offsets) -> State:
        """Everything about some blocks of one hour."""
        ends = self.ends(first_block, blocks)
        effects = self.effects(ends)
        demand, cpu = self._demand_and_cpu(first_block, blocks)
        loads = self._loads(running(self.load.cores, cpu), first_block, blocks)
        demand, cpu = np.ascontiguousarray(demand[:, 1:]), np.ascontiguousarray(cpu[:, 1:])
        day = first_block // _DAY_BLOCKS
        today = self._counters.ticks(demand, first_block, blocks)
        gains = np.diff(today, axis=2)
        median = self._median(demand, effects)
        extra = self._extra(gains, median, effects)
        if extra is not None:
            gains += extra
        totals = (self._base(day) + offsets(first_block))[:, :, None] + today[:, :, 1:]  # whole numbers: in any order
        if extra is not None:
            totals += np.cumsum(extra, axis=2)
        written = self._space.written(self._counters, day, today[:, :, 1:])
        disk, system_disk = self._space.percent(written, self._counters.written_per_day())
        memory = self._memory.percent(ends) * times(cpu.shape, effects, Kind.MEMORY_TIMES)
        absent = np.maximum(summed(cpu.shape, effects, Kind.DOWN), summed(cpu.shape, effects, Kind.CRASH)) >= 0.5
        return State(
            first_ms=int(ends[0]) - self.tick_ms,
            tick_ms=self.tick_ms,
            cpu=cpu,
            loads=loads,
            memory=np.minimum(drawn(memory, effects, Kind.MEMORY_TO), 99.6),
            disk=np.minimum(drawn(disk, effects, Kind.DISK_TO), 100.0),
            system_disk=system_disk,
            counters=totals,
            latency_s=_mean_latency(gains, median),
            boot_s=np.repeat(self.boot_days(day)[:, None] * (DAY_MS / 1000.0), len(ends), axis=1),
            skew_s=np.rint(summed(cpu.shape, effects, Kind.CLOCK_SKEW)),
            up=~absent,
            service_up=summed(cpu.shape, effects, Kind.SERVICE_DOWN) < 0.5,
        )

    def _loads(self, threads: Floats, first_block: int, blocks: int) -> Floats:
        """Load averages of some blocks. threads: shape (n, 1 + m), from the tick before. Returns shape (3, n, m)."""
        before = self._stretches(first_block - HISTORY_BLOCKS, first_block)
        loads = np.empty((3, len(threads), blocks * self.per_block))
        for number in range(blocks):
            part = slice(number * self.per_block, (number + 1) * self.per_block)
            mine = threads[:, part.start : part.stop + 1]
            loads[:, :, part] = load_averages(mine, before, self._keep)
            self._remembered[first_block + number] = stretch(mine, self._keep)
            before = [*before[1:], self._remembered[first_block + number]]
        return loads

    def surplus(self, blocks: Indices) -> Floats:
        """What failures add to each counter in each of any blocks. blocks: rising. Shape (n, ALL, len(blocks))."""
        index = (blocks[:, None] * self.per_block + np.arange(self.per_block, dtype=np.int64)).ravel()
        demand = self.load.demand(index * self.tick_ms + self.tick_ms // 2, index, Scale.TICK)
        gains = self._counters.gains(demand, blocks)
        effects = self.effects((index + 1) * self.tick_ms)
        extra = self._extra(gains, self._median(demand, effects), effects)
        shape = (*gains.shape[:2], len(blocks), self.per_block)
        surplus: Floats = np.zeros(shape[:3]) if extra is None else extra.reshape(shape).sum(axis=3)
        return surplus

    def _median(self, demand: Floats, effects: Sequence[Effect]) -> Floats:
        # of the cpu without the noise of a moment, as on a day without effects: they alone make the difference
        cpu = self._affected_cpu(self.load.expected_cpu(demand), demand, effects)
        median = self.load.median_latency(cpu)
        if not effects:
            return median
        slowed = median * times(cpu.shape, effects, Kind.LATENCY_TIMES)
        return drawn(slowed * MEAN_OF_MEDIAN, effects, Kind.LATENCY_TO) / MEAN_OF_MEDIAN

    def _extra(self, gains: Floats, median_s: Floats, effects: Sequence[Effect]) -> Floats | None:
        """What failures add to the gains of each tick; None without one.

        gains: shape (n, ALL, m). median_s: of the latency with the effects, shape (n, m).
        """
        rows = np.array(sorted({effect.row for effect in effects if effect.kind in COUNTED}), dtype=np.int64)
        if not len(rows):
            return None
        shape = median_s.shape
        demand = times(shape, effects, Kind.DEMAND_TIMES)
        serving = summed(shape, effects, Kind.SERVICE_DOWN) < 0.5
        wanted = (gains[:, : c.CLASSES].sum(axis=1) * demand * serving)[rows]
        failed = np.floor(wanted * np.minimum(summed(shape, effects, Kind.ERRORS)[rows], 1.0))
        refused = np.ceil(wanted - self.load.capacity[rows] * self.tick_ms / 1000.0)  # for want of cores
        failed = np.where(demand[rows] > 1.0, np.maximum(failed, refused), failed)
        classes = c.latency_classes(median_s[rows])
        changed = gains[rows]
        upto = np.floor(np.cumsum(classes, axis=1) * np.floor(wanted - failed)[:, None] + 1e-6)
        changed[:, : c.CLASSES] = np.diff(upto, axis=1, prepend=0.0)
        changed[:, c.FAILURES] = changed[:, c.FAILURES] * serving[rows] + failed
        disk = (demand * times(shape, effects, Kind.DISK_IO_TIMES))[rows]
        changed[:, c.READS : c.WRITE_SECTORS + 1] = np.floor(changed[:, c.READS : c.WRITE_SECTORS + 1] * disk[:, None])
        network = (demand * serving * times(shape, effects, Kind.NETWORK_TIMES))[rows]
        changed[:, c.RX_PACKETS : c.TX_BYTES + 1] = np.floor(
            changed[:, c.RX_PACKETS : c.TX_BYTES + 1] * network[:, None]
        )
        throttle(changed, self.tick_ms / 1000.0)
        changed[:, c.SWITCHES] = np.floor(changed[:, c.SWITCHES] * demand[rows])
        lost = np.floor(summed(shape, effects, Kind.LOSS)[rows] * self.tick_ms / 1000.0)
        changed[:, c.RX_ERRORS] += lost
        changed[:, c.TX_DROPS] += lost
        extra = np.zeros_like(gains)
        extra[rows] = (changed - gains[rows]) * _felt(shape, effects, COUNTED)[rows][:, None]
        served = _felt(shape, effects, SERVED)[rows][:, None]
        extra[rows[:, None], [*range(c.CLASSES), c.FAILURES]] *= served
        return extra


def _index(first_block: int, blocks: int, per_block: int) -> Indices:
    return np.arange(first_block * per_block, (first_block + blocks) * per_block, dtype=np.int64)


def _felt(shape: tuple[int, ...], effects: Sequence[Effect], kinds: Collection[Kind]) -> NDArray[np.bool_]:
    """Where any effect of these kinds is felt at all: elsewhere not even rounding may change. Shape (n, m)."""
    felt = np.zeros(shape, dtype=np.bool_)
    for effect in effects:
        if effect.kind in kinds:
            felt[effect.row] |= effect.level > 0.0
    return felt


def _mean_latency(gains: Floats, median: Floats) -> Floats:
    """Mean seconds of each tick's requests; what they would take where there was none."""
    served = gains[:, : c.CLASSES]
    count = served.sum(axis=1)
    total = (served * np.array(c.TYPICAL_S)[:, None]).sum(axis=1)
    mean: Floats = np.where(count > 0.0, total / np.maximum(count, 1.0), median * MEAN_OF_MEDIAN)
    return mean
