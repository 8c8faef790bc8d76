"""A datasource's answers at many instants, asked for by range queries in advance.

Where the answer to a range is an error, its halves are asked, and in the end instants one by one: an error belongs
to its instant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from alerter.datasource.querier import QueryError, split_steps
from alerter.decisions.evaluation import Element
from alerter.tools.replay import History

STEPS_AT_ONCE = 5_000
_FEW = 16
_AT_THE_SAME_TIME = 4
_MS = 1_000


class Answers:
    """The vectors of expressions by instant, in Unix ms."""

    def __init__(self, past: History) -> None:
        self._past = past
        self._known: dict[tuple[str, int], list[Element] | QueryError] = {}
        self._turn = asyncio.Semaphore(_AT_THE_SAME_TIME)

    def forget(self) -> None:
        """Let go of every answer."""
        self._known = {}

    def get(self, expr: str, t_ms: int) -> list[Element]:
        """The answer that was asked for. Raises QueryError where it was an error, KeyError where nobody asked."""
        answer = self._known[expr, t_ms]
        if isinstance(answer, QueryError):
            raise answer
        return answer

    async def ask(self, expr: str, instants: Sequence[int], step_ms: int, *, only_at_once: bool) -> None:
        """Ask for the answers at equidistant instants. Raises QueryError for a datasource that cannot be reached."""
        if not instants or (expr, instants[0]) in self._known:
            return
        async with self._turn:
            if only_at_once:
                await self._one_by_one(expr, instants)
            else:
                await self._range(expr, instants, step_ms)

    async def _range(self, expr: str, instants: Sequence[int], step_ms: int) -> None:
        step_s = step_ms / _MS
        answers: dict[int, list[Element]] = {t: [] for t in instants}
        try:
            for start, end in split_steps(instants[0] / _MS, instants[-1] / _MS, step_s, STEPS_AT_ONCE):
                for series in await self._past.range(expr, start, end, step_s):
                    for t, value in series.points:
                        _at(answers, t).append(Element(series.labels, value))
        except QueryError as err:
            if not err.reachable:
                raise
            if len(instants) <= _FEW:
                await self._one_by_one(expr, instants)
            else:
                middle = len(instants) // 2
                await self._range(expr, instants[:middle], step_ms)
                await self._range(expr, instants[middle:], step_ms)
            return
        self._known.update({(expr, t): answer for t, answer in answers.items()})

    async def _one_by_one(self, expr: str, instants: Sequence[int]) -> None:
        for t_ms in instants:
            try:
                self._known[expr, t_ms] = await self._past.instant(expr, t_ms / _MS)
            except QueryError as err:
                if not err.reachable:
                    raise
                self._known[expr, t_ms] = err


def _at(answers: dict[int, list[Element]], t: float) -> list[Element]:
    found = answers.get(round(t * _MS))
    if found is None:
        raise QueryError(f"range query answered with {t}, at which nobody asked")
    return found
