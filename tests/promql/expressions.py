"""Expressions at random, as text: well typed, over a few metrics, for the laws of parser and engine."""

from __future__ import annotations

from hypothesis import strategies as st

METRICS = ("requests_total", "temp", "up")
LABELS = ("job", "env", "instance")
_VECTOR_FUNCTIONS = ("abs", "ceil", "floor", "sgn", "absent", "timestamp", "sort", "hour", "scalar")
_RANGE_FUNCTIONS = (
    "rate", "increase", "irate", "delta", "idelta", "deriv", "changes", "resets", "avg_over_time", "sum_over_time",
    "min_over_time", "max_over_time", "count_over_time", "last_over_time", "stddev_over_time", "present_over_time",
)  # fmt: skip
_ARITHMETIC = ("+", "-", "*", "/", "%", "^", "atan2")
_COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
_SETS = ("and", "or", "unless")

durations = st.sampled_from(("15s", "1m", "90s", "5m", "7m", "1h", "30"))
numbers = st.sampled_from(("0", "1", "2.5", "-3", "1e3", "0x1F", "Inf", "NaN", "5m"))
labels = st.lists(st.sampled_from(LABELS), max_size=2, unique=True).map(", ".join)


@st.composite
def selectors(draw: st.DrawFn) -> str:
    matcher = st.tuples(st.sampled_from(LABELS), st.sampled_from(("=", "!=", "=~", "!~")), st.sampled_from("abc"))
    matchers = ",".join(f'{name}{op}"{value}"' for name, op, value in draw(st.lists(matcher, max_size=2)))
    name = draw(st.sampled_from(METRICS))
    return f"{name}{{{matchers}}}" if matchers else name


@st.composite
def modifiers(draw: st.DrawFn) -> str:
    at = draw(st.sampled_from(("", "", "", " @ 1000", " @ start()", " @ end()")))
    offset = draw(st.sampled_from(("", "", " offset 1m", " offset -30s")))
    return at + offset


@st.composite
def ranges(draw: st.DrawFn, vector: str) -> str:
    if draw(st.booleans()):
        return f"{draw(selectors())}[{draw(durations)}]{draw(modifiers())}"
    step = draw(st.sampled_from(("", "30s", "1m")))
    return f"({vector})[{draw(durations)}:{step}]{draw(modifiers())}"


@st.composite
def _calls(draw: st.DrawFn, vector: str) -> str:
    name = draw(st.sampled_from(_VECTOR_FUNCTIONS + _RANGE_FUNCTIONS))
    if name == "scalar":
        return f"{vector} * scalar({draw(selectors())})"
    argument = draw(ranges(vector)) if name in _RANGE_FUNCTIONS else vector
    return f"{name}({argument})"


@st.composite
def _aggregations(draw: st.DrawFn, vector: str) -> str:
    op = draw(st.sampled_from(("sum", "avg", "min", "max", "count", "group", "stddev", "topk", "bottomk", "quantile")))
    clause = draw(st.sampled_from((" by ({})", " without ({})", ""))).format(draw(labels))
    parameter = {"topk": "2, ", "bottomk": "1, ", "quantile": "0.5, "}.get(op, "")
    return f"{op}{clause} ({parameter}{vector})"


@st.composite
def _binaries(draw: st.DrawFn, left: str, right: str) -> str:
    op = draw(st.sampled_from(_ARITHMETIC + _COMPARISONS + _SETS))
    if op not in _SETS and draw(st.booleans()):
        right = draw(numbers)
        return f"({left}) {op} {right}"
    keyword = draw(st.sampled_from(("", " on ({})", " ignoring ({})"))).format(draw(labels))
    has_bool = " bool" if op in _COMPARISONS and draw(st.booleans()) else ""
    return f"({left}) {op}{has_bool}{keyword} ({right})"


def _larger(smaller: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        smaller.flatmap(_calls),
        smaller.flatmap(_aggregations),
        st.tuples(smaller, smaller).flatmap(lambda pair: _binaries(*pair)),
        smaller.map("-({})".format),
        smaller.map("({})".format),
    )


vectors = st.recursive(st.builds("{}{}".format, selectors(), modifiers()), _larger, max_leaves=4)
