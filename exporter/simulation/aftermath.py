"""What failures leave behind in counters: units they added or took, and crashes after which all start at 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from exporter.simulation.counters import ALL, BLOCK_MS, BLOCKS
from exporter.simulation.effects import COUNTED, Kind
from exporter.simulation.model import Model
from exporter.simulation.noise import Floats, Indices
from exporter.simulation.pattern import DAY_MS
from exporter.simulation.plans import Plan

_DAY_BLOCKS = DAY_MS // BLOCK_MS

Surplus = tuple[tuple[Plan, ...], dict[str, Floats]]
"""What failures added in one block: the plans that made it so, and by server what each counter gained, shape (ALL,)."""


class Aftermath:
    """Sums over the blocks that failures touched, each computed once, on the affected servers only."""

    def __init__(
        self,
        plans: Sequence[Plan],
        names: Sequence[str],
        make: Callable[[Sequence[str]], Model],
        tick_ms: int,
        known: dict[int, Surplus] | None = None,
    ) -> None:
        """known: by block, kept by the caller from one set of plans to the next, so that only news is computed."""
        row_of = {name: row for row, name in enumerate(names)}
        mine = [plan for plan in plans if plan.server in row_of]
        counted = [plan for plan in mine if plan.kind in COUNTED]
        crashes = [plan for plan in mine if plan.kind is Kind.CRASH]
        self._affected = sorted({plan.server for plan in (*counted, *crashes)}, key=row_of.__getitem__)
        self._place = {name: place for place, name in enumerate(self._affected)}
        self._rows = np.array([row_of[name] for name in self._affected], dtype=np.int64)
        self._size = len(names)
        self._tick_ms = tick_ms
        self._model = make(self._affected) if self._affected else None
        self._plans = self._by_block(counted)
        self._known = {} if known is None else known
        for block in [block for block in self._known if block not in self._plans]:
            del self._known[block]
        self._touched = np.array(sorted(self._plans), dtype=np.int64)
        self._first = 0  # of the touched blocks, the first that is summed
        self._sums = [np.zeros((len(self._affected), ALL))]
        self._crashes = sorted(
            (plan.server, back) for plan in crashes for back in [self._back_ms(plan)] if back is not None
        )
        self._at_crash: dict[tuple[str, int], Floats] = {}

    def _by_block(self, plans: Sequence[Plan]) -> dict[int, tuple[Plan, ...]]:
        found: dict[int, list[Plan]] = {}
        for plan in plans:
            for block in range(self._block(plan.start_ms), self._block(plan.end_ms) + 1):
                found.setdefault(block, []).append(plan)
        return {block: tuple(there) for block, there in found.items()}

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
        if self._model is None or not len(self._touched) or self._touched[0] >= first_block:
            return offsets
        boots = self._model.boot_days(first_block // _DAY_BLOCKS) * _DAY_BLOCKS
        self._forget_before(int(boots.min()))
        now = int(np.searchsorted(self._touched, first_block)) - self._first
        self._sum_up_to(now)
        since = np.clip(np.searchsorted(self._touched, boots) - self._first, 0, now)
        rows = np.arange(len(self._affected))
        before = np.stack([self._sums[number][row] for number, row in zip(since, rows, strict=True)])
        offsets[self._rows] = self._sums[now] - before
        return offsets

    def _forget_before(self, block: int) -> None:
        """Start where nothing before matters to any server; start again when asked about an earlier time."""
        wanted = int(np.searchsorted(self._touched, block))
        if wanted < self._first or (wanted > self._first and len(self._sums) == 1):
            self._first = wanted
            self._sums = self._sums[:1]

    def _sum_up_to(self, count: int) -> None:
        while len(self._sums) <= count:
            position = self._first + len(self._sums) - 1
            if not self._is_known(position):
                self._compute(position, self._first + count)
            total = self._sums[-1].copy()
            for server, gained in self._known[int(self._touched[position])][1].items():
                total[self._place[server]] += gained
            self._sums.append(total)

    def _is_known(self, position: int) -> bool:
        block = int(self._touched[position])
        return block in self._known and self._known[block][0] == self._plans[block]

    def _compute(self, position: int, end: int) -> None:
        """Blocks that follow one another within an hour, from a position on, in one go."""
        assert self._model is not None
        first, run = int(self._touched[position]), 1
        while (
            position + run < end
            and (first + run) % BLOCKS
            and int(self._touched[position + run]) == first + run
            and not self._is_known(position + run)
        ):
            run += 1
        extra = self._model.surplus(first, run)
        for number in range(run):
            plans = self._plans[first + number]
            gained = {plan.server: extra[self._place[plan.server], :, number].copy() for plan in plans}
            self._known[first + number] = (plans, gained)

    def resets(self, first_block: int, ends: Indices) -> list[tuple[int, int, Floats]]:
        """Crashes that count by the end of these ticks: row, when the server was back, its counters then.

        Those before a server's last planned boot no longer matter, nor does one that was over before the first of
        these ticks if another one was too. In the order in which they happened.
        """
        if self._model is None:
            return []
        boots = self._model.boot_days(first_block // _DAY_BLOCKS) * DAY_MS
        mine: dict[str, list[int]] = {}
        for server, back in self._crashes:
            if boots[self._place[server]] < back <= int(ends[-1]):
                before = mine.setdefault(server, [])
                if back <= int(ends[0]):
                    before.clear()
                before.append(back)
        found = [
            (int(self._rows[self._place[server]]), back, self._counters_at(server, back))
            for server, times in mine.items()
            for back in times
        ]
        return sorted(found, key=lambda reset: reset[1])

    def _counters_at(self, server: str, t_ms: int) -> Floats:
        known = self._at_crash.get((server, t_ms))
        if known is None:
            assert self._model is not None
            block = self._block(t_ms)
            state = self._model.state(block, 1, lambda first: self.offsets(first)[self._rows])
            position = (t_ms - state.first_ms) // state.tick_ms - 1
            known = state.counters[self._place[server], :, position]
            self._at_crash[server, t_ms] = known
        return known
