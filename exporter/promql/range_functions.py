"""The table of functions over ranges: which kernel, and how many samples it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from exporter.model import Wanted
from exporter.promql import counters, over_time, quantiles, regression
from exporter.promql.arrays import Samples
from exporter.promql.windows import Block, Windows

_AT_A_TIME = 1 << 17  # values


@dataclass(frozen=True, slots=True)
class RangeFunction:
    """`kernel` gives values (n, k) from a block and its windows, and the scalar argument (k,) where there is one.

    A step whose window has fewer than `least` samples has no point. `keeps_name`: the metric's name stays.
    `wanted`: what it needs of aggregates. `additive`: of an aggregate wider than the window it gets a share.
    """

    kernel: Callable[..., Samples]
    least: int = 1
    keeps_name: bool = False
    wanted: Wanted = Wanted.LAST
    additive: bool = False

    def over(self, block: Block, windows: Windows, scalars: Sequence[Samples], check: Callable[[], None]) -> Samples:
        """The values (n, k), made for a few series at a time: what a kernel needs in between stays small.

        `check` is called in between, and may end it by raising.
        """
        rows = max(1, _AT_A_TIME // max(len(block.t_ms), len(windows.starts)))
        if rows >= len(block.values):
            return self._shared(self.kernel(block, windows, *scalars), windows)
        out = np.empty((len(block.values), len(windows.starts)))
        for i in range(0, len(block.values), rows):
            check()
            out[i : i + rows] = self.kernel(block.rows(i, i + rows), windows, *scalars)
        return self._shared(out, windows)

    def _shared(self, values: Samples, windows: Windows) -> Samples:
        return values * windows.share if self.additive and windows.share is not None else values


RANGE_FUNCTIONS: dict[str, RangeFunction] = {
    "absent_over_time": RangeFunction(over_time.present_over_time),
    "avg_over_time": RangeFunction(over_time.avg_over_time, wanted=Wanted.SUM),
    "changes": RangeFunction(over_time.changes),
    "count_over_time": RangeFunction(over_time.count_over_time, wanted=Wanted.SUM, additive=True),
    "delta": RangeFunction(counters.delta, least=2),
    "deriv": RangeFunction(regression.deriv, least=2),
    "first_over_time": RangeFunction(over_time.first_over_time, keeps_name=True),
    "idelta": RangeFunction(counters.idelta, least=2),
    "increase": RangeFunction(counters.increase, least=2, wanted=Wanted.GROWTH),
    "irate": RangeFunction(counters.irate, least=2, wanted=Wanted.GROWTH),
    "last_over_time": RangeFunction(over_time.last_over_time, keeps_name=True),
    "max_over_time": RangeFunction(over_time.max_over_time, wanted=Wanted.MAX),
    "min_over_time": RangeFunction(over_time.min_over_time, wanted=Wanted.MIN),
    "predict_linear": RangeFunction(regression.predict_linear, least=2),
    "present_over_time": RangeFunction(over_time.present_over_time),
    "quantile_over_time": RangeFunction(quantiles.quantile_over_time),
    "rate": RangeFunction(counters.rate, least=2, wanted=Wanted.GROWTH),
    "resets": RangeFunction(over_time.resets),
    "stddev_over_time": RangeFunction(over_time.stddev_over_time),
    "stdvar_over_time": RangeFunction(over_time.stdvar_over_time),
    "sum_over_time": RangeFunction(over_time.sum_over_time, wanted=Wanted.SUM, additive=True),
}
