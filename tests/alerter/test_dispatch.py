"""What a receiver is owed, and what another alert covers."""

from __future__ import annotations

import dataclasses

import pytest

from alerter.decisions.dispatch import GroupView, Owed, Policy, Reason, Told, after_telling, grouped, owed
from alerter.decisions.inhibition import InhibitRule, Known, built_in, inhibited
from alerter.matchers import all_match, parse_matcher
from alerter.model import Alert, AlertState
from exporter.model import Matcher, MatchType
from tests.alerter.worlds import firing, resolved

POLICY = Policy(group_wait_s=10, group_interval_s=60, repeat_interval_s=3_600)


def view(*alerts: Alert, muted: tuple[Alert, ...] = ()) -> GroupView:
    return GroupView((), {alert.labels: alert for alert in alerts}, {alert.labels for alert in muted})


def told(*alerts: Alert, at: float = 2_000.0) -> Told:
    return Told((), at, alerts)


def decided(message: Owed | None) -> tuple[Reason, float, list[AlertState]] | None:
    return (message.reason, message.at, [alert.state for alert in message.alerts]) if message else None


F, R = AlertState.FIRING, AlertState.RESOLVED
a, b = firing(mount="/"), firing(mount="/data")
core0, core1 = firing(core="0"), firing(core="1")


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        pytest.param(view(), None, None, id="nothing fires and nothing was told"),
        pytest.param(view(a), None, (Reason.FIRING, 1_010.0, [F]), id="a new group waits for its group_wait"),
        pytest.param(view(a), told(), (Reason.FIRING, 2_060.0, [F]), id="one that flaps waits for the interval"),
        pytest.param(view(a), told(a), (Reason.REPEAT, 5_600.0, [F]), id="what is known is repeated, later"),
        pytest.param(view(a, b), told(a), (Reason.CHANGED, 2_060.0, [F, F]), id="something else fires as well"),
        pytest.param(view(core0, core1), told(core0), (Reason.REPEAT, 5_600.0, [F, F]), id="one more core is no news"),
        pytest.param(
            view(resolved(mount="/"), b),
            told(a, b),
            (Reason.CHANGED, 2_060.0, [F, R]),
            id="a part of it is over",
        ),
        pytest.param(
            view(resolved(core="0"), core1), told(core0), (Reason.REPEAT, 5_600.0, [F, R]), id="it went to another core"
        ),
        pytest.param(
            view(resolved(mount="/"), resolved(mount="/data")),
            told(a, b),
            (Reason.RESOLVED, 3_000.0, [R, R]),
            id="all of it is over: at once",
        ),
        pytest.param(
            view(resolved(core="0"), resolved(core="1", at=2_500.0)),
            told(core0),
            (Reason.RESOLVED, 3_000.0, [R, R]),
            id="the cores that came later end with the others",
        ),
        pytest.param(view(a, muted=(a,)), None, None, id="a silenced alert is not told"),
        pytest.param(view(a, muted=(a,)), told(a), None, id="nor that it still fires"),
        pytest.param(
            view(resolved(mount="/"), muted=(resolved(mount="/"),)), told(a), None, id="nor that it is over, yet"
        ),
        pytest.param(
            view(firing(mount="/", t=2_900.0)), told(a), (Reason.REPEAT, 5_600.0, [F]), id="it ended and came back"
        ),
    ],
)
def test_what_is_owed(
    now: GroupView, before: Told | None, expected: tuple[Reason, float, list[AlertState]] | None
) -> None:
    assert decided(owed(now, before, POLICY, 3_000.0)) == expected


def test_an_alert_that_is_pending_again_is_over() -> None:
    pending = dataclasses.replace(a, state=AlertState.PENDING, active_at=2_500.0, fired_at=None)
    message = owed(view(pending), told(a), POLICY, 3_000.0)
    assert message is not None
    assert (message.reason, message.alerts[0].resolved_at) == (Reason.RESOLVED, 2_500.0)


def test_after_telling_the_receiver_knows_what_it_was_told_and_what_it_knew() -> None:
    known = after_telling(view(), told(a, core0), [resolved(mount="/"), b], 3_000.0)
    assert {alert.labels for alert in known.firing} == {b.labels, core0.labels}
    assert known.at == 3_000.0


