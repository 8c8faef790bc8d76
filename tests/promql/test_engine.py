"""The engine's door: what it answers, refuses, tells, counts, and how it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count

import numpy as np
import pytest

from exporter.model import Family, Labels, Matcher, SeriesSet
from exporter.promql.answer import Matrix, RangeVector, Scalar, String, Vector
from exporter.promql.cancellation import Cancellation
from exporter.promql.engine import Engine
from exporter.promql.errors import ExecutionError, ParseError, QueryCanceled, QueryTimeout
from exporter.promql.question import RangeQuery
from tests.promql.memory import Memory
from tests.promql.promqltest import parse_series


def loaded(*lines: str, step_ms: int = 60_000) -> Memory:
    """Series as the test language writes them, one sample each `step_ms`."""
    memory = Memory()
    for line in lines:
        labels, values = parse_series(line)
        for i, value in enumerate(values):
            if value is not None:
                memory.put(labels, i * step_ms, value)
    return memory


UP = loaded('up{job="a"} 1 0 1', 'up{job="b"} 1 1 _')


def test_each_type_of_expression_has_its_type_of_answer() -> None:
    engine = Engine(UP)
    kinds = {query: type(engine.instant(query, 120_000).value) for query in ("1", "'a'", "up", "up[5m]", "up[5m:1m]")}
    assert kinds == {"1": Scalar, "'a'": String, "up": Vector, "up[5m]": RangeVector, "up[5m:1m]": RangeVector}
    assert isinstance(engine.range(RangeQuery("up", 0, 120_000, 60_000)).value, Matrix)


def test_a_range_vector_has_the_raw_samples_of_each_series() -> None:
    value = Engine(UP).instant("up[10m]", 125_000).value
    assert isinstance(value, RangeVector)
    points = {dict(labels)["job"]: (t.tolist(), v.tolist()) for labels, t, v in value.series()}
    assert points == {"a": ([0, 60_000, 120_000], [1, 0, 1]), "b": ([0, 60_000], [1, 1])}


def test_a_matrix_says_which_points_are_there() -> None:
    value = Engine(UP, lookback_ms=60_000).range(RangeQuery("up", 0, 180_000, 60_000)).value
    assert isinstance(value, Matrix)
    assert value.present is not None
    assert value.present.tolist() == [[True, True, True, False], [True, True, False, False]]
    assert value.t_ms.tolist() == [0, 60_000, 120_000, 180_000]


def test_the_look_back_is_open_on_the_left_and_can_be_given_with_the_query() -> None:
    engine = Engine(loaded("x 1"))
    for lookback_ms, at_ms, seen in ((300_000, 299_999, 1), (300_000, 300_000, 0), (1_000, 999, 1), (1_000, 1_000, 0)):
        value = engine.instant("x", at_ms, lookback_ms=lookback_ms).value
        assert isinstance(value, Vector)
        assert len(value.labels) == seen


@pytest.mark.parametrize("query", ["up[5m]", "'a'", "up[5m:]"])
def test_only_scalars_and_vectors_can_be_asked_for_over_a_range(query: str) -> None:
    with pytest.raises(ParseError, match=r"for range query, must be Scalar or instant Vector") as caught:
        Engine(UP).range(RangeQuery(query, 0, 60_000, 60_000))
    assert str(caught.value).startswith('invalid expression type "')


@pytest.mark.parametrize(("start", "end", "step"), [(0, 60, 0), (0, 60, -1), (60, 0, 15)])
def test_a_range_without_steps_is_a_callers_mistake(start: int, end: int, step: int) -> None:
    with pytest.raises(ValueError, match="no steps"):
        Engine(UP).range(RangeQuery("up", start, end, step))


ERRORS = [
    ("x + on(a) y", 'found duplicate series for the match group {a="1"} on the right hand-side of the operation: '
     '[{__name__="y", a="1", b="1"}, {__name__="y", a="1", b="2"}];many-to-many matching not allowed: '
     "matching labels must be unique on one side"),
    ("y + on(a) x", "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"),
    ("x * on(a) group_right() y", None),
    ("y + on(a) group_left(c) y", 'found duplicate series for the match group {a="1"} on the right hand-side '
     'of the operation: [{__name__="y", a="1", b="1"}, {__name__="y", a="1", b="2"}];many-to-many matching '
     "not allowed: matching labels must be unique on one side"),
    ('label_replace(y, "b", "", "", "")', "vector cannot contain metrics with the same labelset"),
    ('abs({__name__=~"p|q"})', "vector cannot contain metrics with the same labelset"),
    ('label_replace(x, "", "", "", "")', "invalid destination label name in label_replace(): "),
    ('label_replace(x, "a", "", "a", "(")', "invalid regular expression in label_replace(): ("),
    ('label_join(x, "c", "-", "")', "invalid source label name in label_join(): "),
    ('count_values("", x)', 'invalid label name ""'),
    ("topk(NaN, x)", "Parameter value is NaN"),
    ("topk(1e30, x)", "Scalar value 1e+30 overflows int64"),
    ("quantile(0.5, x)", None),
]  # fmt: skip


@pytest.mark.parametrize(("query", "message"), ERRORS)
def test_what_cannot_be_evaluated_is_told_in_prometheus_words(query: str, message: str | None) -> None:
    memory = loaded('x{a="1"} 1', 'y{a="1", b="1"} 1', 'y{a="1", b="2"} 1', "p 1", "q 1")
    engine = Engine(memory)
    for ask in (partial(engine.instant, query, 0), partial(engine.range, RangeQuery(query, 0, 60_000, 30_000))):
        if message is None:
            ask()
            continue
        with pytest.raises(ExecutionError) as caught:
            ask()
        assert str(caught.value) == message


NOTES = [
    ("rate(x[5m])", [], ['metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "x" (1:6)']),
    ("sum(\n  increase(x[5m]))", [], [
        'metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "x" (2:12)']),
    ("rate(x_total[5m])", [], []),
    ("rate(nothing[5m])", [], []),
    ("quantile(1.5, x)", ["quantile value should be between 0 and 1, got 1.5 (1:10)"], []),
    ("quantile_over_time(-1, x[5m])", ["quantile value should be between 0 and 1, got -1 (1:20)"], []),
    ("histogram_quantile(2, h_bucket)", ["quantile value should be between 0 and 1, got 2 (1:20)"], []),
    ("histogram_quantile(0.5, x)", [
        'bucket label "le" is missing or has a malformed value of "" for metric name "x" (1:25)'], []),
    ("histogram_quantile(0.5, h_bucket)", [], [
        "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/"
        'latest/querying/functions/#histogram_quantile) for metric name "h_bucket", from buckets 2 to 2, with a max '
        "diff of 1, over 1 samples from 1970-01-01T00:03:00Z to 1970-01-01T00:03:00Z (1:25)"]),
    ("x </ 1", [], ['incompatible sample types encountered for binary operator "</": float </ float (1:1)']),
    ("histogram_count(x)", ["histogram_count() gives nothing: native histograms are not supported (1:1)"], []),
    ("sort(x)", [], []),
]  # fmt: skip


@pytest.mark.parametrize(("query", "warnings", "infos"), NOTES, ids=[query for query, _, _ in NOTES])
def test_what_is_odd_is_told_with_its_place(query: str, warnings: list[str], infos: list[str]) -> None:
    memory = loaded(
        "x 1+1x5", "x_total 1+1x5", 'h_bucket{le="1"} 2x5', 'h_bucket{le="2"} 1x5', 'h_bucket{le="+Inf"} 3x5'
    )
    answer = Engine(memory).instant(query, 180_000)
    assert list(answer.warnings) == [f"PromQL warning: {text}" for text in warnings]
    assert list(answer.infos) == [f"PromQL info: {text}" for text in infos]


def test_sorting_a_range_is_warned_about() -> None:
    answer = Engine(UP).range(RangeQuery("sort(up)", 0, 60_000, 60_000))
    warning = "sort is ineffective for range queries since results are always ordered by labels"
    assert answer.warnings == (f"PromQL warning: {warning} (1:1)",)


def test_samples_are_counted_as_prometheus_counts_them() -> None:
    memory = loaded("x 1+1x59")
    engine = Engine(memory)
    for query, total in (("x", 1), ("sum_over_time(x[10m])", 10), ("x + x", 2), ("1", 0), ("x[10m]", 10)):
        assert engine.instant(query, 3_000_000).samples.total == total
    statistics = engine.range(RangeQuery("sum_over_time(x[10m])", 600_000, 1_200_000, 300_000)).samples
    assert statistics.per_step.tolist() == [10, 10, 10]
    assert statistics.peak >= 10
    assert engine.range(RangeQuery("x @ 60", 0, 600_000, 60_000)).samples.per_step.tolist() == [1] * 11


@pytest.mark.parametrize("query", ["x", "sum_over_time(x[2m])", "x + x", "max_over_time(x[10m:1s])", "x @ 60"])
def test_a_query_over_too_many_samples_is_refused(query: str) -> None:
    memory = loaded(*(f'x{{i="{i}"}} 1x9' for i in range(20)))
    with pytest.raises(ExecutionError, match="would load too many samples into memory in query execution"):
        Engine(memory, max_samples=100).range(RangeQuery(query, 0, 540_000, 30_000))
    Engine(memory, max_samples=10_000_000).range(RangeQuery(query, 0, 540_000, 30_000))


def test_a_query_whose_deadline_has_passed_times_out() -> None:
    ticks = count()
    cancellation = Cancellation(deadline=3, now=lambda: next(ticks))
    with pytest.raises(QueryTimeout, match=r"^query timed out in expression evaluation$"):
        Engine(UP).instant("up + up + up + up", 0, cancellation=cancellation)


def test_a_deadline_without_a_clock_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="clock"):
        Cancellation(deadline=1)


class _Pausing:
    """Data that lets somebody else act before it answers."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesSet]:
        self.asked.set()
        assert self.go_on.wait(10)
        return UP.select(matchers, start_ms, end_ms)

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        return []

    def families(self) -> Mapping[str, Family]:
        return {}


