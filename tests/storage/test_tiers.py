"""Tiers in virtual time: what is asked of old samples has the answers that the samples themselves would give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from numpy.typing import NDArray

from exporter.model import METRIC_NAME, STALE_NAN_BITS, Column, Labels, SeriesIndex, SeriesSet, Snapshot, Wanted
from exporter.promql.answer import Matrix
from exporter.promql.engine import Engine
from exporter.promql.question import RangeQuery
from exporter.storage import aggregates
from exporter.storage.database import Database
from exporter.storage.layout import DAY_MS, RAW, TIERS, Tier
from exporter.storage.open import open_store
from exporter.storage.plan import Reach, Stretch, stretches
from exporter.storage.stats import Limits
from tests.promql.memory import Memory
from tests.storage.conftest import Open
from tests.storage.fleet import CPU, EVER, REQUESTS, index, named

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
ONE, FIVE, HOUR = TIERS[1:]
EPOCH_MS = 1_700_000_000_000 // HOUR.span_ms * HOUR.span_ms

QUERIES = (
    "{m}",
    "min_over_time({m}[{r}])",
    "max_over_time({m}[{r}])",
    "avg_over_time({m}[{r}])",
    "sum_over_time({m}[{r}])",
    "count_over_time({m}[{r}])",
    "last_over_time({m}[{r}])",
)


@dataclass
class Past:
    """Ticks of two gauges and two counters that are reset at any moment; `truth` has all of them as they were."""

    database: Database
    step_ms: int
    t_ms: int = EPOCH_MS
    resets: float = 0.02

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(3)
        self._gauge = np.full(2, 50.0)
        self._counter = np.zeros(2)
        self._indexes = [index(CPU, ["a", "b"]), index(REQUESTS, ["a", "b"])]
        self._times: list[int] = []
        self._values: list[NDArray[np.float64]] = []

    def run(self, until_ms: int) -> None:
        """Tick up to this time, cleaning up each day."""
        while self.t_ms < until_ms:
            self.t_ms += self.step_ms
            self._gauge = np.round(self._gauge + self._random.normal(0, 1, 2), 2)
            self._counter = self._counter + self._random.poisson(20, 2)
            self._counter[self._random.random(2) < self.resets] = 3.0
            columns = (Column(self._indexes[0], self._gauge.copy()), Column(self._indexes[1], self._counter.copy()))
            self.database.append(Snapshot(self.t_ms, columns))
            self._times.append(self.t_ms)
            self._values.append(np.concatenate([self._gauge, self._counter]))
            if self.t_ms % DAY_MS == 0:
                self.database.expire(self.t_ms)
                assert self.database.settle()

    def truth(self) -> Engine:
        """Answers from all that was."""
        labels = [each.labels(row) for each in self._indexes for row in range(2)]
        rows = np.array(self._values).T.tolist()
        return Engine(
            Memory({own: dict(zip(self._times, row, strict=True)) for own, row in zip(labels, rows, strict=True)})
        )


def points(engine: Engine, query: str, start_ms: int, end_ms: int, step_ms: int) -> dict[Labels, dict[int, float]]:
    """A range query's points."""
    value = engine.range(RangeQuery(query, start_ms, end_ms, step_ms)).value
    assert isinstance(value, Matrix)
    present = np.ones(value.values.shape, bool) if value.present is None else value.present
    times = value.t_ms
    return {
        tuple(pair for pair in labels if pair[0] != METRIC_NAME): dict(
            zip(times[there].tolist(), row[there].tolist(), strict=True)
        )
        for labels, row, there in zip(value.labels, value.values, present, strict=True)
    }


def alike(found: dict[Labels, dict[int, float]], true: dict[Labels, dict[int, float]], tolerance: float) -> None:
    """Fails unless both have points at the same times, with values as near as the tolerance."""
    assert found.keys() == true.keys()
    for labels, expected in true.items():
        assert found[labels].keys() == expected.keys()
        for t_ms, value in expected.items():
            assert found[labels][t_ms] == pytest.approx(value, rel=tolerance), t_ms


@pytest.fixture(scope="module")
def year() -> Iterator[Past]:
    """More than a year, a tick each hour."""
    past = Past(Database(open_store("memory:"), interval_ms=HOUR_MS), HOUR_MS)
    past.run(EPOCH_MS + 420 * DAY_MS)
    yield past
    past.database.close()


def tiers_of(database: Database) -> dict[Tier, tuple[int, int]]:
    """The oldest and the newest instant of each tier."""
    with database._lock:
        reaches = database._catalog.reaches(CPU.name)
    return {tier: (reach.oldest_ms, reach.end_ms) for tier, reach in reaches.items()}