def test_groups_are_made_by_labels_and_one_rule_firing_outweighs_another_that_is_over() -> None:
    known = [
        Known(firing(server="x"), "g"),
        Known(resolved(server="x"), "h"),
        Known(firing("Other", server="x"), "g"),
        Known(firing(server="y", core="1"), "g"),
    ]
    groups = grouped(known, lambda _: Policy(), ())
    assert {labels: len(group.firing) for labels, group in groups.items()} == {
        (("alertname", "Hot"), ("server", "x")): 1,
        (("alertname", "Other"), ("server", "x")): 1,
        (("alertname", "Hot"), ("server", "y")): 1,
    }
    assert len(grouped(known, lambda _: Policy(group_by=("...",)), ())) == 3


# -- inhibition ---------------------------------------------------------------------------------

BUILT_IN = [built_in(("core",), 300.0)]


def critical(**labels: str) -> Alert:
    return firing("Critical", 1_000.0, severity="critical", **labels)


def warning(t: float = 1_000.0, **labels: str) -> Alert:
    return firing("High", t=t, severity="warning", **labels)


def covered(*known: Known, now: float = 1_200.0) -> bool:
    return bool(inhibited(known, BUILT_IN, now))


def test_a_critical_alert_covers_the_warning_of_the_same_thing_in_the_same_rule_group() -> None:
    assert covered(Known(critical(server="a", core="0"), "cpu"), Known(warning(server="a", core="1"), "cpu"))


def test_it_covers_no_other_server_no_other_mount_and_no_other_rule_group() -> None:
    assert not covered(Known(critical(server="a"), "cpu"), Known(warning(server="b"), "cpu"))
    assert not covered(Known(critical(mount="/"), "disk"), Known(warning(mount="/data"), "disk"))
    assert not covered(Known(critical(server="a"), "cpu"), Known(warning(server="a"), "memory"))


def test_a_critical_alert_that_ended_covers_for_a_while_what_was_active_before_it_ended() -> None:
    over = resolved("Critical", at=1_100.0, severity="critical", server="a")
    early, late = warning(1_050.0, server="a"), warning(1_150.0, server="a")
    assert covered(Known(over, "cpu"), Known(early, "cpu"), now=1_399.0)
    assert not covered(Known(over, "cpu"), Known(early, "cpu"), now=1_400.0)
    assert not covered(Known(over, "cpu"), Known(late, "cpu"), now=1_200.0)


def test_rules_of_the_settings_name_their_equal_labels_and_nothing_covers_itself() -> None:
    rule = InhibitRule((parse_matcher("alertname=Down"),), (parse_matcher('alertname=~".+"'),), ("server",))
    down, other = firing("Down", server="a"), firing("Slow", server="a", path="/")
    assert inhibited([Known(down, "x"), Known(other, "y")], [rule], 0) == {other.labels}


@pytest.mark.parametrize(
    ("text", "matcher"),
    [
        ('a="b"', Matcher(MatchType.EQUAL, "a", "b")),
        ("a=b", Matcher(MatchType.EQUAL, "a", "b")),
        (' a != "b c" ', Matcher(MatchType.NOT_EQUAL, "a", "b c")),
        ('a=~"b.*"', Matcher(MatchType.REGEX, "a", "b.*")),
        ('a!~"x=y"', Matcher(MatchType.NOT_REGEX, "a", "x=y")),
        (r'a="q\"\\\n"', Matcher(MatchType.EQUAL, "a", 'q"\\\n')),
        ("a=", Matcher(MatchType.EQUAL, "a", "")),
    ],
)
def test_matchers_are_read_as_alertmanager_reads_them(text: str, matcher: Matcher) -> None:
    assert parse_matcher(text) == matcher


@pytest.mark.parametrize("text", ["", "a", '="b"', 'a="b', 'a=~"("'])
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"matcher|regexp"):
        parse_matcher(text)


def test_a_label_that_is_absent_is_empty() -> None:
    assert all_match([parse_matcher("a!=b"), parse_matcher('c=""')], {})
