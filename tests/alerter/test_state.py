"""The store between the loops: the same tests on SQLite and on a real Redis."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerter.decisions.dispatch import Told
from alerter.decisions.evaluation import RuleState
from alerter.model import Alert, AlertState
from alerter.state.redis_state import RedisKeeper
from alerter.state.silences import Silence, SilenceMatcher
from alerter.state.sqlite_state import SqliteKeeper
from alerter.state.state import Happened, Keeper, Store, StoreError
from exporter.model import make_labels
from tests.alerter.worlds import Clock, firing
from tests.servers import Servers, free_port

Open = Callable[[], Store]


@pytest.fixture(params=["sqlite", "redis"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same store again and again, as a process does that was killed."""
    prefix = uuid.uuid4().hex
    opened: list[Store] = []

    def keeper() -> Keeper:
        if request.param == "sqlite":
            return SqliteKeeper(tmp_path / "state.db")
        return RedisKeeper(request.getfixturevalue("redis_server").url, prefix=prefix)

    def again() -> Store:
        store = Store(keeper(), Clock().now)
        store.load()
        opened.append(store)
        return store

    yield again
    for store in opened:
        store.close()


def test_what_was_flushed_is_there_after_a_kill_and_what_was_not_is_not(open_store: Open) -> None:
    first = open_store()
    alert = firing(server="web-01")
    first.put_rule("r", RuleState({alert.labels: alert}, 7.0))
    first.put_told("slack", "g", Told((("server", "web-01"),), 8.0, (alert,)))
    first.flush()
    first.put_rule("later", RuleState())
    second = open_store()
    assert second.rules() == {"r": RuleState({alert.labels: alert}, 7.0)}
    assert second.told("slack") == {"g": Told((("server", "web-01"),), 8.0, (alert,))}
    assert second.told("sla") == {}


def test_what_was_forgotten_stays_forgotten(open_store: Open) -> None:
    first = open_store()
    first.put_rule("r", RuleState())
    first.flush()
    first.put_rule("r", None)
    first.put_rule("never kept", None)
    first.flush()
    assert open_store().rules() == {}


def test_silences_come_back_as_they_were(open_store: Open) -> None:
    silence = Silence("id", (SilenceMatcher("server", "웹-.*", "=~"),), 1.0, 2.0, 1.5, "me", "함께")
    first = open_store()
    first.put_silence("id", silence)
    first.flush()
    assert open_store().silences(Silence) == {"id": silence}


values = st.floats(allow_nan=True, allow_infinity=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=values, name=texts, text=texts, t=st.floats(0, 4e9), keep=st.none() | st.floats(0, 4e9))
def test_an_alert_comes_back_as_it_was(
    open_store: Open, value: float, name: str, text: str, t: float, keep: float | None
) -> None:
    labels = make_labels({"alertname": name, "x": text})
    alert = Alert(labels, (("summary", text),), AlertState.FIRING, value, t, t, keep_firing_since=keep)
    store = open_store()
    store.put_rule(name, RuleState({labels: alert}, t))
    store.flush()
    (again,) = open_store().rules()[name].alerts.values()
    assert repr(again) == repr(alert)
    assert math.isnan(value) or again == alert


def test_history_is_newest_first_and_equal_lines_are_all_there(open_store: Open) -> None:
    store = open_store()
    line = Happened(5.0, "transition", "firing", (("a", "b"),), value=1.0)
    store.happened([line, line, Happened(6.0, "delivery", "firing", (), "slack", "accepted")])
    store.flush()
    store.happened([Happened(7.0, "transition", "resolved", ())])  # not written yet, and shown all the same
    assert [event.t for event in store.history(0, 10, 100)] == [7.0, 6.0, 5.0, 5.0]
    assert [event.t for event in store.history(5.5, 6.5, 100)] == [6.0]
    assert [event.t for event in store.history(0, 10, 2)] == [7.0, 6.0]
    assert len(open_store().history(0, 10, 100)) == 3


