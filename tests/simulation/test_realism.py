"""A fleet without failures against what real servers do."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from exporter.simulation import statistics as st
from exporter.simulation.fleet import make_fleet, shipped_roles
from exporter.simulation.realism import Row, render, report
from tests.simulation.fleets import HOUR_MS, MONDAY_MS, a_simulator, flat

SERVERS = 10  # one of each role and a second web server


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return report(days=2, seed=4, servers=SERVERS)


def test_nine_of_ten_measures_lie_within_the_bands_of_real_servers(rows: list[Row]) -> None:
    assert [row for row in rows if row.hard and not row.holds] == []
    outside = [row for row in rows if not row.holds]
    # two weekdays are more alike than the days of a week, of which the band for a day's autocorrelation speaks
    assert len([row for row in outside if row.test != "S2"]) <= 0.05 * len(rows), outside
    assert len(outside) <= 0.1 * len(rows), outside


@pytest.mark.parametrize("test", ["S5", "S7", "S8", "S9", "S10", "S11", "S13", "S14", "S15", "S17"])
def test_every_role_lies_within_its_band(rows: list[Row], test: str) -> None:
    mine = [row for row in rows if row.test == test]
    assert mine and [row for row in mine if not row.holds] == []


def test_every_measure_is_there_for_every_role_it_is_meant_for(rows: list[Row]) -> None:
    soft = {f"S{number}" for number in (1, 2, *range(4, 16), 17)}
    assert {row.test for row in rows} == soft | {f"H{number}" for number in range(1, 11)}
    for test in ("S1", "S4", "S14", "S17"):
        assert {row.role for row in rows if row.test == test} == set(shipped_roles().roles)
    assert all(np.isfinite(row.value) for row in rows)


def test_the_table_shows_every_measure_and_marks_what_lies_outside() -> None:
    good = Row("S1", "a measure", "web", 0.5, 0.0, 1.0)
    text = render([good, Row("S1", "a measure", "api", 2.0, 0.0, 1.0)])
    lines = text.splitlines()
    assert len(lines) == 4 and "0 … 1" in lines[1] and lines[1].rstrip().endswith("2!")
    assert lines[-2:] == ["1 of 2 within their band (50.0 %)", "no identity broken"]
    broken = render([good, Row("H1", "an identity", "all", 3.0, 0, 0)])
    assert broken.splitlines()[-1] == "1 identities broken"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_weekend_asks_for_about_half_of_a_working_day(seed: int) -> None:
    simulator = a_simulator(9, seed)
    days = [flat(simulator.at(MONDAY_MS + day * 24 * HOUR_MS)) for day in range(8)]
    for server in make_fleet(9):
        if server.role in ("web", "api", "database", "cache", "load-balancer"):
            total = [
                sum(v for (m, row), v in day.items() if m.endswith("requests_total") and row[0] == server.name)
                for day in days
            ]
            daily = np.array([after if after < before else after - before for before, after in pairwise(total)])
            assert 0.4 <= daily[5:].mean() / daily[:5].mean() <= 0.8
            assert daily[0] > max(daily[1:])


def test_statistics_of_known_series() -> None:
    line = np.arange(50.0)
    assert st.autocorrelation(line, 1) == pytest.approx(1.0)
    assert st.spearman(line, np.exp(line / 10)) == pytest.approx(1.0)
    assert st.spearman(line, -line) == pytest.approx(-1.0)
    assert np.isnan(st.correlation(line, np.ones(50)))
    assert st.excess_kurtosis(np.array([-1.0, 1.0] * 20)) == pytest.approx(-2.0)
    assert st.runs(np.array([True, True, False, True])) == [(0, 2), (3, 1)]
    assert st.longest_run(np.array([False])) == 0
    assert st.share_of_busiest(np.array([1.0] * 19 + [19.0]), 0.05) == pytest.approx(0.5)
    rng = np.random.default_rng(3)
    assert st.fano(rng.poisson(50.0, 20_000).astype(float)) == pytest.approx(1.0, abs=0.05)
    noise = rng.normal(size=5000)
    assert st.best_lag(noise[3:], noise[:-3], 8) == 3
    assert st.smoothed(np.array([0.0, 1.0]), 60, 60)[1] == pytest.approx(1 - np.exp(-1))


def test_quantiles_of_a_histogram_of_log_normal_latencies() -> None:
    seconds = np.exp(np.random.default_rng(1).normal(np.log(0.1), 0.6, 200_000))
    bounds = np.array([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
    counts = np.bincount(np.searchsorted(bounds, seconds), minlength=12).astype(float)
    assert st.log_quantile(bounds, counts, 0.5) == pytest.approx(0.1, rel=0.02)
    assert st.log_deviation(bounds, counts) == pytest.approx(0.6, abs=0.1)
