"""What failures leave behind in counters: units they added or took, and crashes after which all start at 0."""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from exporter.simulation.counters import ALL, BLOCK_MS
from exporter.simulation.effects import COUNTED, Kind
from exporter.simulation.model import Model
from exporter.simulation.noise import Floats, Indices
from exporter.simulation.pattern import DAY_MS
from exporter.simulation.plans import Plan

_DAY_BLOCKS = DAY_MS // BLOCK_MS
_TOGETHER = 48  # blocks of a few servers in one go: some megabytes

Surplus = tuple[tuple[Plan, ...], Floats]
"""What failures added to a server in one block: the plans that made it so, and each counter's gain, shape (ALL,)."""


@dataclass(slots=True, eq=False)
class _Trace:
    """The blocks in which failures touched a server's counters, rising, and what they added since one of them.

    Invariant: sums[i] is what blocks[first : first + i] added.
    """

    row: int
    blocks: list[int]
    plans: dict[int, tuple[Plan, ...]]
    first: int = 0
    sums: list[Floats] = field(default_factory=lambda: [np.zeros(ALL)])

    def between(self, first_block: int, end_block: int) -> tuple[int, int]:
        """The places of the blocks from one up to another."""
        return bisect_left(self.blocks, first_block), bisect_left(self.blocks, end_block)


