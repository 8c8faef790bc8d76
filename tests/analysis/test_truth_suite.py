"""The suite that measures the analysis against the simulator's truth, in its short form."""

from __future__ import annotations

import math

import pytest

from benchmarks.analysis import table
from benchmarks.truth.suite import Outcome, Plan, Quiet, run, score


def test_clear_failures_are_found_in_time_with_their_root_and_quiet_hours_stay_quiet() -> None:
    plan = Plan(("cpu-saturation", "server-crash"), (1.0,), quiet_days=0.02, warm_up_hours=2.0)
    ((outcomes, quiet),) = run((1,), plan, workers=1)
    found = score(outcomes)
    assert (found.failures, found.recall, found.root) == (2, 1.0, 1.0)
    assert found.median_delay_s <= 120
    assert quiet.false == ()
    assert "| **all** | 2 | 1.00 |" in table(outcomes, [quiet], plan)


def outcome(delay_s: float | None, root: bool, false: tuple[str, ...] = ()) -> Outcome:
    return Outcome("cpu-saturation", 1.0, 1, delay_s, root, "", false, 0.5)


def test_a_score_counts_what_was_missed_against_recall_and_root() -> None:
    found = score([outcome(30, True), outcome(60, False, ("a", "b")), outcome(90, True), outcome(None, False)])
    assert (found.recall, found.root, found.median_delay_s, found.false) == (0.75, 0.5, 60, 2)


def test_nothing_found_has_no_delay_and_nothing_simulated_no_score() -> None:
    assert math.isnan(score([outcome(None, False)]).median_delay_s)
    with pytest.raises(ValueError, match="no outcomes"):
        score([])


def test_the_table_names_each_false_incident_of_the_quiet_days() -> None:
    text = table([outcome(30, True)], [Quiet(7, 2.0, ("web-01 odd",))], Plan(("cpu-saturation",), (1.0,)))
    assert "1 false incidents in 2 fleet-days" in text
    assert "seed 7: web-01 odd" in text