def test_a_query_in_another_thread_ends_when_it_is_canceled() -> None:
    data, cancellation, outcome = _Pausing(), Cancellation(), list[Exception]()

    def run() -> None:
        try:
            Engine(data).instant("up + up", 0, cancellation=cancellation)
        except QueryCanceled as err:
            outcome.append(err)

    thread = threading.Thread(target=run)
    thread.start()
    assert data.asked.wait(10)
    cancellation.cancel()
    data.go_on.set()
    thread.join(10)
    assert [str(err) for err in outcome] == ["query was canceled in expression evaluation"]


def test_the_same_selector_is_read_once() -> None:
    asked: list[str] = []

    class Counting(Memory):
        def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesSet]:
            asked.append(matchers[0].value)
            return super().select(matchers, start_ms, end_ms)

    Engine(Counting(UP.samples)).range(RangeQuery("up / up - rate(up[1m]) * rate(up[1m])", 0, 60_000, 15_000))
    assert len(asked) == 2


def test_nobody_writes_into_the_arrays_of_the_storage() -> None:
    """The storage may hand out its own memory."""
    values = np.cumsum(np.ones((3, 40)), axis=1)
    values[1, 20:] -= 15
    values.flags.writeable = False
    t_ms = np.arange(40) * 15_000
    t_ms.flags.writeable = False
    labels = [(("__name__", "x_total"), ("i", str(i))) for i in range(3)]

    class Frozen(Memory):
        def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesSet]:
            return [SeriesSet(labels, t_ms, values)]

    engine = Engine(Frozen())
    for query in (
        "x_total", "-x_total", "rate(x_total[5m])", "sum_over_time(x_total[5m])", "topk(1, x_total)", "sort(x_total)",
        "x_total or x_total", "sum(x_total)", "avg without (i) (x_total)",
        'label_replace(x_total, "__name__", "y", "", "")',
        "max_over_time(x_total[5m:15s])", "quantile_over_time(0.5, x_total[5m])", "x_total > 3", "deriv(x_total[5m])",
    ):  # fmt: skip
        engine.range(RangeQuery(query, 60_000, 500_000, 15_000))
        engine.instant(query, 300_000)


