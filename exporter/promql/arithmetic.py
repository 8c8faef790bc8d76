"""Operators and functions on single values, over whole arrays, with Go's special cases.

Source: prometheus/promql/engine.go, vectorElemBinop and scalarBinop; promql/functions.go.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from exporter.promql.arrays import Mask, Samples

OPERATORS: dict[str, Callable[[Samples, Samples], Samples]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}

COMPARISONS: dict[str, Callable[[Samples, Samples], Mask]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}


def sign(values: Samples) -> Samples:
    """-1, 1, or the value itself when it is 0 or NaN."""
    return np.where(values < 0, -1.0, np.where(values > 0, 1.0, values))


def round_to(values: Samples, nearest: Samples) -> Samples:
    """To the nearest multiple, halves upwards. Inverted first, as that loses less."""
    inverse = 1.0 / nearest
    return np.floor(values * inverse + 0.5) / inverse


def clamp(values: Samples, low: Samples, high: Samples) -> Samples:
    """max(low, min(high, value)) as Go's math has them."""
    return _larger(low, -_larger(-high, -values))


def _larger(a: Samples, b: Samples) -> Samples:
    """Go's math.Max: +Inf beats NaN, NaN all others, and 0 is larger than -0."""
    larger = np.where((a == 0) & (b == 0), a + b, np.maximum(a, b))
    return np.where(np.isposinf(a) | np.isposinf(b), np.inf, larger)


FUNCTIONS: dict[str, Callable[[Samples], Samples]] = {
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "deg": lambda values: values * 180 / np.pi,
    "exp": np.exp,
    "floor": np.floor,
    "ln": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "rad": lambda values: values * np.pi / 180,
    "sgn": sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "tan": np.tan,
    "tanh": np.tanh,
}
