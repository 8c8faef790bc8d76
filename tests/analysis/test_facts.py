"""What needs no detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from exporter.analysis.anomalies import Anomaly
from exporter.analysis.facts import Facts
from exporter.analysis.servers import Reading
from exporter.analysis.status import Judge

NAN = float("nan")
WELL = Reading("web-01", "web", "test", 40, 50, 30, 1.0, 2.0, 0.1, 5.0, 0.0, ())


def facts(readings: Sequence[Sequence[Reading]]) -> list[list[tuple[str, bool]]]:
    """What is known for certain at each tick of 15 s: measure, and whether it is a fact."""
    judge, known = Judge(), Facts()
    found: list[list[Anomaly]] = [list(known.of(judge.judge(15_000 * i, now))) for i, now in enumerate(readings, 1)]
    return [[(anomaly.metric, anomaly.certain) for anomaly in now] for now in found]


def test_a_critical_threshold_passed_for_half_a_minute_is_a_fact() -> None:
    busy = replace(WELL, cpu=95.0)
    assert facts([[WELL], [busy], [busy], [busy], [WELL]]) == [[], [], [], [("cpu", True)], []]


def test_what_was_so_when_it_began_to_look_is_no_news() -> None:
    full = replace(WELL, disk=97.0, down_services=("nginx",))
    assert facts([[full]] * 5) == [[]] * 5


def test_a_service_that_stops_is_a_fact_at_once() -> None:
    assert facts([[WELL], [replace(WELL, down_services=("nginx",))]])[-1] == [("service", True)]


def test_silence_is_a_fact_for_as_long_as_it_lasts() -> None:
    assert facts([[WELL], [], [], [WELL]]) == [[], [("up", True)], [("up", True)], []]


def test_a_server_that_does_not_say_when_it_was_booted_never_restarts() -> None:
    silent = replace(WELL, booted_s=NAN)
    assert facts([[silent], [WELL], [silent], [WELL]]) == [[]] * 4
