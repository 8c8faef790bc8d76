"""Cached answers to range queries are the engine's own."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model import Labels, SeriesSet, make_labels
from exporter.promql.answer import Answer, Matrix
from exporter.promql.ast import Call, Paren
from exporter.promql.cancellation import Cancellation
from exporter.promql.engine import Engine
from exporter.promql.errors import ExecutionError
from exporter.promql.horizon import lead_ms
from exporter.promql.parser import parse
from exporter.promql.question import RangeQuery
from exporter.promql.signatures import FUNCTIONS
from exporter.web.result_cache import ResultCache
from tests.promql.expressions import METRICS, vectors
from tests.promql.memory import Memory
from tests.promql.promqltest import STALE

MAX_BYTES = 1 << 20
TICK_MS = 15_000
UP: Labels = (("__name__", "up"),)


@dataclass
class Counted(Engine):
    """Remembers how many steps it was asked for."""

    memory: Memory
    steps: list[int] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        super().__init__(self.memory)

    def range(self, asked: RangeQuery, cancellation: Cancellation | None = None) -> Answer:
        self.steps.append((asked.end_ms - asked.start_ms) // asked.step_ms + 1)
        answer = super().range(asked, cancellation)
        self.meanwhile()
        return answer


class Fleet:
    """Samples that come tick by tick or from elsewhere, an engine over them, and a cache before it."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.memory = Memory()
        self.engine = Counted(self.memory)
        self.now_ms = 0
        self.clock = 0.0
        self.revision = 0
        self.cache = ResultCache(
            self.engine,
            newest_ms=lambda: self.now_ms or None,
            revision=lambda: self.revision,
            monotonic=lambda: self.clock,
            max_bytes=max_bytes,
        )
        self.ingest = self.cache.watched(self._ingest)

    def tick(self, values: dict[Labels, float]) -> None:
        """One more tick, of these series."""
        self.now_ms += TICK_MS
        for labels, value in values.items():
            self.memory.put(labels, self.now_ms, value)

    def ticks(self, count: int) -> None:
        """Ticks of one series."""
        for _ in range(count):
            self.tick({UP: self.now_ms / 1000})

    def put(self, labels: Labels, t_ms: int, value: float) -> None:
        """One sample from elsewhere."""
        self.ingest([SeriesSet([labels], np.array([t_ms], dtype=np.int64), np.array([[value]]))], ())

    def _ingest(self, sets: Sequence[SeriesSet], _families: object) -> int:
        for each in sets:
            self.memory.put(each.labels[0], int(each.t_ms[0]), float(each.values[0, 0]))
        return len(sets)

    def asked(self, query: str, start_ms: int, end_ms: int, step_ms: int = TICK_MS) -> int:
        """Checks a cached answer against the engine's; returns how many steps had to be evaluated."""
        before = len(self.engine.steps)
        found = shown(lambda: self.cache.range(RangeQuery(query, start_ms, end_ms, step_ms)))
        evaluated = sum(self.engine.steps[before:])
        assert_alike(found, shown(lambda: Engine(self.memory).range(RangeQuery(query, start_ms, end_ms, step_ms))))
        return evaluated


def shown(ask: Callable[[], Answer]) -> Answer | str:
    """An answer, or the text of the error."""
    try:
        return ask()
    except ExecutionError as err:
        return str(err)


def assert_alike(found: Answer | str, expected: Answer | str) -> None:
    if isinstance(found, str) or isinstance(expected, str):
        assert found == expected
        return
    assert (found.warnings, found.infos) == (expected.warnings, expected.infos)
    assert isinstance(found.value, Matrix)
    assert isinstance(expected.value, Matrix)
    assert list(found.value.labels) == list(expected.value.labels)
    for (_, t_ms, values), (_, other_t_ms, other_values) in zip(
        found.value.series(), expected.value.series(), strict=True
    ):
        assert t_ms.tolist() == other_t_ms.tolist()
        np.testing.assert_allclose(values, other_values, rtol=1e-12)


