"""How many samples a query has looked at, and has in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.promql.answer import SampleStatistics
from exporter.promql.errors import TooManySamples


class Tally:
    """Counts for one evaluation over a grid of k steps; a child counts for a part of it."""

    def __init__(self, steps: int, limit: int, held: int = 0) -> None:
        self._per_step = np.zeros(steps, dtype=np.int64)
        self._limit = limit
        self._held = held
        self._peak = held

    @property
    def held(self) -> int:
        """Samples in memory now."""
        return self._held

    def looked_at(self, per_step: NDArray[np.int64] | int) -> None:
        """So many more samples at each step (k,), or at every step."""
        self._per_step += per_step

    def hold(self, count: int) -> None:
        """So many more in memory. Raises ExecutionError beyond the limit."""
        self._held += count
        self._peak = max(self._peak, self._held)
        if self._held > self._limit:
            raise TooManySamples

    def require(self, count: int) -> None:
        """Raises ExecutionError if so many more would be beyond the limit: asked before they are made."""
        if self._held + count > self._limit:
            raise TooManySamples

    def release_to(self, held: int) -> None:
        """Back to so many in memory."""
        self._held = held

    def child(self, steps: int) -> Tally:
        """For a part that is evaluated over another grid."""
        return Tally(steps, self._limit, self._held)

    def absorb(self, child: Tally) -> None:
        """The child's peak is ours too."""
        self._peak = max(self._peak, child._peak)

    def total(self) -> int:
        """Samples looked at, over all steps."""
        return int(self._per_step.sum())

    def statistics(self) -> SampleStatistics:
        """The counts so far."""
        return SampleStatistics(self.total(), self._peak, self._per_step)
