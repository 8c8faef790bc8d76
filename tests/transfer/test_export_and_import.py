from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model import METRIC_NAME, STALE_NAN_BITS, Family, Labels, Matcher, MatchType, MetricType, SeriesSet
from exporter.openmetrics import OpenMetricsError
from exporter.promql.parser import parse_selector
from exporter.storage.database import Database
from exporter.storage.memory import MemoryStore
from exporter.transfer.exporting import export
from exporter.transfer.importing import Imported, import_text, together

START_MS = 1_800_000_000_000 // 7_200_000 * 7_200_000
END_MS = START_MS + 86_400_000
FAMILIES = (
    Family("requests_total", MetricType.COUNTER, 'asked, "so" \\ often'),
    Family("latency_seconds", MetricType.HISTOGRAM, "how long", "seconds"),
    Family("load", MetricType.GAUGE, "load"),
    Family("build_info", MetricType.INFO, "what runs"),
)
METRICS = (
    "requests_total",
    "latency_seconds_bucket",
    "latency_seconds_count",
    "latency_seconds_sum",
    "load",
    "build_info",
)
Samples = dict[Labels, dict[int, int]]
"""Bits by time by series."""


@pytest.fixture
def database() -> Iterator[Database]:
    opened = Database(MemoryStore())
    yield opened
    opened.close()


@pytest.fixture
def other() -> Iterator[Database]:
    opened = Database(MemoryStore())
    yield opened
    opened.close()


def series(metric: str, server: str, samples: Mapping[int, float]) -> SeriesSet:
    labels = ((METRIC_NAME, metric), ("server", server))
    values = np.array([list(samples.values())], np.float64)
    return SeriesSet((labels,), np.array(list(samples), np.int64), values)


def everything(database: Database) -> Samples:
    found: Samples = {}
    for each in database.select([], START_MS, END_MS):
        for row, labels in enumerate(each.labels):
            there = slice(None) if each.present is None else each.present[row]
            bits = each.values[row][there].view(np.uint64).tolist()
            found[labels] = dict(zip(each.t_ms[there].tolist(), bits, strict=True))
    return found


def taken_in(text: str, database: Database, oldest_ms: int = 0) -> Imported:
    *_, done = import_text(io.BytesIO(text.encode()), database.ingest, oldest_ms)
    return done


def exported(database: Database, *selectors: str, budget: int = 2_000_000) -> str:
    return "".join(export(database, [parse_selector(each) for each in selectors], START_MS, END_MS, budget=budget))


samples_of_a_series = st.dictionaries(
    st.integers(0, 5760).map(lambda tick: START_MS + tick * 15_000 + tick % 3),
    st.floats(allow_nan=False),
    min_size=1,
    max_size=12,
).map(lambda samples: dict(sorted(samples.items())))
histories = st.dictionaries(
    st.tuples(st.sampled_from(METRICS), st.sampled_from(("web-01", 'q"\\\n', "ü"))), samples_of_a_series, max_size=8
)


@settings(max_examples=40, deadline=None)
@given(histories, st.sampled_from((1, 7, 2_000_000)))
def test_what_is_exported_and_imported_is_the_same_bit_for_bit(
    history: dict[tuple[str, str], dict[int, float]], budget: int
) -> None:
    source, target = Database(MemoryStore()), Database(MemoryStore())
    try:
        source.ingest([series(*name, samples) for name, samples in history.items()], FAMILIES)
        taken_in(exported(source, budget=budget), target)
        assert everything(target) == everything(source)
        assert {family.name: family for family in source.families().values()} == dict(target.families())
    finally:
        source.close()
        target.close()


@pytest.mark.parametrize("budget", [1, 100, 2_000_000])
def test_families_and_series_stand_in_one_piece_each_whatever_the_budget(database: Database, budget: int) -> None:
    day = {START_MS + tick * 600_000: float(tick) for tick in range(144)}
    database.ingest([series(metric, server, day) for server in ("a", "b", "c") for metric in METRICS], FAMILIES)
    lines = exported(database, budget=budget).splitlines()
    assert lines[-1] == "# EOF"
    types = [line for line in lines if line.startswith("# TYPE")]
    assert types == [
        "# TYPE build info",
        "# TYPE latency_seconds histogram",
        "# TYPE load gauge",
        "# TYPE requests counter",
    ]
    names = [line.split(" ")[0] for line in lines if not line.startswith("#")]
    changes = 1 + sum(before != after for before, after in itertools.pairwise(names))
    assert changes == len(set(names)) == 18


