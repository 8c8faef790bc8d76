"""The table of functions over ranges: which kernel, and how many samples it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from exporter.promql import counters, over_time, quantiles, regression
from exporter.promql.arrays import Samples
from exporter.promql.windows import Block, Windows

_AT_A_TIME = 1 << 17  # values


@dataclass(frozen=True, slots=True)
class RangeFunction:
    """`kernel` gives values (n, k) from a block and its windows, and the scalar argument (k,) where there is one.

    A step whose window has fewer than `least` samples has no point. `keeps_name`: the metric's name stays.
    """

    kernel: Callable[..., Samples]
    least: int = 1
    keeps_name: bool = False

    def over(self, block: Block, windows: Windows, scalars: Sequence[Samples], check: Callable[[], None]) -> Samples:
        """The values (n, k), made for a few series at a time: what a kernel needs in between stays small.

        `check` is called in between, and may end it by raising.
        """
        rows = max(1, _AT_A_TIME // max(len(block.t_ms), len(windows.starts)))
        if rows >= len(block.values):
            return self.kernel(block, windows, *scalars)
        out = np.empty((len(block.values), len(windows.starts)))
        for i in range(0, len(block.values), rows):
            check()
            part = replace(block, values=block.values[i : i + rows])
            out[i : i + rows] = self.kernel(part, windows, *scalars)
        return out


RANGE_FUNCTIONS: dict[str, RangeFunction] = {
    "absent_over_time": RangeFunction(over_time.present_over_time),
    "avg_over_time": RangeFunction(over_time.avg_over_time),
    "changes": RangeFunction(over_time.changes),
    "count_over_time": RangeFunction(over_time.count_over_time),
    "delta": RangeFunction(counters.delta, least=2),
    "deriv": RangeFunction(regression.deriv, least=2),
    "first_over_time": RangeFunction(over_time.first_over_time, keeps_name=True),
    "idelta": RangeFunction(counters.idelta, least=2),
    "increase": RangeFunction(counters.increase, least=2),
    "irate": RangeFunction(counters.irate, least=2),
    "last_over_time": RangeFunction(over_time.last_over_time, keeps_name=True),
    "max_over_time": RangeFunction(over_time.max_over_time),
    "min_over_time": RangeFunction(over_time.min_over_time),
    "predict_linear": RangeFunction(regression.predict_linear, least=2),
    "present_over_time": RangeFunction(over_time.present_over_time),
    "quantile_over_time": RangeFunction(quantiles.quantile_over_time),
    "rate": RangeFunction(counters.rate, least=2),
    "resets": RangeFunction(over_time.resets),
    "stddev_over_time": RangeFunction(over_time.stddev_over_time),
    "stdvar_over_time": RangeFunction(over_time.stdvar_over_time),
    "sum_over_time": RangeFunction(over_time.sum_over_time),
}
