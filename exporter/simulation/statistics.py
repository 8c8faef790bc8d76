"""The statistics by which simulated servers are compared with real ones. Series have shape (m,)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def autocorrelation(values: Floats, lag: int) -> float:
    """Pearson correlation of a series with itself `lag` steps later."""
    return correlation(values[lag:], values[: len(values) - lag])


def correlation(a: Floats, b: Floats) -> float:
    """Pearson correlation; NaN where one of the two does not change."""
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float("nan")


def spearman(a: Floats, b: Floats) -> float:
    """Correlation of ranks, ties sharing their mean rank."""
    return correlation(_ranks(a), _ranks(b))


def _ranks(values: Floats) -> Floats:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(count) - (count - 1) / 2.0)[place]
    return ranks


def excess_kurtosis(values: Floats) -> float:
    """Fourth standardised moment less that of a normal distribution."""
    away = values - values.mean()
    return float((away**4).mean() / (away**2).mean() ** 2 - 3.0)


def smoothed(values: Floats, step_s: float, window_s: float) -> Floats:
    """Exponentially weighted mean, as the kernel keeps load averages."""
    keep = float(np.exp(-step_s / window_s))
    level, out = float(values[0]), np.empty(len(values))
    for number, value in enumerate(values.tolist()):
        level = keep * level + (1.0 - keep) * value
        out[number] = level
    return out


def best_lag(cause: Floats, effect: Floats, most: int) -> int:
    """How many steps later, up to `most`, `effect` follows `cause` best."""
    return int(np.argmax([correlation(cause[: len(cause) - lag], effect[lag:]) for lag in range(most + 1)]))


def fano(counts: Floats) -> float:
    """Variance over mean of the arrivals in an interval, their slow course left out: from neighbours' differences."""
    return float((np.diff(counts) ** 2).mean() / 2.0 / counts.mean())


def share_of_busiest(gains: Floats, part: float) -> float:
    """What the busiest part of the intervals holds of the whole."""
    count = max(1, round(len(gains) * part))
    return float(np.sort(gains)[-count:].sum() / gains.sum())


def longest_run(true: NDArray[np.bool_]) -> int:
    """How many intervals in a row it was true at most."""
    return max((length for _, length in runs(true)), default=0)


def runs(true: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Each stretch where it was true: its first interval and its length."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], true.astype(np.int8), [0]))))
    return [(int(first), int(end - first)) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def log_quantile(bounds: Floats, counts: Floats, q: float) -> float:
    """A quantile of a histogram, in the logarithm between two bounds. counts: shape (buckets,), the last over all."""
    edges = np.log(np.concatenate(([bounds[0] / 2.0], bounds, [bounds[-1] * 2.0])))
    below = np.concatenate(([0.0], np.cumsum(counts) / counts.sum()))
    return float(np.exp(np.interp(q, below, edges)))


def log_deviation(bounds: Floats, counts: Floats) -> float:
    """Standard deviation of the logarithm of what a histogram counts, from the quantiles of one deviation."""
    upper, lower = log_quantile(bounds, counts, 0.8413), log_quantile(bounds, counts, 0.1587)
    return float((np.log(upper) - np.log(lower)) / 2.0)