_series = st.builds(
    lambda name, job, instance: make_labels({"__name__": name, "job": job, "instance": instance}),
    *(st.sampled_from(METRICS), st.sampled_from("ab"), st.sampled_from("01")),
)
_values = st.one_of(
    st.integers(0, 50).map(float), st.floats(-9, 9).map(lambda x: round(x, 3)), st.sampled_from((STALE, math.nan))
)
_ticks = st.tuples(st.just("tick"), st.dictionaries(_series, _values, max_size=5))
_ingests = st.tuples(st.just("ingest"), st.tuples(_series, st.integers(-40, 3), _values))
_asks = st.tuples(st.just("ask"), st.tuples(st.integers(0, 1), st.integers(1, 30), st.integers(-8, 6)))
_events = st.lists(st.one_of(_ticks, _ticks, _ingests, _asks, _asks, _asks), min_size=10, max_size=40)


@given(st.lists(vectors, min_size=2, max_size=2), st.sampled_from((5_000, 15_000, 60_000)), _events)
@settings(max_examples=150, deadline=None)
def test_cached_answers_are_the_engines_own(queries: list[str], step_ms: int, events: list[tuple[str, Any]]) -> None:
    fleet = Fleet()
    for _ in range(20):
        fleet.tick({make_labels({"__name__": METRICS[0], "job": "a", "instance": "0"}): fleet.now_ms / 1e4})
    for kind, what in events:
        if kind == "tick":
            fleet.tick(what)
        elif kind == "ingest":
            labels, ticks_ago, value = what
            fleet.put(labels, fleet.now_ms + ticks_ago * 7_000, value)
        else:
            which, steps, ahead = what
            end_ms = (fleet.now_ms // step_ms + ahead) * step_ms
            fleet.asked(queries[which], end_ms - steps * step_ms, end_ms, step_ms)


def test_a_range_that_moves_on_costs_the_new_steps_only() -> None:
    fleet = Fleet()
    fleet.ticks(100)
    assert fleet.asked("up * 2", 300_000, 1_500_000) == 81
    assert fleet.asked("up * 2", 300_000, 1_500_000) == 0
    fleet.ticks(2)
    assert fleet.asked("up * 2", 330_000, 1_530_000) == 2
    assert fleet.asked("up * 2", 600_000, 1_200_000) == 0
    assert fleet.asked("up * 2", 285_000, 1_530_000) == 84  # it begins earlier than what is known
    assert fleet.asked("up * 2", 286_000, 1_530_000) == 83  # other steps
    stats = fleet.cache.stats()
    assert (stats.hits, stats.misses, stats.entries) == (3, 3, 2)


def test_steps_after_the_last_tick_are_evaluated_again() -> None:
    fleet = Fleet()
    fleet.ticks(100)
    assert fleet.asked("up", 1_200_000, 1_800_000) == 41
    assert fleet.asked("up", 1_200_000, 1_800_000) == 20
    fleet.ticks(1)
    assert fleet.asked("up", 1_200_000, 1_800_000) == 20
    assert fleet.asked("up", 1_200_000, 1_800_000) == 19


@pytest.mark.parametrize(
    ("query", "lead"),
    [
        ("up", 0),
        ("up offset 5m", 0),
        ("up offset -5m", 300_000),
        ("rate(up[5m] offset -1m) + up offset -30s", 60_000),
        ("max_over_time((up offset -1m)[5m:1m] offset -2m)", 180_000),
        ("max_over_time((up offset -1m)[5m:1m] offset 2m)", 0),
        ("time() + vector(1)", 0),
        ("up @ 5", None),
        ("up @ end()", None),
        ("sum(rate(up[1m] @ start()))", None),
        ("max_over_time(up[5m:1m] @ 7)", None),
        ("rate(up[step() * 4])", None),
    ],
)
def test_it_is_known_how_far_ahead_a_step_looks(query: str, lead: int | None) -> None:
    assert lead_ms(parse(query, duration_expressions=True)) == lead


@pytest.mark.parametrize("name", ["start", "end", "range", "step"])
def test_functions_that_tell_the_range_make_steps_depend_on_it(name: str) -> None:
    assert lead_ms(Paren(Call(FUNCTIONS[name], ()))) is None


@pytest.mark.parametrize(
    "query", ["up @ end()", "up @ start()", "sum(up) / sum(up @ end())", "sort(up)", "rate(up[1m])"]
)
def test_what_depends_on_the_range_or_is_annotated_is_never_kept(query: str) -> None:
    fleet = Fleet()
    fleet.ticks(40)
    for _ in range(2):
        assert fleet.asked(query, 300_000, 600_000) == 21
    assert fleet.cache.stats().entries == 0


def test_samples_from_elsewhere_take_away_what_may_have_seen_them() -> None:
    fleet = Fleet()
    fleet.ticks(100)
    fleet.asked("up", 300_000, 1_500_000)
    fleet.put(UP, 1_200_001, 7.0)
    assert fleet.asked("up", 300_000, 1_500_000) == 20
    fleet.put(UP, 1_500_001, 7.0)
    assert fleet.asked("up", 300_000, 1_500_000) == 0
    fleet.put(UP, 1, 7.0)
    assert fleet.asked("up", 300_000, 1_500_000) == 81


def test_samples_that_come_while_a_query_runs_are_not_missed() -> None:
    fleet = Fleet()
    fleet.ticks(100)
    fleet.engine.meanwhile = lambda: fleet.put(UP, 900_001, 7.0)
    fleet.cache.range(RangeQuery("up", 300_000, 1_500_000, TICK_MS))
    fleet.engine.meanwhile = lambda: None
    assert fleet.asked("up", 300_000, 1_500_000) == 40


def test_another_revision_forgets_everything_also_while_a_query_runs() -> None:
    fleet = Fleet()
    fleet.ticks(100)
    fleet.asked("up", 300_000, 1_500_000)
    fleet.revision += 1
    assert fleet.asked("up", 300_000, 1_500_000) == 81
    fleet.revision += 1
    fleet.cache.clean()
    assert fleet.cache.stats().bytes == 0

    def partial() -> None:
        fleet.revision += 1

    fleet.engine.meanwhile = partial
    fleet.cache.range(RangeQuery("up", 300_000, 1_500_000, TICK_MS))
    assert fleet.cache.stats().entries == 0


def test_what_is_old_is_evaluated_again_and_cleaned_away() -> None:
    fleet = Fleet()
    fleet.ticks(100)
    fleet.asked("up", 300_000, 1_500_000)
    fleet.clock = 200.0
    fleet.ticks(1)
    assert fleet.asked("up", 300_000, 1_515_000) == 1
    fleet.clock = 301.0  # of the first evaluation: extending makes nothing younger
    assert fleet.asked("up", 300_000, 1_515_000) == 82
    fleet.clock = 700.0
    fleet.cache.clean()
    assert (fleet.cache.stats().entries, fleet.cache.stats().bytes) == (0, 0)


def test_its_size_is_bounded_and_the_least_recently_used_goes_first() -> None:
    fleet = Fleet(max_bytes=5_000)
    fleet.ticks(100)
    for query in ("up + 1", "up + 2", "up + 1", "up + 3"):
        fleet.asked(query, 300_000, 1_500_000)
    assert fleet.cache.stats().bytes <= 5_000
    assert fleet.asked("up + 1", 300_000, 1_500_000) == 0
    assert fleet.asked("up + 2", 300_000, 1_500_000) == 81
    fleet.asked("up", 0, 15_000_000, 1_500)
    assert fleet.cache.stats().bytes <= 5_000


def test_the_bytes_it_tells_are_those_it_takes() -> None:
    fleet = Fleet()
    names = [make_labels({"__name__": "up", "instance": f"server-{i}"}) for i in range(200)]
    for _ in range(100):
        fleet.tick(dict.fromkeys(names, 1.5))
    fleet.asked("up", 300_000, 1_500_000)
    fleet.cache.clean()
    tracemalloc.start()
    answers = [fleet.cache.range(RangeQuery(f"abs(up) + {i}", 300_000, 1_500_000, TICK_MS)) for i in range(10)]
    del answers
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    told = fleet.cache.stats().bytes
    assert told < MAX_BYTES
    assert 0.7 * taken < told < 1.5 * taken
