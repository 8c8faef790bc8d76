"""Counters that can be computed at any time without adding up every tick before it.

    days since boot  ->  24 hours  ->  12 blocks of 5 minutes  ->  ticks

The total of a day follows from the calendar alone. It is split among its hours in proportion to the demand of
each, an hour's part among its blocks, a block's part among its ticks: a conservative cascade. Every split is
of whole units, so what the parts hold is exactly what the whole holds, counters never fall, and nothing depends
on where one started. Reading one time costs days + 24 + 12 + ticks of one block.
"""

from __future__ import annotations

import functools

import numpy as np

from exporter.simulation.load import LATENCY_SHAPE, Load, Scale
from exporter.simulation.noise import Floats, Indices, Keys, normal, uniform
from exporter.simulation.pattern import DAY_MS, HOUR_MS

BLOCK_MS = 300_000
BLOCKS = HOUR_MS // BLOCK_MS
BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TYPICAL_S = (0.003, 0.007, 0.016, 0.036, 0.071, 0.16, 0.35, 0.69, 1.5, 3.4, 6.8, 15.0)  # within each bucket
SECTOR = 512
_WATCH = 4  # hours whose counters are kept together: all of a day's would be 80 MB of 20,000 servers
_SPELL = 3  # blocks likewise, where one is asked for after the other

CLASSES = len(BOUNDS_S) + 1  # requests by latency: over the bound before, up to this one
SWITCHES, READS, READ_SECTORS, WRITES, WRITE_SECTORS, RX_PACKETS, RX_BYTES, TX_PACKETS, TX_BYTES = range(12, 21)
SPLIT = 21  # counters that the cascade splits
RX_ERRORS, TX_DROPS, FAILURES = range(21, 24)  # rare events
ALL = 24

_FLAKY = (0.3, 0.3, 0.35)  # the part of the servers that know each rare event at all
_BURSTS_A_DAY = np.array([3.0, 11.0, 5.0])  # sizes of a day's bursts of rare events, times the server's own
_DISK_BURST_CHANCE = 0.05
_GRAINS = 1 << 20  # of a rate: the largest rates of a day still add up below 2**53
# deviation of the logarithm of the noise of each activity and of the mean size of its operations, by scale
_ACTIVITY_SD = ((0.03, 0.10, 0.10, 0.02, 0.02), (0.03, 0.20, 0.15, 0.02, 0.02), (0.05, 0.45, 0.20, 0.02, 0.02))
_SIZE_SD = ((0.02, 0.02, 0.01, 0.01), (0.05, 0.05, 0.02, 0.02), (0.30, 0.25, 0.03, 0.03))


def latency_classes(median_s: Floats) -> Floats:
    """The part of the requests in each latency class. median_s: shape (n, m). Returns shape (n, CLASSES, m)."""
    log = np.log(median_s)[:, None]
    below = 1.0 / (1.0 + np.exp(LATENCY_SHAPE * (log - np.log(BOUNDS_S)[:, None])))
    parts = np.empty((len(median_s), CLASSES, median_s.shape[1]))
    parts[:, 0], parts[:, -1] = below[:, 0], 1.0 - below[:, -1]
    np.subtract(below[:, 1:], below[:, :-1], out=parts[:, 1:-1])
    return parts


def _split(whole: Floats, weights: Floats) -> Floats:
    """Where each part ends when a whole is split by weight along the last axis; the last one ends at the whole.

    whole: shape (…), whole numbers. weights: shape (…, parts). Returns shape (…, parts), whole numbers.
    """
    ends = np.cumsum(weights, axis=-1)
    ends /= ends[..., -1:].copy()
    ends *= whole[..., None]
    return np.floor(ends, out=ends)


def _with_zero(ends: Floats) -> Floats:
    return np.concatenate((np.zeros((*ends.shape[:-1], 1)), ends), axis=-1)


