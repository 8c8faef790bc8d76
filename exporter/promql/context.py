"""What stays the same while one query is evaluated: where data comes from, limits, and what is noted on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from exporter.model import Matcher, Queryable, SeriesSet, Tiered, Wanted
from exporter.promql.annotations import Annotations
from exporter.promql.arrays import Times
from exporter.promql.ast import At, AtEdge, Expr
from exporter.promql.cancellation import Cancellation
from exporter.promql.errors import TooManySamples
from exporter.promql.invariance import Invariance

# 73 million years from now on: beyond, sums of times would not fit into 64 bits.
FURTHEST_MS = 1 << 61

_Asked = tuple[tuple[Matcher, ...], int, int, Wanted]


@dataclass(slots=True, eq=False)
class Context:
    """One query. start_ms, end_ms: what `@ start()` and `@ end()` mean.

    default_step_ms: the step of a subquery that names none. limit: most samples to have in memory.
    """

    queryable: Queryable
    start_ms: int
    end_ms: int
    lookback_ms: int
    default_step_ms: int
    limit: int
    cancellation: Cancellation
    notes: Annotations = field(default_factory=Annotations)
    invariance: Invariance = field(default_factory=Invariance)
    _known: dict[_Asked, list[SeriesSet]] = field(default_factory=dict)

    def is_invariant(self, expr: Expr) -> bool:
        """Whether the expression has one value for all steps."""
        return self.invariance.of(expr)

    def reference_times(self, at_ms: Times, at: At, offset_ms: int) -> Times:
        """The instants that a selector with these modifiers looks at, for steps at `at_ms`; each of shape (k,)."""
        if at is None:
            return at_ms - offset_ms
        pinned = at if isinstance(at, int) else self.start_ms if at is AtEdge.START else self.end_ms
        pinned = max(-FURTHEST_MS, min(pinned, FURTHEST_MS))
        moments: Times = at_ms * 0 + (pinned - offset_ms)
        return moments

    def select(
        self, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int, wanted: Wanted = Wanted.LAST
    ) -> Sequence[SeriesSet]:
        """The stored samples from `start_ms` to `end_ms`; asked twice, read once."""
        self.cancellation.check()
        tiered = self.queryable if isinstance(self.queryable, Tiered) else None
        key = (matchers, start_ms, end_ms, wanted if tiered else Wanted.LAST)
        found = self._known.get(key)
        if found is None:
            if tiered:
                found = tiered.select_wanted(matchers, start_ms, end_ms, wanted)
            else:
                found = self.queryable.select(matchers, start_ms, end_ms)
            self._known[key] = found
            if sum(one.values.size for one in found) > self.limit:
                raise TooManySamples
        return found
