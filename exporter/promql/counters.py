"""rate, increase, delta, irate and idelta.

Source: prometheus/promql/functions.go, extrapolatedRate and instantValue.
"""

from __future__ import annotations

import numpy as np

from exporter.promql.arrays import Samples
from exporter.promql.sliding import slide
from exporter.promql.windows import Block, Windows

# Up to here counter resets are added one by one, in Prometheus' order and so to the last bit.
_FEW_RESETS = 5_000


def rate(block: Block, windows: Windows) -> Samples:
    """Growth per second of a counter, stretched to the edges of the window."""
    return _extrapolated(block, windows, _increases(block, windows), is_counter=True, is_rate=True)


def increase(block: Block, windows: Windows) -> Samples:
    """Growth of a counter over the window, stretched to its edges."""
    return _extrapolated(block, windows, _increases(block, windows), is_counter=True, is_rate=False)


def delta(block: Block, windows: Windows) -> Samples:
    """Difference between the end and the start of the window."""
    return _extrapolated(block, windows, _differences(block, windows), is_counter=False, is_rate=False)


def irate(block: Block, windows: Windows) -> Samples:
    """Growth per second between the last two samples; after a reset, from 0."""
    last, before = windows.last, np.maximum(windows.last - 1, 0)
    newest, previous = block.values[:, last], block.values[:, before]
    grown = np.where(newest < previous, newest, newest - previous)
    seconds: Samples = (block.t_ms[last] - block.t_ms[before]) / 1000
    return grown / seconds


def idelta(block: Block, windows: Windows) -> Samples:
    """Difference between the last two samples."""
    last = windows.last
    return block.values[:, last] - block.values[:, np.maximum(last - 1, 0)]


def _differences(block: Block, windows: Windows) -> Samples:
    return block.values[:, windows.last] - block.values[:, windows.first]


def _increases(block: Block, windows: Windows) -> Samples:
    """Differences with each reset undone: what the counter had reached is added."""
    grown = _differences(block, windows)
    fell = block.values[:, 1:] < block.values[:, :-1]
    rows, columns = np.nonzero(fell)
    if not len(rows):
        return grown
    if len(rows) > _FEW_RESETS:
        reached = np.where(fell, block.values[:, :-1], 0.0)
        lost = slide(np.add, reached, windows.first, windows.last)
        return grown + np.where(np.isnan(lost), 0.0, lost)
    from_step = np.searchsorted(windows.ends, columns + 1, side="right")
    to_step = np.searchsorted(windows.starts, columns, side="right")
    reached_then = block.values[rows, columns]
    events = zip(rows.tolist(), from_step.tolist(), to_step.tolist(), reached_then.tolist(), strict=True)
    for row, start, end, value in events:
        grown[row, start:end] += value
    return grown


def _extrapolated(block: Block, windows: Windows, grown: Samples, *, is_counter: bool, is_rate: bool) -> Samples:
    """The growth between a window's first and last sample, stretched towards its edges.

    As far as an edge if it is about one sampling interval away, else by half an interval; a counter
    never to before the moment at which it would have been 0.
    """
    first, last = block.t_ms[windows.first], block.t_ms[windows.last]
    to_start = (first - (windows.ends_ms - windows.range_ms)) / 1000
    to_end = (windows.ends_ms - last) / 1000
    sampled = (last - first) / 1000
    interval = sampled / np.maximum(windows.lengths - 1, 1)
    threshold = interval * 1.1
    to_start = np.where(to_start >= threshold, interval / 2, to_start)
    to_end = np.where(to_end >= threshold, interval / 2, to_end)
    stretch = np.where(sampled != 0, sampled, 1.0)
    if is_counter:
        to_start = _not_before_zero(block, windows, grown, sampled, to_start)
    factor = (sampled + to_start + to_end) / stretch
    if is_rate:
        factor = factor / (windows.range_ms / 1000)
    return grown * factor


def _not_before_zero(block: Block, windows: Windows, grown: Samples, sampled: Samples, to_start: Samples) -> Samples:
    """`to_start`, shortened where the counter would have been 0 later than that. Shape (n, k)."""
    begun = block.values[:, windows.first]
    to_zero = sampled * (begun / grown)
    shorter = (grown > 0) & (begun >= 0) & (to_zero < to_start)
    return np.where(shorter, to_zero, to_start)
