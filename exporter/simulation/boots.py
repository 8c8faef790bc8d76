"""When each server was last booted: patched every five weeks, each server on a day of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exporter.simulation.noise import Indices, keys

EVERY_DAYS = 35  # so long, at most, does a counter remember what failures added to it


class Boots:
    """The days at whose start n servers are booted by plan."""

    def __init__(self, seed: int, names: Sequence[str]) -> None:
        self._turn = (keys(seed, list(names), "boot") % np.uint64(EVERY_DAYS)).astype(np.int64)

    def before(self, day: int) -> Indices:
        """The last day, not after `day`, at whose start each server was booted. Days since 1970; shape (n,)."""
        latest: Indices = day - (day - self._turn) % EVERY_DAYS
        return latest