def test_each_tier_keeps_what_its_retention_says_over_a_year(year: Past) -> None:
    found = tiers_of(year.database)
    now_ms = year.t_ms
    for tier, days in zip(TIERS, (7, 30, 90, 365), strict=True):
        oldest_ms, end_ms = found[tier]
        edge_ms = now_ms - days * DAY_MS
        assert edge_ms - tier.span_ms - 32 * DAY_MS < oldest_ms <= edge_ms, tier.name
        assert now_ms - tier.span_ms - DAY_MS <= end_ms, tier.name


@pytest.mark.parametrize("days", [3, 25, 80, 300])
@pytest.mark.parametrize("query", QUERIES)
def test_questions_of_any_age_have_the_answers_that_the_samples_give(year: Past, query: str, days: int) -> None:
    end_ms = year.t_ms
    start_ms = end_ms - days * DAY_MS
    text = query.format(m=CPU.name, r="12h")
    found = points(Engine(year.database), text, start_ms, end_ms, 6 * HOUR_MS)
    alike(found, points(year.truth(), text, start_ms, end_ms, 6 * HOUR_MS), 1e-9)


@pytest.mark.parametrize("days", [3, 25, 80, 300])
@pytest.mark.parametrize("function", ["increase", "rate"])
def test_rates_of_any_age_are_right_over_resets_inside_an_aggregate(year: Past, function: str, days: int) -> None:
    end_ms = year.t_ms
    start_ms = end_ms - days * DAY_MS
    text = f"{function}({REQUESTS.name}[2d])"
    found = points(Engine(year.database), text, start_ms, end_ms, 12 * HOUR_MS)
    alike(found, points(year.truth(), text, start_ms, end_ms, 12 * HOUR_MS), 0.025)


def test_a_panel_over_all_tiers_has_no_gap_and_every_step_a_point(year: Past) -> None:
    end_ms, start_ms = year.t_ms, year.t_ms - 360 * DAY_MS
    for query in (CPU.name, f"rate({REQUESTS.name}[5m])", f"max_over_time({CPU.name}[1m])", f"deriv({CPU.name}[10m])"):
        found = points(Engine(year.database), query, start_ms, end_ms - 40 * DAY_MS, 7 * HOUR_MS)
        steps = len(range(start_ms, end_ms - 40 * DAY_MS + 1, 7 * HOUR_MS))
        assert [len(each) for each in found.values()] == [steps, steps], query


@pytest.fixture(scope="module")
def quarter() -> Iterator[Past]:
    """Five days of a tick each 15 s, of which raw samples stay for two, minutes for three."""
    limits = Limits(retentions_ms={RAW: 2 * DAY_MS, ONE: 3 * DAY_MS, FIVE: 90 * DAY_MS})
    past = Past(Database(open_store("memory:"), limits=limits), 15_000, resets=0.002)
    past.run(EPOCH_MS + 5 * DAY_MS)
    yield past
    past.database.close()