def test_a_stale_marker_is_left_out_and_any_other_nan_is_not(database: Database, other: Database) -> None:
    stale = float(np.array([STALE_NAN_BITS], np.uint64).view(np.float64)[0])
    history = {START_MS: 1.0, START_MS + 15_000: float("nan"), START_MS + 30_000: stale, START_MS + 45_000: 2.0}
    database.ingest([series("load", "a", history)], FAMILIES)
    text = exported(database)
    assert [line.split(" ")[1] for line in text.splitlines() if line.startswith("load{")] == ["1", "NaN", "2"]
    assert taken_in(text, other).samples == 3


@pytest.mark.parametrize(
    ("selectors", "names"),
    [
        (["load"], {"load"}),
        (['{server="a"}', "load"], {"load", "build_info"}),
        (['{__name__=~"load|build.*"}', '{server="a"}'], {"load", "build_info"}),
        (["nothing"], set()),
    ],
)
def test_a_series_that_any_selector_matches_is_exported_once(
    database: Database, selectors: list[str], names: set[str]
) -> None:
    database.ingest([series(name, "a", {START_MS: 1.0}) for name in ("load", "build_info")], FAMILIES)
    told = [line for line in exported(database, *selectors).splitlines() if not line.startswith("#")]
    assert sorted(line.partition("{")[0] for line in told) == sorted(names)


def test_samples_outside_the_range_are_not_exported(database: Database) -> None:
    database.ingest([series("load", "a", {START_MS + t: float(t) for t in (0, 1, 2, 3)})], FAMILIES)
    text = "".join(export(database, [], START_MS + 1, START_MS + 2))
    assert [line.split(" ")[1] for line in text.splitlines() if line.startswith("load{")] == ["1", "2"]


def test_samples_older_than_the_retention_are_counted_and_left_out(database: Database) -> None:
    seconds = START_MS // 1000
    text = f"load 1 {seconds}\nload 2 {seconds + 1}\nload 3 {seconds + 2}\nold 1 {seconds}\n# EOF\n"
    done = taken_in(text, database, START_MS + 1000)
    assert (done.samples, done.too_old, done.bytes_read) == (2, 2, len(text))
    assert [list(each) for each in everything(database).values()] == [[START_MS + 1000, START_MS + 2000]]


def test_importing_twice_changes_nothing(database: Database) -> None:
    database.ingest([series("load", "a", {START_MS: 1.5, START_MS + 15_000: 2.5})], FAMILIES)
    before = everything(database)
    taken_in(exported(database), database)
    assert everything(database) == before


def test_what_came_before_a_mistake_is_kept(database: Database) -> None:
    seconds = START_MS // 1000
    text = "".join(f"load {i} {seconds + i}\n" for i in range(200_001)) + "bad one 1\n# EOF\n"
    with pytest.raises(OpenMetricsError, match=r"^line 200002: 'one' is not a number"):
        taken_in(text, database)
    assert sum(map(len, everything(database).values())) > 86_000


def test_series_of_one_metric_over_the_same_times_are_stored_as_one_set() -> None:
    axis = {START_MS: 1.0, START_MS + 15_000: 2.0}
    found = together(
        [
            series("load", "a", axis),
            series("load", "b", axis),
            series("load", "c", {START_MS: 3.0}),
            series("x", "a", axis),
        ]
    )
    assert [(len(each.labels), each.values.tolist()) for each in found] == [
        (2, [[1.0, 2.0], [1.0, 2.0]]),
        (1, [[3.0]]),
        (1, [[1.0, 2.0]]),
    ]


def test_a_family_named_unlike_its_samples_loses_none_of_them(database: Database) -> None:
    database.ingest([series("latency_seconds", "a", {START_MS: 1.0})], FAMILIES)
    assert "latency_seconds{" in exported(database)


def test_matchers_of_any_kind_may_select(database: Database) -> None:
    database.ingest([series("load", name, {START_MS: 1.0}) for name in ("web-01", "db-01")], FAMILIES)
    chosen = [[Matcher(MatchType.NOT_REGEX, "server", "web.*")]]
    text = "".join(export(database, chosen, START_MS, END_MS))
    assert "db-01" in text
    assert "web-01" not in text
