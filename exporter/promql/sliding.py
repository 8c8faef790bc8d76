"""Sums, minima and maxima over sliding windows, in time linear in samples and steps.

A window that crosses exactly one border of a fixed block length is the end of one block and the
beginning of the next: one running total backwards and one forwards (van Herk). There is no
subtraction, hence no cancellation.
"""

from __future__ import annotations

import numpy as np

from exporter.promql.arrays import Samples, Times

_FEW_STEPS = 4
_SHORT = 4


def slide(combine: np.ufunc, values: Samples, starts: Times, ends: Times) -> Samples:
    """`combine` over values[:, starts[i]:ends[i]] for each step i; NaN where a window is empty.

    values: shape (n, m). starts, ends: shape (k,), never falling. Returns shape (n, k).
    """
    lengths = ends - starts
    length = int(lengths.max(initial=0))
    out = np.full((len(values), len(starts)), np.nan)
    if length <= 0:
        return out
    if len(starts) <= _FEW_STEPS:
        _each(combine, values, starts, ends, np.flatnonzero(lengths > 0), out)
        return out
    if length <= _SHORT:
        _shifted(combine, values, starts, lengths, out)
        return out
    border = (starts // length) != ((ends - 1) // length)
    whole = (lengths == length) & ~border
    crossing = np.flatnonzero((lengths > 0) & border)
    backwards, forwards = _totals(combine, values, length)
    out[:, crossing] = combine(backwards[:, starts[crossing]], forwards[:, ends[crossing] - 1])
    aligned = np.flatnonzero(whole)
    out[:, aligned] = forwards[:, ends[aligned] - 1]
    _each(combine, values, starts, ends, np.flatnonzero((lengths > 0) & ~border & ~whole), out)
    return out


def _each(combine: np.ufunc, values: Samples, starts: Times, ends: Times, steps: Times, out: Samples) -> None:
    for i in steps.tolist():
        out[:, i] = combine.reduce(values[:, starts[i] : ends[i]], axis=1)


def _shifted(combine: np.ufunc, values: Samples, starts: Times, lengths: Times, out: Samples) -> None:
    steps = np.flatnonzero(lengths > 0)
    out[:, steps] = values[:, starts[steps]]
    for shift in range(1, int(lengths.max())):
        steps = np.flatnonzero(lengths > shift)
        out[:, steps] = combine(out[:, steps], values[:, starts[steps] + shift])


def _totals(combine: np.ufunc, values: Samples, length: int) -> tuple[Samples, Samples]:
    """For each column: `combine` from it to the end of its block, and from the start of its block to it."""
    n, m = values.shape
    padded_m = -(-m // length) * length
    padded = np.zeros((n, padded_m))  # the padding stays at the far end of the last block, which no window reaches
    padded[:, :m] = values
    blocks = padded.reshape(n, -1, length)
    forwards = combine.accumulate(blocks, axis=2).reshape(n, padded_m)
    backwards = combine.accumulate(blocks[:, :, ::-1], axis=2)[:, :, ::-1].reshape(n, padded_m)
    return backwards, forwards
