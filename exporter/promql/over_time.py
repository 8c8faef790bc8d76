"""The *_over_time functions, changes and resets: each from a block and its windows to values (n, k).

What stands at steps whose window has too few samples is not looked at.
Source: prometheus/promql/functions.go.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from exporter.promql.arrays import Indices, Mask, Samples
from exporter.promql.compensated import Ranges, is_exact_enough, means, sums, variances
from exporter.promql.sliding import slide
from exporter.promql.windows import Block, Windows

_CHUNK = 1 << 16  # windows gone through at a time
# A variance this much smaller than the mean square has lost digits to the subtraction.
_CANCELLATION = 1e4


def first_over_time(block: Block, windows: Windows) -> Samples:
    """The oldest value."""
    return block.values[:, windows.first]


def last_over_time(block: Block, windows: Windows) -> Samples:
    """The newest value."""
    return block.values[:, windows.last]


def count_over_time(block: Block, windows: Windows) -> Samples:
    """How many values."""
    if block.counts is not None:
        return slide(np.add, block.counts, windows.starts, windows.ends)
    return np.broadcast_to(windows.lengths.astype(float), (len(block.values), len(windows.lengths)))


def present_over_time(block: Block, windows: Windows) -> Samples:
    """1."""
    return np.ones((len(block.values), len(windows.lengths)))


def min_over_time(block: Block, windows: Windows) -> Samples:
    """The smallest value; NaN only when all are."""
    return slide(np.fmin, block.values, windows.starts, windows.ends)


def max_over_time(block: Block, windows: Windows) -> Samples:
    """The largest value; NaN only when all are."""
    return slide(np.fmax, block.values, windows.starts, windows.ends)


def sum_over_time(block: Block, windows: Windows) -> Samples:
    """The sum, compensated for rounding."""
    plain, doubtful = _plain_sums(block.values, windows)
    return redone(plain, doubtful, block, windows, lambda ranges, _: sums(ranges))


def avg_over_time(block: Block, windows: Windows) -> Samples:
    """The mean, compensated for rounding and safe from overflow."""
    if block.counts is not None:
        return sum_over_time(block, windows) / count_over_time(block, windows)
    plain, doubtful = _plain_sums(block.values, windows)
    doubtful = doubtful | ~np.isfinite(plain)
    return redone(plain / np.maximum(windows.lengths, 1), doubtful, block, windows, lambda ranges, _: means(ranges))


def stdvar_over_time(block: Block, windows: Windows) -> Samples:
    """The population variance."""
    shifted = block.values - block.values[:, :1]
    count = np.maximum(windows.lengths, 1)
    mean = slide(np.add, shifted, windows.starts, windows.ends) / count
    mean_square = slide(np.add, shifted * shifted, windows.starts, windows.ends) / count
    variance = mean_square - mean * mean
    sound = (mean_square <= _CANCELLATION * variance) | (mean_square == 0)
    return redone(variance, ~sound, block, windows, lambda ranges, _: variances(ranges))


def stddev_over_time(block: Block, windows: Windows) -> Samples:
    """The population standard deviation."""
    return np.sqrt(stdvar_over_time(block, windows))


def changes(block: Block, windows: Windows) -> Samples:
    """How often the value changed; NaN to NaN is no change."""
    before, after = block.values[:, :-1], block.values[:, 1:]
    changed = (before != after) & ~(np.isnan(before) & np.isnan(after))
    return count_pairs(changed, windows)


def resets(block: Block, windows: Windows) -> Samples:
    """How often the value fell."""
    return count_pairs(block.values[:, 1:] < block.values[:, :-1], windows)


def count_pairs(pairs: Mask, windows: Windows) -> Samples:
    """How many neighbouring samples of a window are marked. pairs: shape (n, m - 1), of sample i and i + 1."""
    running = np.zeros((len(pairs), pairs.shape[1] + 1), dtype=np.int32)
    np.cumsum(pairs, axis=1, out=running[:, 1:])
    counted: Samples = (running[:, windows.last] - running[:, windows.first]).astype(float)
    return counted


def _plain_sums(values: Samples, windows: Windows) -> tuple[Samples, Mask]:
    """Plain sums (n, k), and where they may differ from compensated ones."""
    plain = slide(np.add, values, windows.starts, windows.ends)
    doubtful = np.zeros(plain.shape, dtype=bool)
    one_sign = (values >= 0).all(axis=1) | (values <= 0).all(axis=1)
    mixed = np.flatnonzero(~one_sign)
    if len(mixed):
        magnitudes = slide(np.add, np.abs(values[mixed]), windows.starts, windows.ends)
        doubtful[mixed] = ~is_exact_enough(plain[mixed], magnitudes)
    return plain, doubtful


def redone(
    quick: Samples, doubtful: Mask, block: Block, windows: Windows, exact: Callable[[Ranges, Indices], Samples]
) -> Samples:
    """The quick answers (n, k), those in doubt replaced by exact ones, from windows (e,) and their steps (e,)."""
    rows, steps = np.nonzero(doubtful & (windows.lengths > 0))
    for i in range(0, len(rows), _CHUNK):
        row, step = rows[i : i + _CHUNK], steps[i : i + _CHUNK]
        quick[row, step] = exact(Ranges(block.values, row, windows.starts[step], windows.ends[step]), step)
    return quick
