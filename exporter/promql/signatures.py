"""What each function takes and gives.

Source: prometheus/promql/parser/functions.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ValueType(StrEnum):
    """What an expression evaluates to."""

    NONE = "none"
    SCALAR = "scalar"
    VECTOR = "vector"
    MATRIX = "matrix"
    STRING = "string"

    @property
    def documented(self) -> str:
        """The type as messages name it."""
        return {"vector": "instant vector", "matrix": "range vector"}.get(self.value, self.value)


@dataclass(frozen=True, slots=True)
class Signature:
    """`variadic`: how many arguments may follow the required ones, which are one less then; -1 for any number."""

    name: str
    args: tuple[ValueType, ...]
    returns: ValueType = ValueType.VECTOR
    variadic: int = 0
    experimental: bool = False


_S, _V, _M, _T = ValueType.SCALAR, ValueType.VECTOR, ValueType.MATRIX, ValueType.STRING

_OF_VECTOR = """
    abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor histogram_avg histogram_count
    histogram_stddev histogram_stdvar histogram_sum ln log10 log2 rad sgn sin sinh sort sort_desc sqrt tan
    tanh timestamp
"""
_OF_RANGE = """
    absent_over_time avg_over_time changes count_over_time delta deriv first_over_time idelta increase irate
    last_over_time max_over_time min_over_time present_over_time rate resets stddev_over_time stdvar_over_time
    sum_over_time
"""
_OF_TIME = """
    day_of_month day_of_week day_of_year days_in_month hour minute month year
"""
_OTHERS = (
    Signature("clamp", (_V, _S, _S)),
    Signature("clamp_max", (_V, _S)),
    Signature("clamp_min", (_V, _S)),
    Signature("histogram_fraction", (_S, _S, _V)),
    Signature("histogram_quantile", (_S, _V)),
    Signature("label_join", (_V, _T, _T, _T), variadic=-1),
    Signature("label_replace", (_V, _T, _T, _T, _T)),
    Signature("pi", (), _S),
    Signature("predict_linear", (_M, _S)),
    Signature("quantile_over_time", (_S, _M)),
    Signature("round", (_V, _S), variadic=1),
    Signature("scalar", (_V,), _S),
    Signature("time", (), _S),
    Signature("vector", (_S,)),
)
_EXPERIMENTAL = (
    Signature("double_exponential_smoothing", (_M, _S, _S), experimental=True),
    Signature("end", (), _S, experimental=True),
    Signature("histogram_quantiles", (_V, _T, _S, _S), variadic=9, experimental=True),
    Signature("info", (_V, _V), variadic=1, experimental=True),
    Signature("mad_over_time", (_M,), experimental=True),
    Signature("max_of", (_S, _S), _S, experimental=True),
    Signature("min_of", (_S, _S), _S, experimental=True),
    Signature("range", (), _S, experimental=True),
    Signature("sort_by_label", (_V, _T), variadic=-1, experimental=True),
    Signature("sort_by_label_desc", (_V, _T), variadic=-1, experimental=True),
    Signature("start", (), _S, experimental=True),
    Signature("start_timestamp", (_V,), experimental=True),
    Signature("step", (), _S, experimental=True),
    Signature("ts_of_first_over_time", (_M,), experimental=True),
    Signature("ts_of_last_over_time", (_M,), experimental=True),
    Signature("ts_of_max_over_time", (_M,), experimental=True),
    Signature("ts_of_min_over_time", (_M,), experimental=True),
)

FUNCTIONS: dict[str, Signature] = {
    signature.name: signature
    for signature in (
        *(Signature(name, (_V,)) for name in _OF_VECTOR.split()),
        *(Signature(name, (_M,)) for name in _OF_RANGE.split()),
        *(Signature(name, (_V,), variadic=1) for name in _OF_TIME.split()),
        *_OTHERS,
        *_EXPERIMENTAL,
    )
}
