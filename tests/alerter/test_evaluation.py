"""One evaluation of a rule: what becomes of its alerts."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.decisions.evaluation import (
    Change,
    Element,
    EvaluationError,
    LimitExceededError,
    Restoration,
    RuleState,
    evaluate,
    exposed,
    record,
    restored,
    transitions,
)
from alerter.model import Alert, AlertState
from alerter.rules.rules import AlertRule, RecordRule
from exporter.model import make_labels

RULE = AlertRule("Hot", "temp > 80", for_s=30.0)


def text(template: str, element: Element) -> str:
    """Templates of these tests: the sample's value, or a label's."""
    if template == "VALUE":
        return f"{element.value:g}"
    return dict(element.labels).get(template[1:], "") if template.startswith("$") else template


def element(value: float = 90.0, **labels: str) -> Element:
    return Element(make_labels({"__name__": "temp", **labels}), value)


def run(rule: AlertRule, *steps: list[Element], limit: int = 0, every: float = 15.0) -> RuleState:
    state = RuleState()
    for index, elements in enumerate(steps):
        state = evaluate(rule, state, elements, index * every, expand=text, limit=limit)
    return state


def only(state: RuleState) -> Alert:
    (alert,) = state.alerts.values()
    return alert


@pytest.mark.parametrize(
    ("for_s", "steps", "state"),
    [
        (0, 1, AlertState.FIRING),
        (30, 2, AlertState.PENDING),
        (30, 3, AlertState.FIRING),
        (31, 3, AlertState.PENDING),
        (31, 4, AlertState.FIRING),
    ],
)
def test_it_fires_at_the_first_evaluation_at_which_it_was_active_for_long_enough(
    for_s: float, steps: int, state: AlertState
) -> None:
    rule = dataclasses.replace(RULE, for_s=for_s)
    alert = only(run(rule, *[[element()]] * steps))
    assert (alert.state, alert.active_at) == (state, 0.0)
    assert (alert.fired_at is None) == (state is AlertState.PENDING)


def test_labels_are_the_elements_overwritten_by_the_rules_without_name_and_without_empty_ones() -> None:
    rule = AlertRule("Hot", "x", labels=(("server", "$host"), ("team", "ops"), ("gone", "")))
    state = run(rule, [element(host="a", server="b", gone="x", alertname="mine")])
    assert only(state).labels == (("alertname", "Hot"), ("host", "a"), ("server", "a"), ("team", "ops"))


def test_two_elements_with_the_same_labels_are_an_error_and_nothing_changes() -> None:
    rule = AlertRule("Hot", "x", labels=(("server", "all"),))
    before = run(rule, [element(server="a")])
    with pytest.raises(EvaluationError, match="same labelset after applying alert labels"):
        evaluate(rule, before, [element(server="a"), element(server="b")], 15.0, expand=text)
    assert only(before).state is AlertState.FIRING


def test_a_pending_alert_whose_element_goes_is_dropped() -> None:
    assert run(RULE, [element()], []).alerts == {}


def test_a_firing_alert_whose_element_goes_is_resolved_at_once_and_kept_for_fifteen_minutes() -> None:
    rule = dataclasses.replace(RULE, for_s=0)
    state = run(rule, [element()], [])
    assert (only(state).state, only(state).resolved_at) == (AlertState.RESOLVED, 15.0)
    assert list(state.active) == []
    assert evaluate(rule, state, [], 915.0, expand=text).alerts != {}
    assert evaluate(rule, state, [], 916.0, expand=text).alerts == {}


def test_an_alert_that_comes_back_is_a_new_one() -> None:
    state = run(RULE, [element()], [element()], [element()], [], [element()])
    assert (only(state).state, only(state).active_at, only(state).fired_at) == (AlertState.PENDING, 60.0, None)


def test_value_and_texts_are_fresh_at_every_evaluation_and_frozen_while_kept() -> None:
    rule = AlertRule("Hot", "x", keep_firing_for_s=60, annotations=(("now", "VALUE"),))
    state = run(rule, [element(81)], [element(85)])
    assert (only(state).value, only(state).annotation["now"]) == (85.0, "85")
    kept = evaluate(rule, state, [], 30.0, expand=text)
    assert (only(kept).value, only(kept).annotation["now"]) == (85.0, "85")
    assert (only(kept).state, only(kept).keep_firing_since) == (AlertState.FIRING, 30.0)


def test_keep_firing_for_counts_from_the_first_miss_and_a_return_clears_it() -> None:
    rule = AlertRule("Hot", "x", keep_firing_for_s=30)
    hot = [element()]
    assert only(run(rule, hot, [], [])).state is AlertState.FIRING
    assert only(run(rule, hot, [], [], [])).state is AlertState.RESOLVED
    assert only(run(rule, hot, [], hot, [], [])).state is AlertState.FIRING


def test_pending_is_never_kept() -> None:
    rule = AlertRule("Hot", "x", for_s=60, keep_firing_for_s=300)
    assert run(rule, [element()], []).alerts == {}


def test_past_the_limit_the_evaluation_is_an_error() -> None:
    two = [element(server="a"), element(server="b")]
    assert len(run(RULE, two, limit=2).alerts) == 2
    with pytest.raises(LimitExceededError, match="exceeded limit of 1 with 2 alerts"):
        run(RULE, two, limit=1)


def test_resolved_alerts_do_not_count_towards_the_limit() -> None:
    rule = dataclasses.replace(RULE, for_s=0)
    state = run(rule, [element(server="a")], [element(server="b")], limit=1)
    assert len(state.alerts) == 2


def test_not_a_number_is_a_value_like_any_other() -> None:
    assert math.isnan(only(run(RULE, [element(math.nan)])).value)


def test_recorded_series_have_the_rules_name_and_labels() -> None:
    rule = RecordRule("job:temp:max", "max(temp)", labels=(("team", "ops"), ("server", "")))
    assert record(rule, [element(7, server="a", job="x")]) == [
        Element(make_labels({"__name__": "job:temp:max", "job": "x", "team": "ops"}), 7.0)
    ]
    with pytest.raises(EvaluationError, match="after applying rule labels"):
        record(rule, [element(server="a"), element(server="b")])
    with pytest.raises(LimitExceededError, match="exceeded limit of 1 with 2 series"):
        record(RecordRule("r", "x"), [element(server="a"), element(server="b")], limit=1)


def test_alerts_and_alerts_for_state_show_what_is_pending_or_firing() -> None:
    shown = {each.labels: each.value for each in exposed(run(RULE, [element(server="a")]))}
    assert shown == {
        make_labels({"__name__": "ALERTS", "alertname": "Hot", "alertstate": "pending", "server": "a"}): 1.0,
        make_labels({"__name__": "ALERTS_FOR_STATE", "alertname": "Hot", "server": "a"}): 0.0,
    }
    assert exposed(run(dataclasses.replace(RULE, for_s=0), [element()], [])) == []


def test_every_step_of_a_life_is_one_transition() -> None:
    states = [RuleState()]
    for index, elements in enumerate([[element()], [element()], [element()], [], [element()], []]):
        states.append(evaluate(RULE, states[-1], elements, index * 15.0, expand=text))
    steps = [[step.change for step in transitions(before, after, 0)] for before, after in itertools.pairwise(states)]
    assert steps == [[Change.PENDING], [], [Change.FIRING], [Change.RESOLVED], [Change.PENDING], [Change.DROPPED]]


@given(st.lists(st.lists(st.sampled_from("abc"), unique=True), max_size=20), st.sampled_from([0, 15, 40]))
def test_an_alert_has_fired_exactly_when_it_is_not_pending_and_is_resolved_exactly_when_it_says_so(
    rounds: list[list[str]], keep: int
) -> None:
    rule = dataclasses.replace(RULE, keep_firing_for_s=keep)
    state = RuleState()
    for index, servers in enumerate(rounds):
        state = evaluate(rule, state, [element(server=name) for name in servers], index * 15.0, expand=text)
        for alert in state.alerts.values():
            assert (alert.fired_at is None) == (alert.state is AlertState.PENDING)
            assert (alert.resolved_at is not None) == (alert.state is AlertState.RESOLVED)
        active = {alert.label["server"] for alert in state.active}
        assert active >= set(servers)
        assert keep or active == set(servers)


# -- after a restart ----------------------------------------------------------------------------

HOW = Restoration(grace_s=600.0, outage_tolerance_s=3_600.0)


def kept(state: AlertState, active_at: float, evaluated_at: float) -> RuleState:
    labels = make_labels({"alertname": "Hot"})
    fired_at = active_at if state is AlertState.FIRING else None
    return RuleState({labels: Alert(labels, (), state, 90.0, active_at, fired_at)}, evaluated_at)


@pytest.mark.parametrize(
    ("for_s", "active_at", "down_at", "t", "fires_at"),
    [
        (1_800, 0, 1_500, 1_515, 1_800),  # no evaluation was missed: as if nothing had happened
        (1_800, 0, 1_500, 1_800, 2_400),  # five minutes were left: the grace holds
        (1_800, 0, 600, 900, 2_100),  # twenty minutes were left: the outage is added
        (300, 0, 240, 600, 900),  # for is under the grace: it waits anew
    ],
)
def test_a_pending_alert_waits_at_least_the_grace_after_an_outage(
    for_s: float, active_at: float, down_at: float, t: float, fires_at: float
) -> None:
    rule = dataclasses.replace(RULE, for_s=for_s)
    state = restored(rule, kept(AlertState.PENDING, active_at, down_at), t, 15.0, HOW)
    assert only(state).active_at + for_s == fires_at


def test_a_firing_alert_fires_on_after_an_outage_of_up_to_an_hour() -> None:
    before = kept(AlertState.FIRING, 0.0, 100.0)
    assert restored(RULE, before, 3_700.0, 15.0, HOW).alerts == before.alerts


def test_after_a_longer_outage_what_fired_is_resolved_and_what_was_pending_is_gone() -> None:
    state = restored(RULE, kept(AlertState.FIRING, 0.0, 100.0), 3_701.0, 15.0, HOW)
    assert (only(state).state, only(state).resolved_at) == (AlertState.RESOLVED, 3_701.0)
    assert restored(RULE, kept(AlertState.PENDING, 0.0, 100.0), 3_701.0, 15.0, HOW).alerts == {}
