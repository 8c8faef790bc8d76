"""Loop 2: nothing lost, nothing doubled, whatever a receiver does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerter.decisions.dispatch import Policy
from alerter.loops.patience import Patience
from alerter.model import DeliveryError, Notification
from alerter.state.board import Board
from alerter.state.state import Store
from tests.alerter.worlds import Clock, Inbox, delivery, firing, opened, post, resolved

BUSY = DeliveryError("429", retryable=True, retry_after_s=30)
BROKEN = DeliveryError("500", retryable=True)
UNANSWERED = DeliveryError("no answer", retryable=True, answered=False)
REVOKED = DeliveryError("404 no_service", retryable=False)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    made = opened(tmp_path / "state.db", clock)
    yield made
    made.close()


async def test_a_group_is_told_once_when_it_fires_and_once_when_it_is_over(clock: Clock, store: Store) -> None:
    board, inbox = Board(), Inbox(clock)
    loop = delivery(inbox, board, store, clock)
    post(board, firing(core="0"), firing(core="1"))
    for _ in range(3):
        await loop.tell_all()
    post(board, resolved(core="0"), resolved(core="1"))
    for _ in range(3):
        await loop.tell_all()
    assert inbox.said() == ["2 firing", "2 resolved"]


async def test_a_receiver_that_was_away_gets_one_current_message(clock: Clock, store: Store) -> None:
    board, inbox = Board(), Inbox(clock, [BROKEN, BROKEN])
    loop = delivery(inbox, board, store, clock)
    post(board, firing(server="a"))
    await loop.tell_all()
    post(board, resolved(server="a"), firing("Cold", server="b"))
    await loop.tell_all()
    post(board, firing("Cold", server="b"), firing("Cold", server="b", mount="/"))
    await loop.tell_all()
    assert inbox.said() == ["2 firing"]
    assert [alert.label["server"] for alert in inbox.accepted[0].alerts] == ["b", "b"]


async def test_news_does_not_shorten_what_a_receiver_asked_for(clock: Clock, store: Store) -> None:
    board, inbox = Board(), Inbox(clock, [BUSY])
    loop = delivery(inbox, board, store, clock)
    post(board, firing())
    running = asyncio.create_task(loop.run())
    while not inbox.accepted:
        post(board, firing(), firing("More"))  # news at every turn of the loop
        await asyncio.sleep(0)
    running.cancel()
    assert inbox.asked[0] == 1_000.0
    assert inbox.asked[1] >= 1_030.0


async def test_messages_keep_the_pace(clock: Clock, store: Store) -> None:
    board, inbox = Board(), Inbox(clock)
    loop = delivery(inbox, board, store, clock, patience=Patience(pace_s=1.0))
    post(board, *[firing(server=name) for name in "abcd"])
    await loop.tell_all()
    assert inbox.asked == [1_000.0, 1_001.0, 1_002.0, 1_003.0]


async def test_the_wait_grows_while_a_receiver_fails_and_has_a_bound(clock: Clock, store: Store) -> None:
    board, inbox = Board(), Inbox(clock, [BROKEN] * 12)
    loop = delivery(inbox, board, store, clock)
    post(board, firing())
    while not inbox.accepted:
        await loop.tell_all()
    waits = [round(b - a) for a, b in zip(inbox.asked, inbox.asked[1:], strict=False)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 120, 120, 120, 120, 120]
    assert loop.stats.failures == {"temporary": 12}


async def test_a_permanent_error_is_said_once_and_tried_rarely(
    clock: Clock, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    board, inbox = Board(), Inbox(clock, [REVOKED] * 5)
    loop = delivery(inbox, board, store, clock)
    post(board, firing())
    while not inbox.accepted:
        clock.t = await loop.tell_all()
    assert [round(b - a) for a, b in zip(inbox.asked, inbox.asked[1:], strict=False)] == [600] * 5
    assert sum(record.levelname == "ERROR" for record in caplog.records) == 1


async def test_one_message_that_is_refused_does_not_hold_up_the_others(clock: Clock, store: Store) -> None:
    board, inbox = Board(), Inbox(clock, [DeliveryError("400 invalid_blocks", retryable=False)])
    loop = delivery(inbox, board, store, clock)
    post(board, firing(server="a"), firing(server="b"))
    await loop.tell_all()
    assert [alert.label["server"] for each in inbox.accepted for alert in each.alerts] == ["b"]
    assert clock.t == 1_000.0


async def test_a_message_that_always_fails_does_not_starve_the_others(clock: Clock, store: Store) -> None:
    board, inbox = Board(), Inbox(clock, [BROKEN, None])
    loop = delivery(inbox, board, store, clock)
    post(board, firing(server="a"), firing(server="b"))
    await loop.tell_all()
    await loop.tell_all()
    assert [alert.label["server"] for each in inbox.accepted for alert in each.alerts] == ["b", "a"]


async def test_after_a_restart_nobody_is_told_again_and_the_end_is_told(tmp_path: Path, clock: Clock) -> None:
    path, inbox = tmp_path / "state.db", Inbox(clock)
    first = opened(path, clock)
    board = Board()
    post(board, firing())
    await delivery(inbox, board, first, clock).tell_all()  # killed: nothing is closed
    second = opened(path, clock)
    again = Board()
    post(again, firing())
    loop = delivery(inbox, again, second, clock)
    await loop.tell_all()
    post(again, resolved())
    await loop.tell_all()
    assert inbox.said() == ["1 firing", "1 resolved"]


async def test_what_was_not_accepted_is_not_recorded(tmp_path: Path, clock: Clock) -> None:
    path, inbox = tmp_path / "state.db", Inbox(clock, [BROKEN])
    board = Board()
    post(board, firing())
    await delivery(inbox, board, opened(path, clock), clock).tell_all()
    await delivery(inbox, board, opened(path, clock), clock).tell_all()
    assert inbox.said() == ["1 firing"]


async def test_the_same_telling_tried_again_has_the_same_id(clock: Clock, store: Store) -> None:
    board = Board()
    seen: list[str] = []

    class Watching(Inbox):
        def send(self, notification: object) -> None:
            seen.append(notification.id)  # type: ignore[attr-defined] # it is a Notification
            super().send(notification)  # type: ignore[arg-type] # likewise

    inbox = Watching(clock, [BROKEN, BROKEN])
    loop = delivery(inbox, board, store, clock)
    post(board, firing())
    for _ in range(3):
        await loop.tell_all()
    post(board, resolved())
    await loop.tell_all()
    assert len(seen) == 4
    assert seen[0] == seen[1] == seen[2] != seen[3]


async def test_an_alert_of_which_nothing_is_known_any_more_is_resolved_after_five_minutes(
    clock: Clock, store: Store
) -> None:
    board, inbox = Board(), Inbox(clock)
    loop = delivery(inbox, board, store, clock)
    post(board, firing())
    await loop.tell_all()
    post(board)
    await loop.tell_all()
    clock.t += 299
    await loop.tell_all()
    assert inbox.said() == ["1 firing"]
    clock.t += 1
    await loop.tell_all()
    assert inbox.said() == ["1 firing", "1 resolved"]


async def test_an_exception_of_a_receiver_is_a_failure_like_any_other(clock: Clock, store: Store) -> None:
    board, inbox = Board(), Inbox(clock)
    inbox.faults = [ZeroDivisionError()]  # type: ignore[list-item] # a bug in a receiver
    loop = delivery(inbox, board, store, clock)
    post(board, firing())
    await loop.tell_all()
    await loop.tell_all()
    assert inbox.said() == ["1 firing"]
    assert loop.stats.failures == {"temporary": 1}


async def test_when_told_to_stop_the_message_under_way_is_seen_through(tmp_path: Path, clock: Clock) -> None:
    import threading

    path, board = tmp_path / "state.db", Board()
    entered, leave = threading.Event(), threading.Event()

    class Slow(Inbox):
        def send(self, notification: object) -> None:
            entered.set()
            leave.wait(10)
            super().send(notification)  # type: ignore[arg-type] # it is a Notification

    inbox, store = Slow(clock), opened(path, clock)
    post(board, firing())
    running = asyncio.create_task(delivery(inbox, board, store, clock).run())
    await asyncio.to_thread(entered.wait, 10)
    running.cancel()
    leave.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    store.close()
    await delivery(inbox, board, opened(path, clock), clock).tell_all()
    assert inbox.said() == ["1 firing"]


async def test_a_storm_is_told_by_alert_name_and_so_is_its_end(clock: Clock, store: Store) -> None:
    board, inbox = Board(), Inbox(clock)
    loop = delivery(inbox, board, store, clock, patience=Patience(pace_s=1.0))
    servers = [f"s{n}" for n in range(5_000)]
    post(board, *[firing(name, server=each) for each in servers for name in ("Cold", "Hot")])
    await loop.tell_all()
    post(board, *[resolved(name, server=each) for each in servers for name in ("Cold", "Hot")])
    await loop.tell_all()
    assert inbox.said() == ["5000 firing", "5000 firing", "5000 resolved", "5000 resolved"]
    assert [each.group_labels for each in inbox.accepted[:2]] == [(("alertname", "Cold"),), (("alertname", "Hot"),)]
    assert clock.t < 1_010


async def test_a_clock_that_was_put_back_delays_no_message(clock: Clock, store: Store) -> None:
    board, inbox = Board(), Inbox(clock)
    loop = delivery(inbox, board, store, clock, patience=Patience(pace_s=1.0))
    post(board, firing())
    await loop.tell_all()
    clock.t -= 900
    post(board, firing(t=100.0), firing("More", t=100.0))
    await loop.tell_all()
    assert clock.t <= 102
    post(board, resolved(t=100.0, at=101.0), firing("More", t=100.0), firing("More", t=100.0, core="1", mount="/"))
    while len(inbox.accepted) < 4:
        clock.t = max(clock.t, await loop.tell_all())
    assert inbox.said() == ["1 firing", "1 firing", "1 resolved", "2 firing"]
    assert clock.t <= 165


async def test_the_end_of_what_may_have_been_told_is_told(clock: Clock, store: Store) -> None:
    board, inbox = Board(), Inbox(clock, [UNANSWERED, BROKEN])
    loop = delivery(inbox, board, store, clock)
    post(board, firing(server="a"), firing(server="b"))
    await loop.tell_all()
    post(board, resolved(server="a"), resolved(server="b"))
    await loop.tell_all()
    await loop.tell_all()
    assert [(alert.label["server"], str(alert.state)) for each in inbox.accepted for alert in each.alerts] == [
        ("a", "resolved")
    ], "of b nothing was accepted, that was said"


async def test_what_may_have_been_told_is_told_again_while_it_fires(clock: Clock, store: Store) -> None:
    board, inbox = Board(), Inbox(clock, [UNANSWERED])
    loop = delivery(inbox, board, store, clock)
    post(board, firing())
    for _ in range(3):
        await loop.tell_all()
    post(board, resolved())
    await loop.tell_all()
    assert inbox.said() == ["1 firing", "1 resolved"]
    assert clock.t < 1_002


async def test_the_end_of_what_was_being_told_when_it_was_killed_is_told(tmp_path: Path, clock: Clock) -> None:
    path, board = tmp_path / "state.db", Board()

    class Killed(BaseException):
        pass

    class Deadly(Inbox):
        def send(self, notification: Notification) -> None:
            super().send(notification)
            raise Killed

    post(board, firing())
    deadly, inbox = Deadly(clock), Inbox(clock)
    with pytest.raises(Killed):
        await delivery(deadly, board, opened(path, clock), clock).tell_all()
    post(board, resolved())
    await delivery(inbox, board, opened(path, clock), clock).tell_all()
    assert (deadly.said(), inbox.said()) == (["1 firing"], ["1 resolved"])


FAULTS = st.lists(st.sampled_from([None, BUSY, BROKEN, REVOKED]), max_size=12)
LIVES = st.lists(st.sets(st.sampled_from("abc")), max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FAULTS, LIVES, st.sets(st.integers(0, 11)))
async def test_under_any_faults_and_restarts_nothing_is_lost_and_nothing_doubled(
    tmp_path_factory: pytest.TempPathFactory,
    faults: list[DeliveryError | None],
    lives: list[set[str]],
    restarts: set[int],
) -> None:
    path, clock, board = tmp_path_factory.mktemp("law") / "state.db", Clock(), Board()
    inbox, store = Inbox(clock, faults), opened(path, clock)
    loop = delivery(inbox, board, store, clock, policy=Policy(group_interval_s=0))
    before: set[str] = set()
    since: dict[str, float] = {}
    ended: dict[str, float] = {}
    for index, names in enumerate([*lives, lives[-1] if lives else set()]):
        clock.t += 15
        since |= dict.fromkeys(names - before, clock.t)
        ended |= dict.fromkeys(before - names, clock.t)
        gone = [resolved(server=name, t=since[name], at=ended[name]) for name in ended if name not in names]
        post(board, *[firing(server=name, t=since[name]) for name in names], *gone)
        before = names
        if index in restarts:  # killed and started again
            store = opened(path, clock)
            loop = delivery(inbox, board, store, clock, policy=Policy(group_interval_s=0))
        await loop.tell_all()
    while inbox.faults:
        clock.t += 700
        await loop.tell_all()
        inbox.faults = inbox.faults[1:]
    clock.t += 700
    await loop.tell_all()
    believed: set[str] = set()
    for message in inbox.accepted:
        for alert in message.alerts:
            name = alert.label["server"]
            assert (name in believed) == (alert in message.resolved), "told twice, or ended what was never told"
            believed ^= {name}
    assert believed == before
    store.close()


async def test_one_that_tells_alerts_one_by_one_is_given_many_at_once_and_loses_none_in_the_middle(
    clock: Clock, store: Store
) -> None:
    board = Board()
    post(board, *(firing(server=f"s{i:02}") for i in range(25)))
    refusal = DeliveryError("503", retryable=True)
    inbox = Inbox(clock, [None, refusal])
    telling = delivery(inbox, board, store, clock, patience=Patience(together=10))
    servers = [f"s{i:02}" for i in range(25)]
    refusal.accepted = frozenset(firing(server=name).labels for name in servers[10:13])
    await telling.tell_all()
    assert inbox.said() == ["10 firing"]
    while telling.stats.waiting:
        await telling.tell_all()
    told = [alert.label["server"] for message in inbox.accepted for alert in message.alerts]
    assert sorted(told) == servers[:10] + servers[13:]
    assert telling.stats.sent == 25
    post(board)
    clock.t += 600
    await telling.tell_all()
    clock.t += 600
    await telling.tell_all()
    ended = {alert.label["server"] for message in inbox.accepted for alert in message.resolved}
    assert ended == set(servers)  # those too that were accepted before it failed