def test_history_is_forgotten_after_ninety_days(tmp_path: Path) -> None:
    clock = Clock(100 * 86_400.0)
    store = Store(SqliteKeeper(tmp_path / "s.db"), clock.now)
    store.load()
    store.happened(
        [Happened(clock.t - 91 * 86_400, "transition", "old", ()), Happened(clock.t, "transition", "new", ())]
    )
    store.flush()
    assert [event.what for event in store.history(0, clock.t, 10)] == ["new"]
    store.close()


def test_a_keeper_that_is_away_loses_nothing(servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    store = Store(RedisKeeper(f"redis://:secret@127.0.0.1:{port}/0"), Clock().now)
    with pytest.raises(StoreError) as error:
        store.load()
    for number in range(3):
        store.put_rule(f"r{number}", RuleState(evaluated_at=1.0))
        store.happened([Happened(float(number), "transition", "firing", ())])
        store.flush()
    assert (store.stats().up, store.stats().unwritten) == (False, 6)
    assert sum("state not written" in record.message for record in caplog.records) == 1
    assert "secret" not in caplog.text + str(error.value)
    servers.redis("--requirepass", "secret", port=port)
    store.flush()
    assert (store.stats().up, store.stats().unwritten) == (True, 0)
    again = Store(RedisKeeper(f"redis://:secret@127.0.0.1:{port}/0"), Clock().now)
    again.load()
    assert set(again.rules()) == {"r0", "r1", "r2"}
    assert len(again.history(0, 10, 10)) == 3


def test_what_redis_kept_is_there_once_it_is_reached_and_newer_things_win(servers: Servers) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    redis = servers.redis("--save", "1 1", port=port)
    before = Store(RedisKeeper(url), Clock().now)
    before.load()
    before.put_rule("old", RuleState(evaluated_at=1.0))
    before.put_rule("both", RuleState(evaluated_at=1.0))
    before.flush()
    assert redis.stop() == 0  # it saves when it is told to stop
    store = Store(RedisKeeper(url), Clock().now)
    with pytest.raises(StoreError):
        store.load()
    store.put_rule("both", RuleState(evaluated_at=2.0))
    servers.redis("--save", "1 1", port=port)
    store.flush()
    assert {key: state.evaluated_at for key, state in store.rules().items()} == {"old": 1.0, "both": 2.0}


def test_a_redis_that_was_started_again_empty_gets_everything_back(servers: Servers) -> None:
    redis = servers.redis()
    store = Store(RedisKeeper(redis.url), lambda: 1_000.0)
    store.load()
    store.put_note("first", "1")
    store.flush()
    redis.kill()
    servers.redis(port=redis.port)
    store.put_note("second", "2")
    store.flush()
    store.flush()  # where the first found the old connection broken
    store.close()
    again = Store(RedisKeeper(redis.url), lambda: 1_000.0)
    again.load()
    assert (again.note("first"), again.note("second")) == ("1", "2")
    again.close()


def test_a_file_that_cannot_be_used_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match=r"file/state\.db: "):
        SqliteKeeper(tmp_path / "file" / "state.db")
    (tmp_path / "rubbish.db").write_bytes(b"rubbish" * 1_000)
    with pytest.raises(StoreError, match=r"rubbish\.db: file is not a database"):
        SqliteKeeper(tmp_path / "rubbish.db")


def test_an_entry_that_cannot_be_read_is_forgotten_alone(tmp_path: Path) -> None:
    keeper = SqliteKeeper(tmp_path / "s.db")
    store = Store(keeper, Clock().now)
    store.load()
    store.put_rule("good", RuleState())
    store.put_silence("r", "a text")
    store.flush()
    keeper._connection.execute("INSERT INTO entries VALUES ('rule', 'bad', x'c1')")
    again = Store(keeper, Clock().now)
    again.load()
    assert set(again.rules()) == {"good"}
