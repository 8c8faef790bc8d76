"""deriv and predict_linear: least-squares lines through windows.

Source: prometheus/promql/functions.go, linearRegression.
"""

from __future__ import annotations

import numpy as np

from exporter.promql.arrays import Samples, Times
from exporter.promql.compensated import add, addends
from exporter.promql.over_time import count_pairs
from exporter.promql.sliding import slide
from exporter.promql.windows import Block, Windows

_SMALL = 200_000


def deriv(block: Block, windows: Windows) -> Samples:
    """Slope per second."""
    slope, _ = _lines(block, windows, block.t_ms[windows.first()])
    return slope


def predict_linear(block: Block, windows: Windows, seconds: Samples) -> Samples:
    """The value so many seconds from the step on. seconds: shape (k,)."""
    slope, intercept = _lines(block, windows, windows.at_ms)
    return slope * seconds + intercept


def _lines(block: Block, windows: Windows, origin_ms: Times) -> tuple[Samples, Samples]:
    """Slopes, and values at the origins (k,); each (n, k)."""
    small = len(block.values) * int(windows.lengths.sum()) <= _SMALL
    slope, intercept = (_exact if small else _quick)(block, windows, origin_ms)
    changed = count_pairs(block.values[:, 1:] != block.values[:, :-1], windows)
    constant = changed == 0
    if constant.any():
        level = block.values[:, windows.first()]
        slope = np.where(constant, np.where(np.isinf(level), np.nan, 0.0), slope)
        intercept = np.where(constant, np.where(np.isinf(level), np.nan, level), intercept)
    return slope, intercept


def _exact(block: Block, windows: Windows, origin_ms: Times) -> tuple[Samples, Samples]:
    """With compensated sums, sample by sample."""
    shape = (len(block.values), len(windows.starts))
    sums = [(np.zeros(shape), np.zeros(shape)) for _ in range(4)]
    for shift, (steps, y) in enumerate(addends(block.values, windows.starts, windows.ends)):
        x = np.broadcast_to((block.t_ms[windows.starts[steps] + shift] - origin_ms[steps]) / 1000, y.shape)
        for (total, lost), value in zip(sums, (x, y, x * y, x * x), strict=True):
            total[:, steps], lost[:, steps] = add(value, total[:, steps], lost[:, steps])
    return _solved(windows.lengths, *(total + lost for total, lost in sums))


def _solved(n: Times, x: Samples, y: Samples, xy: Samples, xx: Samples) -> tuple[Samples, Samples]:
    slope = (xy - x * y / n) / (xx - x * x / n)
    return slope, y / n - slope * x / n


def _quick(block: Block, windows: Windows, origin_ms: Times) -> tuple[Samples, Samples]:
    """With sliding sums of values taken relative to the first one, which keeps them small."""
    level = block.values[:, :1]
    y = block.values - level
    t = (block.t_ms - block.t_ms[0]) / 1000
    origin = (origin_ms - block.t_ms[0]) / 1000
    n = np.maximum(windows.lengths, 1)
    mean_t = slide(np.add, t[None, :], windows.starts, windows.ends)[0] / n
    squares = _centred_squares(t, mean_t, windows)
    sum_y = slide(np.add, y, windows.starts, windows.ends)
    sum_ty = slide(np.add, y * t, windows.starts, windows.ends)
    slope = (sum_ty - mean_t * sum_y) / squares
    return slope, level + sum_y / n + slope * (origin - mean_t)


def _centred_squares(t: Samples, mean_t: Samples, windows: Windows) -> Samples:
    """The sum of squared distances of each window's times from their mean. Shape (k,)."""
    total = np.zeros(len(mean_t))
    for steps, times in addends(t[None, :], windows.starts, windows.ends):
        total[steps] += (times[0] - mean_t[steps]) ** 2
    return total
