"""Retention in virtual time, and the dead band's promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from numpy.typing import NDArray

from exporter.model import Column, Family, MetricType, SeriesIndex, Snapshot
from exporter.storage.database import Database
from exporter.storage.layout import DAY_MS, RAW, WINDOW_MS
from exporter.storage.open import open_store
from exporter.storage.stats import Limits
from exporter.storage.threshold import DeadBand
from tests.storage.conftest import Open
from tests.storage.fleet import CPU, REQUESTS, START_MS, STEP_MS, Fleet, everything, index, named

HOUR_MS = 3_600_000


def test_samples_go_when_their_whole_window_has_outlived_the_retention(store_url: str, opened: Open) -> None:
    retention_ms = 3 * WINDOW_MS
    database = opened(store_url, limits=Limits(retentions_ms={RAW: retention_ms}), interval_ms=HOUR_MS // 60)
    fleet = Fleet()
    sizes = []
    for _ in range(12 * 120):
        fleet.run(database, 1)
        fleet.t_ms += 60_000 - STEP_MS
        if fleet.t_ms % HOUR_MS == 0:
            database.expire(fleet.t_ms)
            assert database.settle()
            sizes.append(database.stats().stored_bytes)
            oldest = min(min(said) for said in everything(database).values())
            edge = fleet.t_ms - retention_ms
            assert edge - WINDOW_MS < oldest <= max(edge, START_MS)
    kept = everything(database)
    oldest = min(min(said) for said in kept.values())
    assert kept == {name: {t: v for t, v in said.items() if t >= oldest} for name, said in fleet.said.items()}
    assert sizes[-1] < 2 * max(sizes[: len(sizes) // 3])


def test_a_week_of_history_is_served_soon_after_a_restart(lasting_url: str, opened: Open) -> None:
    fleet = Fleet()
    database = opened(lasting_url, interval_ms=600_000)
    for _ in range(7 * 144):
        fleet.run(database, 1)
        fleet.t_ms += 600_000 - STEP_MS
    assert database.settle()
    assert database.stats().blocks == 4 * (7 * 12 + 7 + 2), "windows, days of minutes, spans of five minutes"
    database.close()
    again = opened(lasting_url)
    hits = again.stats()
    assert hits.cache_bytes < 200_000, "a start decodes no more than the newest window"
    assert everything(again) == fleet.said


@given(
    st_np.arrays(np.float64, st.tuples(st.integers(2, 40), st.just(3)), elements=st.floats(-200, 200, width=32)),
    st.floats(0.1, 20),
    st.lists(st.floats(-100, 100, width=32), max_size=3),
)
def test_the_dead_band_stays_within_its_percent_and_on_its_side_of_thresholds(
    ticks: NDArray[np.float64], percent: float, thresholds: list[float]
) -> None:
    band = DeadBand(percent, {CPU.name: thresholds})
    where = index(CPU, ["a", "b", "c"])
    for number, values in enumerate(ticks):
        kept = band.kept(where, values, exact=number == 0)
        assert (np.abs(kept - values) <= percent / 100 * np.abs(values) * (1 + 1e-12)).all()
        for threshold in thresholds:
            assert np.array_equal(np.sign(kept - threshold), np.sign(values - threshold))
    assert band.largest_percent <= percent


def test_the_dead_band_never_touches_counters_nor_what_is_not_a_number() -> None:
    band = DeadBand(50, {})
    counter, gauge = index(REQUESTS, ["a"]), index(CPU, ["a"])
    for value in (100.0, 101.0, np.nan, 101.0, np.inf, 100.0):
        assert np.array_equal(band.kept(counter, np.array([value]), exact=False), [value], equal_nan=True)
    kept = [
        band.kept(gauge, np.array([value]), exact=False)[0] for value in (100.0, 101.0, np.nan, 101.0, np.inf, 100.0)
    ]
    assert np.array_equal(kept, [100.0, 100.0, np.nan, 101.0, np.inf, 100.0], equal_nan=True)


@pytest.mark.parametrize(("percent", "largest"), [(0.0, 0.0), (5.0, 5.0)])
def test_the_largest_error_made_is_told(percent: float, largest: float) -> None:
    database = Database(open_store("memory:"), threshold_percent=percent, protected={CPU.name: [52.0]})
    where, random = index(CPU, ["a"]), np.random.default_rng(9)
    truth = np.round(50 + np.cumsum(random.normal(0, 0.5, 400)), 2)
    for tick, value in enumerate(truth):
        database.append(Snapshot(START_MS + tick * STEP_MS, (Column(where, np.array([value])),)))
    (found,) = database.select(named(CPU.name), START_MS, START_MS + DAY_MS)
    error = float(np.max(np.abs(found.values[0] - truth) / np.abs(truth)) * 100)
    assert database.stats().largest_error_percent == pytest.approx(error)
    assert error <= largest
    assert np.array_equal(found.values[0] > 52, truth > 52)
    if percent:
        assert error > 1
        assert np.count_nonzero(np.diff(found.values[0])) < 200
    database.close()


def test_thresholds_of_rules_loaded_later_are_protected_too() -> None:
    band = DeadBand(5, {})
    where = index(CPU, ["a"])
    band.kept(where, np.array([79.5]), exact=True)
    assert band.kept(where, np.array([80.5]), exact=False)[0] == 79.5
    band.protected = {CPU.name: [80.0]}
    assert band.kept(where, np.array([80.6]), exact=False)[0] == 80.6


def test_while_the_rules_are_not_known_nothing_is_left_out() -> None:
    band = DeadBand(5, None)
    where = index(CPU, ["a"])
    band.kept(where, np.array([79.5]), exact=True)
    assert band.kept(where, np.array([79.6]), exact=False)[0] == 79.6


def test_a_histogram_is_never_thinned() -> None:
    family = Family("h_seconds", MetricType.HISTOGRAM, "")
    where = SeriesIndex(family, "h_seconds_bucket", ("le",), (("1",),))
    band = DeadBand(50, {})
    band.kept(where, np.array([10.0]), exact=True)
    assert band.kept(where, np.array([11.0]), exact=False)[0] == 11.0
