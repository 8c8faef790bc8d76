"""deriv and predict_linear: least-squares lines through windows.

Source: prometheus/promql/functions.go, linearRegression.
"""

from __future__ import annotations

import numpy as np

from exporter.promql.arrays import Indices, Mask, Samples, Times
from exporter.promql.compensated import Ranges, lines
from exporter.promql.over_time import count_pairs, redone
from exporter.promql.sliding import slide
from exporter.promql.windows import Block, Windows

_MANY_WINDOWS = 100  # how much longer than a window the data may be
_FLATNESS = 1e5
_NEARNESS = 1e3  # from some 1e5 on, 1e-9 of the prediction is rounding
_FEW = 8  # samples in a window up to which going through them costs least


def deriv(block: Block, windows: Windows) -> Samples:
    """Slope per second."""
    origin_ms = block.t_ms[windows.first]
    slope, _ = _lines(block, windows, origin_ms)

    def exact(ranges: Ranges, _steps: Indices) -> Samples:
        slope, _ = lines(ranges, block.t_ms, block.t_ms[ranges.starts])
        return slope

    return redone(slope, _is_flat(block, windows, slope), block, windows, exact)


def _is_flat(block: Block, windows: Windows, slope: Samples) -> Mask:
    """Where the line rises so little against its height that Prometheus' own rounding shows in the slope."""
    seconds = (block.t_ms[windows.last] - block.t_ms[windows.first]) / 1000
    height = np.abs(block.values[:, windows.first])
    flat: Mask = (slope != 0) & (np.abs(slope) * seconds * _FLATNESS < height)
    return flat


def predict_linear(block: Block, windows: Windows, seconds: Samples) -> Samples:
    """The value so many seconds from the step on. seconds: shape (k,)."""
    slope, intercept = _lines(block, windows, windows.at_ms)
    predicted = slope * seconds + intercept
    doubtful = (slope != 0) & _is_near_zero(block, windows, predicted, seconds)

    def exact(ranges: Ranges, steps: Indices) -> Samples:
        slope, intercept = lines(ranges, block.t_ms, windows.at_ms[steps])
        return slope * seconds[steps] + intercept

    return redone(predicted, doubtful, block, windows, exact)


def _is_near_zero(block: Block, windows: Windows, predicted: Samples, seconds: Samples) -> Mask:
    """Where Prometheus' own rounding shows: little is left of the values' height, or the step is far from them."""
    sampled = np.maximum((block.t_ms[windows.last] - block.t_ms[windows.first]) / 1000, 1e-3)
    away = np.abs(windows.at_ms - block.t_ms[windows.first]) / 1000
    reach = np.maximum(away / sampled, 1) * (1 + (away + np.abs(seconds)) / sampled)
    height = np.maximum(np.abs(block.values[:, windows.first]), np.abs(block.values[:, windows.last]))
    near: Mask = (predicted != 0) & (np.abs(predicted) * _NEARNESS < height * reach)
    return near


def _lines(block: Block, windows: Windows, origin_ms: Times) -> tuple[Samples, Samples]:
    """Slopes, and values at the origins (k,); each (n, k)."""
    few = int(windows.lengths.max(initial=0)) <= _FEW
    slope, intercept = (_exact if few else _quick)(block, windows, origin_ms)
    changed = count_pairs(block.values[:, 1:] != block.values[:, :-1], windows)
    constant = changed == 0
    if constant.any():
        level = block.values[:, windows.first]
        slope = np.where(constant, np.where(np.isinf(level), np.nan, 0.0), slope)
        intercept = np.where(constant, np.where(np.isinf(level), np.nan, level), intercept)
    return slope, intercept


def _exact(block: Block, windows: Windows, origin_ms: Times) -> tuple[Samples, Samples]:
    """With compensated sums, sample by sample."""
    shape = (len(block.values), len(windows.starts))
    rows, steps = (index.reshape(-1) for index in np.indices(shape))
    ranges = Ranges(block.values, rows, windows.starts[steps], windows.ends[steps])
    slope, intercept = lines(ranges, block.t_ms, origin_ms[steps])
    return slope.reshape(shape), intercept.reshape(shape)


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
    if t[-1] * 1000 <= _MANY_WINDOWS * windows.range_ms:  # so that the subtraction costs few digits
        squares = slide(np.add, (t * t)[None, :], windows.starts, windows.ends)[0]
        centred: Samples = squares - windows.lengths * mean_t * mean_t
        return centred
    total = np.zeros(len(mean_t))
    rows = np.zeros(len(mean_t), dtype=np.intp)
    for having, _, times in Ranges(t[None, :], rows, windows.starts, windows.ends).addends():
        total[having] += (times - mean_t[having]) ** 2
    return total