class Counters:
    """All counters of n servers in whole units."""

    def __init__(self, load: Load, ticks_per_block: int) -> None:
        self._load = load
        self._per_block = ticks_per_block
        self._tick_ms = BLOCK_MS // ticks_per_block
        self._activity = [[load.key(f"activity/{scale}/{number}") for number in range(5)] for scale in range(3)]
        self._sizes = [[load.key(f"size/{scale}/{number}") for number in range(4)] for scale in range(3)]
        self._burst = load.key("disk/burst")
        self._event_keys = [load.key(f"event/{number}") for number in range(len(_FLAKY))]
        self._event_sizes = [_event_size(key, part) for key, part in zip(self._event_keys, _FLAKY, strict=True)]
        self._steady = np.array([[role.steady] for role in load.roles])
        self._burst_size = np.array([[role.disk_io.bursts] for role in load.roles])
        self._rates, self._mean_sizes = self._profile()
        self._curves: list[Floats] = []
        self._kind = functools.lru_cache(maxsize=4096)(self._read_kind)
        self._day_total = functools.lru_cache(maxsize=32)(self._read_day_total)
        self._hours = functools.lru_cache(maxsize=1)(self._read_hours)
        self._blocks = functools.lru_cache(maxsize=1)(self._read_blocks)

    def _profile(self) -> tuple[Floats, Floats]:
        """Activities per second at demand 1, shape (n, 5), and units per operation, shape (n, 4)."""
        rates, sizes = [], []
        for role, size in zip(self._load.roles, self._load.size[:, 0], strict=True):
            work, (rx, tx) = role.disk_io, role.network
            switches = 900.0 + 14.0 * role.requests + 60.0 * role.cpu
            packets = (rx * 125_000.0 / 820.0, tx * 125_000.0 / 940.0)
            rates.append([size * rate for rate in (switches, work.reads, work.writes, *packets)])
            sizes.append((work.read_kib * 2.0, work.write_kib * 2.0, 820.0, 940.0))
        return np.array(rates), np.array(sizes)

    def written_per_day(self) -> Floats:
        """Sectors that an ordinary day writes. Shape (n, 1)."""
        return (self._rates[:, 2] * self._mean_sizes[:, 1] * 86_400.0)[:, None]

    def _weights(self, demand: Floats, index: Indices | None = None, scale: Scale = Scale.HOUR) -> Floats:
        """The rate of every split counter at this demand, with the noise of a scale unless index is None.

        demand: shape (n, m). Returns shape (n, SPLIT, m), in whole grains per second.
        """
        weights = np.empty((len(demand), SPLIT, demand.shape[1]))
        median = self._load.median_latency(self._load.expected_cpu(demand))
        weights[:, :CLASSES] = latency_classes(median) * (demand * self._load.requests)[:, None]
        activity = self._rates[:, :, None] * (self._steady + (1.0 - self._steady) * demand)[:, None]
        sizes = np.repeat(self._mean_sizes[:, :, None], demand.shape[1], axis=2)
        if index is not None:
            _disturb(activity, self._activity[scale], _ACTIVITY_SD[scale], index)
            _disturb(sizes, self._sizes[scale], _SIZE_SD[scale], index)
            if scale is Scale.TICK:
                activity[:, 2] *= self._disk_bursts(index)
        weights[:, SWITCHES] = activity[:, 0]
        weights[:, READS:TX_BYTES:2] = activity[:, 1:]
        weights[:, READ_SECTORS : TX_BYTES + 1 : 2] = activity[:, 1:] * sizes
        # the last bits of exp and log differ between machines: in whole grains the sums and splits do not
        weights *= _GRAINS
        return np.ceil(weights, out=weights)

    def _disk_bursts(self, tick: Indices) -> Floats:
        chance = uniform(self._burst, tick)
        depth = chance / _DISK_BURST_CHANCE
        burst: Floats = 1.0 + np.where(depth < 1.0, self._burst_size * (0.5 + 1.2 * (1.0 - depth) ** 2), 0.0)
        return burst

    def since(self, first_day: Indices, day: int) -> Floats:
        """What each counter gained from the start of `first_day` to that of `day`.

        first_day: shape (n,), days since 1970, none after `day`. Returns shape (n, ALL).
        """
        gained = np.zeros((len(first_day), ALL))
        start = int(first_day.min())
        kinds = np.array([self._kind(number) for number in range(start, day)], dtype=np.int64)
        for kind in sorted(set(kinds.tolist())):  # np.unique would import what costs megabytes
            upto = np.concatenate(([0], np.cumsum(kinds == kind)))
            gained[:, :SPLIT] += self._day_total(kind) * (upto[-1] - upto[first_day - start])[:, None]
        for number, size in enumerate(self._event_sizes):
            gained[:, SPLIT + number] = size[:, 0] * _BURSTS_A_DAY.sum() * (day - first_day)
        return gained

    def _read_kind(self, day: int) -> int:
        """Days whose expected demand is the same are of one kind."""
        middles = day * DAY_MS + HOUR_MS // 2 + np.arange(24, dtype=np.int64) * HOUR_MS
        curve = self._load.pattern.demand(middles)
        for number, known in enumerate(self._curves):
            if np.array_equal(known, curve):
                return number
        self._curves.append(curve)
        return len(self._curves) - 1

    def _read_day_total(self, kind: int) -> Floats:
        weights = self._weights(self._curves[kind][self._load.role_row])
        total: Floats = np.rint(weights.sum(axis=2) * (3600.0 / _GRAINS))
        return total

    def _read_hours(self, watch: int) -> Floats:
        """Shape (n, SPLIT, 5): counters at the edges of the hours of a watch, since the start of its day."""
        day, hour = divmod(watch * _WATCH, 24)
        return self._hours_of(np.array([day], dtype=np.int64))[:, :, 0, hour : hour + _WATCH + 1].copy()

    def _hours_of(self, days: Indices) -> Floats:
        """Shape (n, SPLIT, len(days), 25)."""
        index = (days[:, None] * 24 + np.arange(24, dtype=np.int64)).ravel()
        demand = self._load.demand(index * HOUR_MS + HOUR_MS // 2, index, Scale.HOUR)
        weights = self._weights(demand, index, Scale.HOUR)
        whole = np.stack([self._day_total(self._kind(day)) for day in days.tolist()], axis=2)
        return _with_zero(_split(whole, weights.reshape(*whole.shape, 24)))

    def _read_blocks(self, first_block: int, blocks: int) -> Floats:
        """Shape (n, SPLIT, blocks + 1): counters at the edges of some blocks of an hour, since the start of its day."""
        hour, place = divmod(first_block, BLOCKS)
        watch, number = divmod(hour, _WATCH)
        edges = self._hours(watch)[:, :, number : number + 2]
        of_hour = self._blocks_of(np.array([hour], dtype=np.int64), edges[:, :, :1], edges[:, :, 1:])[:, :, 0]
        return of_hour[:, :, place : place + blocks + 1].copy()

    def _blocks_of(self, hours: Indices, before: Floats, after: Floats) -> Floats:
        """Shape (n, SPLIT, len(hours), 13). before, after: counters at the hours' edges, (n, SPLIT, len(hours))."""
        index = (hours[:, None] * BLOCKS + np.arange(BLOCKS, dtype=np.int64)).ravel()
        demand = self._load.demand(index * BLOCK_MS + BLOCK_MS // 2, index, Scale.BLOCK)
        weights = self._weights(demand, index, Scale.BLOCK)
        return before[..., None] + _with_zero(_split(after - before, weights.reshape(*before.shape, BLOCKS)))

    def ticks(self, demand: Floats, first_block: int, blocks: int) -> Floats:
        """Counters before and at every tick of some blocks of one hour, since the start of its day.

        demand: shape (n, m), m = blocks · ticks per block, at the scale of ticks.
        Returns shape (n, ALL, m + 1); the first is the value at the start of the first block.
        """
        kept = _SPELL if blocks == 1 else BLOCKS
        position = first_block % kept
        edges = self._blocks(first_block - position, kept)[:, :, position : position + blocks + 1]
        numbers = np.arange(first_block, first_block + blocks, dtype=np.int64)
        ends = self._ticks_of(demand, numbers, edges[:, :, :-1], edges[:, :, 1:])
        day = first_block // (24 * BLOCKS)
        counters = np.empty((len(demand), ALL, demand.shape[1] + 1))
        counters[:, :SPLIT, 0] = edges[:, :, 0]
        counters[:, :SPLIT, 1:] = ends.reshape(len(demand), SPLIT, -1)
        start, tick_ends = first_block * BLOCK_MS, self._ends(numbers).ravel()
        days = np.full(len(tick_ends) + 1, day, dtype=np.int64)
        counters[:, SPLIT:] = self._rare(days, np.concatenate(([start], tick_ends)))
        return counters

    def _ticks_of(self, demand: Floats, blocks: Indices, before: Floats, after: Floats) -> Floats:
        """Shape (n, SPLIT, len(blocks), ticks per block). before, after: at the edges of the blocks."""
        index = (blocks[:, None] * self._per_block + np.arange(self._per_block, dtype=np.int64)).ravel()
        weights = self._weights(demand, index, Scale.TICK).reshape(*before.shape, self._per_block)
        return _split(after - before, weights) + before[..., None]

    def gains(self, demand: Floats, blocks: Indices) -> Floats:
        """What every tick of any blocks adds, the same as the steps of `ticks`.

        demand: shape (n, m), m = len(blocks) · ticks per block. blocks: rising. Returns shape (n, ALL, m).
        """
        hours = _distinct(blocks // BLOCKS)
        days = _distinct(hours // 24)
        of_days = self._hours_of(days)
        day_place, hour = np.searchsorted(days, hours // 24), hours % 24
        of_hours = self._blocks_of(hours, of_days[:, :, day_place, hour], of_days[:, :, day_place, hour + 1])
        hour_place, position = np.searchsorted(hours, blocks // BLOCKS), blocks % BLOCKS
        before, after = of_hours[:, :, hour_place, position], of_hours[:, :, hour_place, position + 1]
        ends = self._ticks_of(demand, blocks, before, after)
        gains = np.empty((len(demand), ALL, demand.shape[1]))
        gains[:, :SPLIT] = np.diff(ends, axis=-1, prepend=before[..., None]).reshape(len(demand), SPLIT, -1)
        tick_ends = self._ends(blocks).ravel()
        day = np.repeat(blocks // (24 * BLOCKS), self._per_block)
        gains[:, SPLIT:] = self._rare(day, tick_ends) - self._rare(day, tick_ends - self._tick_ms)
        return gains

    def _ends(self, blocks: Indices) -> Indices:
        """When the ticks of blocks end. Shape (len(blocks), ticks per block), Unix ms."""
        ends: Indices = blocks[:, None] * BLOCK_MS + np.arange(1, self._per_block + 1, dtype=np.int64) * self._tick_ms
        return ends

    def _rare(self, day: Indices, t_ms: Indices) -> Floats:
        """Shape (n, rare counters, m): errors and drops at some times, since the start of the day of each."""
        rare = np.zeros((len(self._steady), ALL - SPLIT, len(t_ms)))
        since = t_ms - day * DAY_MS
        for number, (key, size) in enumerate(zip(self._event_keys, self._event_sizes, strict=True)):
            for burst, count in enumerate(_BURSTS_A_DAY):
                moment = uniform(key, day * len(_BURSTS_A_DAY) + burst) * DAY_MS
                rare[:, number] += np.where(moment < since, size * count, 0.0)
        return rare


def _distinct(rising: Indices) -> Indices:
    """Each value once. numpy's own would import what costs megabytes."""
    kept: Indices = rising[np.concatenate(([True], rising[1:] != rising[:-1]))]
    return kept


def _event_size(key: Keys, part: float) -> Floats:
    """How large a server's bursts of a rare event are; 0 for the servers that never see it. Shape (n, 1)."""
    draw = uniform(key, np.array([-1], dtype=np.int64))
    size: Floats = np.where(draw < part, np.ceil(1.0 + 3.0 * draw / part), 0.0)
    return size


def _disturb(values: Floats, keys: list[Keys], deviations: tuple[float, ...], index: Indices) -> None:
    for number, (key, deviation) in enumerate(zip(keys, deviations, strict=True)):
        values[:, number] *= np.exp(deviation * normal(key, index))