@pytest.mark.parametrize(("ago_days", "width"), [(4.9, "5m"), (2.5, "1m")])
@pytest.mark.parametrize("query", [*QUERIES, "increase({c}[{r}])", "rate({c}[{r}])", "irate({c}[{r}])"])
def test_aggregates_of_many_samples_have_their_extremes_sums_and_growth(
    quarter: Past, query: str, ago_days: float, width: str
) -> None:
    start_ms = int(quarter.t_ms - ago_days * DAY_MS) // HOUR_MS * HOUR_MS
    text = query.format(m=CPU.name, c=REQUESTS.name, r="1h")
    found = points(Engine(quarter.database), text, start_ms, start_ms + 12 * HOUR_MS, HOUR_MS // 4)
    true = points(quarter.truth(), text, start_ms, start_ms + 12 * HOUR_MS, HOUR_MS // 4)
    if text.startswith("irate"):
        assert {labels: len(each) for labels, each in found.items()} == {k: len(v) for k, v in true.items()}
        return
    alike(found, true, 0.01 if REQUESTS.name in text and width == "1m" else 0.09 if REQUESTS.name in text else 1e-9)


def test_a_window_shorter_than_an_aggregate_gets_its_share_of_it(quarter: Past) -> None:
    engine = Engine(quarter.database)
    start_ms = quarter.t_ms - int(4.5 * DAY_MS)
    counted = points(engine, f"count_over_time({CPU.name}[1m])", start_ms, start_ms + HOUR_MS, 60_000)
    assert {value for each in counted.values() for value in each.values()} == {4.0}
    grown = points(engine, f"increase({REQUESTS.name}[1m])", start_ms, start_ms + HOUR_MS, 60_000)
    true = points(quarter.truth(), f"increase({REQUESTS.name}[1h])", start_ms + HOUR_MS, start_ms + HOUR_MS, 1)
    for labels, each in grown.items():
        assert sum(list(each.values())[1:]) == pytest.approx(true[labels][start_ms + HOUR_MS], rel=0.1)


def test_tiers_are_the_same_in_every_store_and_after_a_restart(store_url: str, opened: Open) -> None:
    limits = Limits(retentions_ms={RAW: DAY_MS, ONE: 90 * DAY_MS, FIVE: 90 * DAY_MS})
    database = opened(store_url, limits=limits, interval_ms=HOUR_MS // 6)
    past = Past(database, HOUR_MS // 6)
    past.run(EPOCH_MS + 6 * DAY_MS)
    asked = [points(Engine(database), CPU.name, EPOCH_MS + HOUR_MS, past.t_ms, HOUR_MS)]
    if store_url != "memory:":
        database.close()
        database = opened(store_url, limits=limits)
    asked.append(points(Engine(database), CPU.name, EPOCH_MS + HOUR_MS, past.t_ms, HOUR_MS))
    asked.append(points(past.truth(), CPU.name, EPOCH_MS + HOUR_MS, past.t_ms, HOUR_MS))
    assert asked[0] == asked[1] == asked[2]
    assert len(database.series(named(CPU.name), EPOCH_MS, EPOCH_MS + DAY_MS)) == 2
    (found,) = database.select(named(CPU.name), EPOCH_MS + 3 * HOUR_MS, EPOCH_MS + 4 * HOUR_MS)
    assert found.t_ms[0] >= EPOCH_MS + 3 * HOUR_MS


def test_samples_that_come_late_are_in_the_tiers_too(opened: Open) -> None:
    limits = Limits(retentions_ms={RAW: 3 * DAY_MS, ONE: 30 * DAY_MS, FIVE: 90 * DAY_MS})
    database = opened("memory:", limits=limits, interval_ms=HOUR_MS // 6)
    past = Past(database, HOUR_MS // 6)
    past.run(EPOCH_MS + 5 * DAY_MS)
    for ago_days in (1, 4):  # of which the tiers are made already; of the older raw samples have gone
        t_ms = past.t_ms - ago_days * DAY_MS - 5 * HOUR_MS
        labels = SeriesIndex(CPU, CPU.name, ("server",), (("new",),)).labels(0)
        database.ingest([SeriesSet([labels], np.array([t_ms, t_ms + 1]), np.array([[7.0, 9.0]]))], [CPU])
        for _ in range(2):
            database.expire(past.t_ms)
            assert database.settle()
        (found,) = database.select_wanted(named(CPU.name, server="new"), t_ms - HOUR_MS, t_ms + HOUR_MS, Wanted.MAX)
        assert 9.0 in found.values
    past.run(past.t_ms + 4 * DAY_MS)
    (found,) = database.select_wanted(named(CPU.name, server="new"), EPOCH_MS, past.t_ms - 3 * DAY_MS, Wanted.SUM)
    assert found.counts is not None
    assert found.widths_ms is not None and set(found.widths_ms.tolist()) <= {MINUTE_MS, 5 * MINUTE_MS}
    assert np.nansum(found.counts) == 4
    old = database.select_wanted(named(CPU.name, server="a"), EPOCH_MS, past.t_ms - 4 * DAY_MS, Wanted.SUM)[0]
    assert old.counts is not None
    assert (old.counts == 1).all(), "what was there has stayed"


def test_what_tiers_have_stays_when_raw_samples_are_to_be_kept_longer_from_now_on(
    lasting_url: str, opened: Open
) -> None:
    database = opened(lasting_url, limits=Limits(retentions_ms={RAW: DAY_MS, ONE: 90 * DAY_MS}))
    past = Past(database, HOUR_MS // 6)
    past.run(EPOCH_MS + 5 * DAY_MS)
    before = sum(each.samples for each in database.kept() if each.tier == "1m")
    database.close()
    again = opened(lasting_url, limits=Limits(retentions_ms={RAW: 30 * DAY_MS, ONE: 90 * DAY_MS}))
    labels = SeriesIndex(CPU, CPU.name, ("server",), (("new",),)).labels(0)
    again.ingest([SeriesSet([labels], np.array([EPOCH_MS + HOUR_MS]), np.array([[7.0]]))], [CPU])
    for _ in range(2):
        again.expire(past.t_ms)
        assert again.settle()
    assert sum(each.samples for each in again.kept() if each.tier == "1m") == before + 1


def test_a_series_that_ended_ends_in_the_tiers_too(opened: Open) -> None:
    limits = Limits(retentions_ms={RAW: DAY_MS, ONE: 30 * DAY_MS})
    database = opened("memory:", limits=limits, interval_ms=HOUR_MS // 6)
    past = Past(database, HOUR_MS // 6)
    past.run(EPOCH_MS + HOUR_MS)
    past._indexes[0] = index(CPU, ["a"])
    past._gauge = np.array([1.0])
    values = np.array([1.0])
    for _ in range(5 * 144):
        past.t_ms += past.step_ms
        database.append(Snapshot(past.t_ms, (Column(past._indexes[0], values),)))
        if past.t_ms % DAY_MS == 0:
            database.expire(past.t_ms)
            assert database.settle()
    found = points(Engine(database), CPU.name, EPOCH_MS, EPOCH_MS + 4 * HOUR_MS, MINUTE_MS)
    by_server = {dict(labels)["server"]: each for labels, each in found.items()}
    assert max(by_server["b"]) == EPOCH_MS + HOUR_MS + 4 * MINUTE_MS, "no longer than it is seen"
    assert max(by_server["a"]) == EPOCH_MS + 4 * HOUR_MS


PLANS = [
    ("young: raw has all there is", {RAW: (9, 10), ONE: (0, 24)}, 0, [(RAW, 0, 100)]),
    ("covered by raw", {RAW: (50, 100), ONE: (0, 72)}, 60, [(RAW, 60, 100)]),
    ("older than raw", {RAW: (50, 100), ONE: (0, 72)}, 30, [(ONE, 30, 72), (RAW, 72, 100)]),
    ("late in raw", {RAW: (5, 100), ONE: (0, 72)}, 30, [(ONE, 30, 72), (RAW, 72, 100)]),
    (
        "older than minutes",
        {RAW: (700, 1000), ONE: (480, 984), FIVE: (0, 960)},
        100,
        [(FIVE, 100, 960), (ONE, 960, 984), (RAW, 984, 1000)],
    ),
    ("after a pause", {RAW: (700, 1000), ONE: (0, 24)}, 10, [(ONE, 10, 24), (RAW, 24, 1000)]),
]


@pytest.mark.parametrize(("what", "reaches", "start", "plan"), PLANS, ids=[plan[0] for plan in PLANS])
def test_the_finest_tier_that_goes_back_far_enough_answers(
    what: str, reaches: dict[Tier, tuple[int, int]], start: int, plan: list[tuple[Tier, int, int]]
) -> None:
    end = plan[-1][2]
    known = {tier: Reach(oldest * HOUR_MS, last * HOUR_MS) for tier, (oldest, last) in reaches.items()}
    edges = {RAW: (end - 50) * HOUR_MS if "young" not in what else -HOUR_MS, ONE: (end - 200) * HOUR_MS}
    found = stretches(known, edges, start * HOUR_MS, end * HOUR_MS, 2)
    expected = [
        Stretch(
            tier,
            begin * HOUR_MS + (1 if position else -2 * tier.width_ms),
            last * HOUR_MS,
        )
        for position, (tier, begin, last) in enumerate(plan)
    ]
    assert found == expected


@settings(max_examples=200)
@given(
    st_np.arrays(np.float64, st.tuples(st.just(2), st.integers(1, 40)), elements=st.floats(0, 1e6)),
    st.integers(1, 12),
    st.data(),
)
def test_aggregates_of_aggregates_are_the_aggregates_of_the_samples(
    values: NDArray[np.float64], fold: int, data: st.DataObject
) -> None:
    t_ms = np.cumsum(data.draw(st_np.arrays(np.int64, values.shape[1], elements=st.integers(1, 90_000))))
    stale = data.draw(st_np.arrays(np.bool_, values.shape))
    values = np.where(stale, np.array([STALE_NAN_BITS], np.uint64).view(np.float64), values)
    fine = aggregates.of_samples(t_ms, values, None, MINUTE_MS, counter=True)
    found = aggregates.of_aggregates(fine, fold * MINUTE_MS)
    direct = aggregates.of_samples(t_ms, values, None, fold * MINUTE_MS, counter=True)
    assert np.array_equal(found.t_ms, direct.t_ms)
    assert np.array_equal(found.present, direct.present)
    for name in aggregates.ALL:
        if name in (aggregates.SUM, aggregates.LOST):
            assert np.allclose(found.columns[name], direct.columns[name], rtol=1e-9, atol=0, equal_nan=True)
        else:
            assert np.array_equal(found.columns[name].view(np.uint64), direct.columns[name].view(np.uint64)), name


def test_a_tier_that_is_kept_for_no_time_is_not_made(opened: Open) -> None:
    database = opened("memory:", limits=Limits(retentions_ms={RAW: 30 * DAY_MS}), interval_ms=HOUR_MS)
    past = Past(database, HOUR_MS)
    past.run(EPOCH_MS + 5 * DAY_MS)
    assert tiers_of(database).keys() == {RAW}
    assert database.select(named(CPU.name), *EVER)[0].widths_ms is None
