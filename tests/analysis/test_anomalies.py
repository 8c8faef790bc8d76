"""What is odd now, followed from when it began."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

from exporter.analysis.anomalies import Anomaly, Watch
from exporter.analysis.measures import MEASURES
from exporter.analysis.servers import Reading

NAN = float("nan")
SILENT = Reading("web-01", "web", "test", NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, ())
STEP_S = 15.0


def watched(cpu: Iterable[float], watch: Watch | None = None) -> list[list[Anomaly]]:
    """What is odd at each tick of a server that says nothing but its cpu."""
    watch, found = watch or Watch(), []
    for i, value in enumerate(cpu):
        watch.observe(i * STEP_S, [replace(SILENT, cpu=value)])
        found.append(list(watch.anomalies(i * STEP_S)))
    return found


def usual(count: int) -> list[float]:
    rng = random.Random(1)
    return [40 + rng.gauss(0, 2) for _ in range(count)]


def test_a_measure_is_odd_for_as_long_as_it_is_outside_what_was_expected() -> None:
    found = watched([*usual(1000), *[90.0] * 100, *usual(20)])
    odd = [i for i, now in enumerate(found) if now]
    assert odd[0] <= 1001
    assert 1098 <= odd[-1] <= 1102
    assert {anomaly.since for now in found for anomaly in now} == {1000 * STEP_S}
    assert {anomaly.direction for now in found for anomaly in now} == {"up"}


def test_what_lasts_two_hours_is_the_new_usual() -> None:
    found = watched([*usual(1000), *[value + 45 for value in usual(700)]])
    assert found[1100]
    assert not found[1600]


def test_a_spike_of_one_tick_is_followed_no_longer() -> None:
    found = watched([*usual(1000), 70.0, *usual(30)])
    assert not any(found[1004:])


def test_what_creeps_away_is_odd_once_it_matters() -> None:
    watch, odd = Watch(), []
    for i in range(2100):
        disk = 30.0 if i < 2000 else 30 + (i - 2000) / 50
        watch.observe(i * STEP_S, [replace(SILENT, disk=disk)])
        odd += [(i, anomaly.since) for anomaly in watch.anomalies(i * STEP_S)]
    assert 2020 <= odd[0][0] <= 2030
    assert odd[0][1] <= 2002 * STEP_S


def test_a_gap_in_a_measure_is_no_anomaly_and_its_end_neither() -> None:
    values = usual(2000)
    values[1000:1300] = [NAN] * 300
    assert not any(any(anomaly.score >= 0.97 for anomaly in now) for now in watched(values))


def test_a_clock_that_is_set_back_leaves_no_anomaly_from_the_future() -> None:
    watch = Watch()
    for i, value in enumerate([*usual(1000), *[95.0] * 10]):
        watch.observe(1e6 + i * STEP_S, [replace(SILENT, cpu=value)])
    for i in range(5):
        watch.observe(i * STEP_S, [replace(SILENT, cpu=95.0)])
    (anomaly,) = watch.anomalies(4 * STEP_S)
    assert anomaly.since <= 4 * STEP_S


def test_no_more_series_are_watched_than_the_limit_and_it_says_so() -> None:
    watch = Watch(limit=10)
    for tick in range(3):
        watch.observe(tick * STEP_S, [replace(SILENT, id=f"web-{i:02}", cpu=10.0, memory=20.0) for i in range(20)])
    assert (len(watch), watch.unwatched, watch.samples) == (10, 30, 30)


def test_servers_that_vanished_an_hour_ago_are_forgotten() -> None:
    watch = Watch()
    watch.observe(0.0, [replace(SILENT, id="gone", cpu=1.0)])
    for i in range(500):
        watch.observe(STEP_S * (i + 1), [replace(SILENT, cpu=1.0)])
    assert list(watch.scores()) == [("web-01", "cpu")]


def test_less_is_good_news_for_what_can_only_be_too_much() -> None:
    memory, cpu = MEASURES["memory"], MEASURES["cpu"]
    assert not memory.matters(5.0, (40.0, 50.0))
    assert memory.matters(60.0, (40.0, 50.0))
    assert cpu.matters(5.0, (40.0, 50.0))
    assert not cpu.matters(51.0, (40.0, 50.0))
    assert not cpu.matters(45.0, (40.0, 50.0))