def test_a_chain_of_thousands_of_operators_is_evaluated() -> None:
    value = Engine(UP).instant(" + ".join(["up"] * 3_000), 0).value
    assert isinstance(value, Vector)
    assert value.values.tolist() == [3_000, 3_000]


def test_equal_values_are_ranked_as_the_heap_leaves_them() -> None:
    memory = loaded(*(f'x{{i="{i}"}} 1 2 {i % 2}' for i in range(6)))
    engine = Engine(memory)
    for query in ("topk(2, x)", "bottomk(3, x)", "topk(4, x)"):
        ranged = engine.range(RangeQuery(query, 0, 120_000, 60_000)).value
        assert isinstance(ranged, Matrix)
        for step, t_ms in enumerate((0, 60_000, 120_000)):
            instant = engine.instant(query, t_ms).value
            assert isinstance(instant, Vector)
            at_step = {labels for labels, t, _ in ranged.series() if step * 60_000 in t}
            assert at_step == set(instant.labels)


@pytest.mark.parametrize(
    "query",
    [
        "max_over_time(x[100y:1ms])",
        "max_over_time(max_over_time(x[1y:1s])[1y:1s])",
        "max_over_time(vector(1)[50y:10ms])",
        "count_over_time((x * on() group_left sum(x))[1y:1s])",
    ],
)
def test_what_would_not_fit_is_refused_before_it_is_made(query: str) -> None:
    with pytest.raises(ExecutionError, match="too many samples"):
        Engine(loaded('x{a="1"} 1x9', 'x{a="2"} 1x9')).instant(query, 540_000)


