"""What holds of the engine for every expression and all data."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exporter.model import Labels, make_labels
from exporter.promql.answer import Answer, Matrix, Scalar, Vector
from exporter.promql.engine import Engine
from exporter.promql.errors import ExecutionError
from exporter.promql.question import RangeQuery
from tests.promql.expressions import METRICS, vectors
from tests.promql.memory import Memory
from tests.promql.promqltest import STALE

_values = st.one_of(
    st.integers(0, 50).map(float),
    st.floats(-100, 100).map(lambda value: round(value, 3)),
    st.sampled_from((STALE, math.nan, math.inf, 0.0)),
)


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    """A few series with holes, resets, stale markers; some of them off the common beat."""
    memory = Memory()
    for i in range(draw(st.integers(1, 5))):
        name = draw(st.sampled_from(METRICS))
        labels = make_labels({"__name__": name, "job": draw(st.sampled_from("ab")), "instance": str(i)})
        late = draw(st.sampled_from((0, 0, 1_500, 7_001)))
        for at, value in draw(st.dictionaries(st.integers(0, 40), _values, max_size=25)).items():
            memory.put(labels, 15_000 * at + late, value)
    return memory


def _asked(memory: Memory, together: bool, query: str) -> Answer | str:
    engine = Engine(Memory(memory.samples, together))
    try:
        return engine.range(RangeQuery(query, 31_000, 700_000, 17_000))
    except ExecutionError as err:
        return str(err)


def _points(answer: Answer) -> dict[Labels, dict[int, float]]:
    assert isinstance(answer.value, Matrix)
    return {labels: dict(zip(t.tolist(), v.tolist(), strict=True)) for labels, t, v in answer.value.series()}


def _same(one: dict[int, float], other: dict[int, float], tolerance: float) -> bool:
    return one.keys() == other.keys() and all(
        math.isclose(value, other[t], rel_tol=tolerance, abs_tol=1e-300) or (math.isnan(value) and math.isnan(other[t]))
        for t, value in one.items()
    )


@given(memories(), vectors)
@settings(max_examples=300, deadline=None)
def test_regular_and_irregular_series_are_answered_alike(memory: Memory, query: str) -> None:
    shared, single = _asked(memory, True, query), _asked(memory, False, query)
    if isinstance(shared, str) or isinstance(single, str):
        assert shared == single
        return
    found, expected = _points(shared), _points(single)
    assert found.keys() == expected.keys()
    assert all(_same(found[labels], expected[labels], 1e-9) for labels in found)
    assert shared.infos == single.infos
    assert shared.warnings == single.warnings
    assert shared.samples.total == single.samples.total


@given(memories(), vectors)
@settings(max_examples=200, deadline=None)
def test_a_range_is_instants_put_together(memory: Memory, query: str) -> None:
    assume("start()" not in query and "end()" not in query and "sort" not in query)
    engine = Engine(memory)
    try:
        ranged = _points(engine.range(RangeQuery(query, 31_000, 700_000, 61_000)))
        instants = {t: engine.instant(query, t).value for t in range(31_000, 700_001, 61_000)}
    except ExecutionError:
        return
    expected: dict[Labels, dict[int, float]] = {}
    for t, value in instants.items():
        assert isinstance(value, Vector)
        for labels, number in zip(value.labels, value.values.tolist(), strict=True):
            expected.setdefault(labels, {})[t] = number
    assert ranged.keys() == expected.keys()
    assert all(_same(ranged[labels], expected[labels], 1e-9) for labels in ranged)


@given(memories(), vectors, st.integers(-100_000, 100_000))
@settings(max_examples=100, deadline=None)
def test_an_offset_moves_the_data(memory: Memory, query: str, shift: int) -> None:
    assume("@" not in query)
    moved = Memory({labels: {t + 60_000 * shift: v for t, v in own.items()} for labels, own in memory.samples.items()})
    assume("timestamp" not in query and "hour" not in query)
    try:
        one = Engine(memory).range(RangeQuery(query, 31_000, 700_000, 61_000))
        other = Engine(moved).range(RangeQuery(query, 31_000 + 60_000 * shift, 700_000 + 60_000 * shift, 61_000))
    except ExecutionError:
        return
    found, expected = _points(one), _points(other)
    assert found.keys() == expected.keys()
    for labels, points in found.items():
        assert _same({t + 60_000 * shift: v for t, v in points.items()}, expected[labels], 1e-9)


@pytest.mark.parametrize(
    "function", ["sum_over_time", "avg_over_time", "stddev_over_time", "deriv", "stdvar_over_time"]
)
def test_a_fast_sum_agrees_with_a_slow_one(function: str) -> None:
    """Hard cases for sums that cancel: large means, signs that alternate, numbers that swallow others."""
    rng = np.random.default_rng(11)
    memory = Memory()
    shapes = {
        "far": 8e9 + rng.normal(0, 1e3, 400).cumsum(),
        "mixed": rng.normal(0, 10, 400),
        "swallowed": np.where(np.arange(400) % 4 == 0, 1e17, 1.0) * np.where(np.arange(400) % 8 < 4, 1, -1),
        "level": np.full(400, 0.1),
        "steep": np.exp(np.arange(400) / 10),
    }
    for name, values in shapes.items():
        for i, value in enumerate(values.tolist()):
            memory.put(make_labels({"__name__": "x", "shape": name}), 15_000 * i, value)
    answer = Engine(memory).range(RangeQuery(f"{function}(x[20m])", 600_000, 5_900_000, 15_000))
    for labels, points in _points(answer).items():
        own = shapes[dict(labels)["shape"]]
        for t, value in points.items():
            window = [(15.0 * i, own[i]) for i in range(400) if t - 1_200_000 < 15_000 * i <= t]
            expected, tolerance = _slow(function, window)
            assert math.isclose(value, expected, rel_tol=1e-9, abs_tol=tolerance), (labels, t)


def _slow(function: str, window: list[tuple[float, float]]) -> tuple[float, float]:
    """The true value, and by how much rounding of single values may move it."""
    values = [value for _, value in window]
    n = len(values)
    largest = max(abs(value) for value in values)
    mean = math.fsum(values) / n
    if function == "sum_over_time":
        return math.fsum(values), 0.0
    if function == "avg_over_time":
        return mean, 0.0
    if function == "deriv":
        x = [t - window[0][0] for t, _ in window]
        mean_x = math.fsum(x) / n
        rise = math.fsum((a - mean_x) * (b - mean) for a, b in zip(x, values, strict=True))
        return rise / math.fsum((a - mean_x) ** 2 for a in x), 1e-13 * largest / x[-1]
    variance = math.fsum((value - mean) ** 2 for value in values) / n
    return (variance if function == "stdvar_over_time" else math.sqrt(variance)), 4e-16 * largest


def test_a_scalar_over_a_range_is_a_matrix_without_labels() -> None:
    engine = Engine(Memory())
    ranged, instant = engine.range(RangeQuery("1 + 1", 0, 60_000, 15_000)).value, engine.instant("1 + 1", 0).value
    assert isinstance(ranged, Matrix)
    assert list(ranged.labels) == [()]
    assert ranged.values.tolist() == [[2.0] * 5]
    assert isinstance(instant, Scalar)
    assert instant.value == 2


def test_resets_are_undone_to_the_last_bit() -> None:
    """Added one by one in the order of time, as Prometheus adds them."""
    rng = np.random.default_rng(3)
    values = rng.uniform(0, 10, 200).cumsum()
    for at in range(15, 200, 15):
        values[at:] -= values[at] * 0.999
    memory = Memory()
    for i, value in enumerate(values.tolist()):
        memory.put((("__name__", "c_total"),), 15_000 * i, value)
    answer = Engine(memory).range(RangeQuery("increase(c_total[10m])", 600_000, 2_900_000, 15_000))
    for t_ms, value in _points(answer)[()].items():
        window = values[(t_ms - 600_000) // 15_000 + 1 : t_ms // 15_000 + 1].tolist()
        grown = window[-1] - window[0]
        for before, after in pairwise(window):
            grown += before if after < before else 0.0
        sampled, to_start = 15.0 * (len(window) - 1), 15.0
        to_zero = sampled * (window[0] / grown)
        assert value == grown * ((sampled + min(to_start, to_zero) + 0.0) / sampled)


@pytest.mark.parametrize(("modifier", "moved_s"), [("", 0), (" offset 1h", 3_600), (" @ 7000", 0)])
def test_a_prediction_near_zero_has_prometheus_own_digits(modifier: str, moved_s: int) -> None:
    """Where a falling line meets 0, what is left is as much rounding as value: it has to be the same rounding."""
    rng = np.random.default_rng(5)
    values = 4e3 - np.arange(800) * 7.5 + rng.normal(0, 1e-3, 800)  # 0 at 8,000 s
    memory = Memory()
    for i, value in enumerate(values.tolist()):
        memory.put(make_labels({"__name__": "x"}), 15_000 * i + 123, value)
    query = f"predict_linear(x[30m]{modifier}, {1_000 - moved_s})"
    answer = Engine(memory).range(RangeQuery(query, 6_998_000 + 1000 * moved_s, 7_002_000 + 1000 * moved_s, 1))
    points = next(iter(_points(answer).values()))
    for t, value in points.items():
        end = 7_000_000 if "@" in modifier else t - 1000 * moved_s
        window = [(15_000 * i + 123, values[i]) for i in range(800) if end - 1_800_000 < 15_000 * i + 123 <= end]
        assert math.isclose(value, _predicted(window, t, 1_000 - moved_s), rel_tol=1e-9), t


def _predicted(window: list[tuple[int, float]], t_ms: int, seconds: float) -> float:
    """Source: prometheus/promql/functions.go, linearRegression; its compensated sums are exact ones here."""
    n = len(window)
    x = [(at - t_ms) / 1000 for at, _ in window]
    y = [value for _, value in window]
    sum_x, sum_y = math.fsum(x), math.fsum(y)
    xy = math.fsum(a * b for a, b in zip(x, y, strict=True))
    slope = (xy - sum_x * sum_y / n) / (math.fsum(a * a for a in x) - sum_x * sum_x / n)
    return slope * seconds + (sum_y / n - slope * sum_x / n)