class Aftermath:
    """Sums over the blocks that failures touched, each computed once, on the servers that they touched only."""

    def __init__(
        self,
        plans: Sequence[Plan],
        names: Sequence[str],
        boot_days: Callable[[int], Indices],
        make: Callable[[Sequence[str]], Model],
        tick_ms: int,
        known: dict[tuple[str, int], Surplus] | None = None,
    ) -> None:
        """boot_days: of all servers by day. make: a model of some of them.

        known: by server and block, kept by the caller from one set of plans to the next: only news is computed.
        """
        rows = {name: row for row, name in enumerate(names)}
        mine = [plan for plan in plans if plan.server in rows]
        self._tick_ms, self._size, self._boot_days = tick_ms, len(names), boot_days
        self._make = functools.lru_cache(maxsize=64)(make)
        self._traces = self._traced([plan for plan in mine if plan.kind in COUNTED], rows)
        self._known = {} if known is None else known
        for name, block in [at for at in self._known if at[0] not in self._traces or at[1] not in self._of(at[0])]:
            del self._known[name, block]
        self._crashes: dict[str, list[int]] = {}
        for plan in mine:
            if plan.kind is Kind.CRASH and (back := self._back_ms(plan)) is not None:
                self._crashes.setdefault(plan.server, []).append(back)
        self._rows = {name: rows[name] for name in (*self._traces, *self._crashes)}
        self._at_crash: dict[tuple[str, int], Floats] = {}

    def _traced(self, plans: Sequence[Plan], rows: dict[str, int]) -> dict[str, _Trace]:
        found: dict[str, dict[int, list[Plan]]] = {}
        for plan in plans:
            mine = found.setdefault(plan.server, {})
            for block in range(self._block(plan.start_ms), self._block(plan.end_ms) + 1):
                mine.setdefault(block, []).append(plan)
        return {
            name: _Trace(rows[name], sorted(mine), {block: tuple(there) for block, there in mine.items()})
            for name, mine in found.items()
        }

    def _of(self, name: str) -> dict[int, tuple[Plan, ...]]:
        return self._traces[name].plans

    def _block(self, t_ms: int) -> int:
        return (t_ms // self._tick_ms - 1) * self._tick_ms // BLOCK_MS

    def _back_ms(self, plan: Plan) -> int | None:
        """The end of the first tick at which a crashed server is back."""
        first = -(-plan.start_ms // self._tick_ms) * self._tick_ms
        ends = np.arange(first, plan.end_ms + 2 * self._tick_ms, self._tick_ms, dtype=np.int64)
        down = np.flatnonzero(plan.levels(ends) * plan.value >= 0.5)
        return int(ends[down[-1] + 1]) if len(down) else None

    def offsets(self, first_block: int) -> Floats:
        """What has been added to each counter since boot and before a block. Shape (n, ALL)."""
        offsets = np.zeros((self._size, ALL))
        if self._traces:
            boots = self._boot_days(first_block // _DAY_BLOCKS) * _DAY_BLOCKS
            spans = {name: trace.between(int(boots[trace.row]), first_block) for name, trace in self._traces.items()}
            self._compute(spans)
            for name, (start, end) in spans.items():
                if end > start:
                    offsets[self._traces[name].row] = self._sum(name, start, end)
        return offsets

    def _sum(self, name: str, start: int, end: int) -> Floats:
        """What a server's touched blocks of some places added."""
        trace = self._traces[name]
        if trace.first != start:
            trace.first, trace.sums = start, trace.sums[:1]
        while len(trace.sums) <= end - start:
            block = trace.blocks[start + len(trace.sums) - 1]
            trace.sums.append(trace.sums[-1] + self._known[name, block][1])
        return trace.sums[end - start]

    def _compute(self, spans: dict[str, tuple[int, int]]) -> None:
        """Make all blocks known that are needed; those that touched the same servers together."""
        missing: dict[int, list[str]] = {}
        for name, (start, end) in spans.items():
            trace = self._traces[name]
            first = start if trace.first != start else max(start, start + len(trace.sums) - 1)
            for block in trace.blocks[first:end]:
                known = self._known.get((name, block))
                if known is None or known[0] != trace.plans[block]:
                    missing.setdefault(block, []).append(name)
        alike: dict[tuple[str, ...], list[int]] = {}
        for block in sorted(missing):
            alike.setdefault(tuple(missing[block]), []).append(block)
        for names, blocks in alike.items():
            for place in range(0, len(blocks), _TOGETHER):
                self._learn(names, blocks[place : place + _TOGETHER])

    def _learn(self, names: tuple[str, ...], blocks: list[int]) -> None:
        extra = self._make(names).surplus(np.array(blocks, dtype=np.int64))
        for row, name in enumerate(names):
            for number, block in enumerate(blocks):
                self._known[name, block] = (self._of(name)[block], extra[row, :, number].copy())

    def resets(self, first_block: int, ends: Indices) -> list[tuple[int, int, Floats]]:
        """Crashes that count by the end of these ticks: row, when the server was back, its counters then.

        Those before a server's last planned boot no longer matter, nor does one that was over before the first of
        these ticks if another one was too. In the order in which they happened.
        """
        if not self._crashes:
            return []
        boots = self._boot_days(first_block // _DAY_BLOCKS) * DAY_MS
        found = []
        for name, times in self._crashes.items():
            row = self._rows[name]
            backs = sorted(back for back in times if boots[row] < back <= int(ends[-1]))
            before = [back for back in backs if back <= int(ends[0])]
            found += [(row, back, self._counters_at(name, back)) for back in backs[max(0, len(before) - 1) :]]
        return sorted(found, key=lambda reset: reset[1])

    def _counters_at(self, name: str, t_ms: int) -> Floats:
        known = self._at_crash.get((name, t_ms))
        if known is None:
            state = self._make((name,)).state(self._block(t_ms), 1, lambda first: self._offset(name, first))
            position = (t_ms - state.first_ms) // state.tick_ms - 1
            known = self._at_crash[name, t_ms] = state.counters[0, :, position]
        return known

    def _offset(self, name: str, first_block: int) -> Floats:
        """Of one server. Shape (1, ALL)."""
        trace = self._traces.get(name)
        if trace is None:
            return np.zeros((1, ALL))
        boot = int(self._boot_days(first_block // _DAY_BLOCKS)[trace.row]) * _DAY_BLOCKS
        start, end = trace.between(boot, first_block)
        self._compute({name: (start, end)})
        return self._sum(name, start, end)[None]