@pytest.mark.parametrize(
    ("opening", "closing", "depth"),
    [("(", ")", 199), ("-(", ")", 99), ("sum(", ")", 199), ("abs(", ")", 199), ("max_over_time(", "[1m:1m])", 99)],
)
def test_what_is_nested_as_deeply_as_allowed_is_evaluated(opening: str, closing: str, depth: int) -> None:
    value = Engine(loaded("x 1x200")).instant(opening * depth + "x" + closing * depth, 12_000_000).value
    assert isinstance(value, Vector)
    assert np.abs(value.values).tolist() == [1.0]


def test_a_range_of_more_steps_than_samples_are_allowed_is_refused() -> None:
    with pytest.raises(ExecutionError, match="too many samples"):
        Engine(UP).range(RangeQuery("1", 0, 10**15, 1))


@pytest.mark.parametrize("t_ms", [-(2**63), 2**63 - 1, 10**19, -(10**30)])
def test_a_time_beyond_all_ages_is_refused(t_ms: int) -> None:
    with pytest.raises(ExecutionError, match="out of range"):
        Engine(UP).instant("up", t_ms)
    with pytest.raises(ExecutionError, match="out of range"):
        Engine(UP).range(RangeQuery("up", t_ms, t_ms, 1))


@pytest.mark.parametrize("query", ["up @ 9e18", "rate(up[1m] @ -9e18 offset -292y)", "max_over_time(up[1h:1m] @ 9e18)"])
def test_a_selector_pinned_to_the_end_of_time_finds_nothing(query: str) -> None:
    value = Engine(UP).instant(query, 0).value
    assert isinstance(value, Vector)
    assert not value.labels


def test_a_long_kernel_asks_in_between_whether_to_go_on() -> None:
    def asked(series: int) -> int:
        t_ms = np.arange(400) * 15_000
        labels = [(("__name__", "x_total"), ("i", str(i))) for i in range(series)]

        class Wide(Memory):
            def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesSet]:
                return [SeriesSet(labels, t_ms, np.ones((series, 400)))]

        ticks = count()
        cancellation = Cancellation(deadline=1e9, now=lambda: next(ticks))
        Engine(Wide()).range(RangeQuery("rate(x_total[5m])", 0, 5_985_000, 15_000), cancellation)
        return next(ticks)

    assert asked(2_000) > asked(1) + 3


@pytest.mark.parametrize(("t_ms", "shown"), [(-1_500, "1969-12-31T23:59:59Z"), (10**15, "33658-09-27T01:46:40Z")])
def test_a_fix_tells_its_time_in_any_age(t_ms: int, shown: str) -> None:
    memory = Memory()
    for le, value in (("1", 2.0), ("2", 1.0), ("+Inf", 3.0)):
        memory.put((("__name__", "h_bucket"), ("le", le)), t_ms, value)
    (info,) = Engine(memory).instant("histogram_quantile(0.5, h_bucket)", t_ms).infos
    assert f"over 1 samples from {shown} to {shown} (1:25)" in info
