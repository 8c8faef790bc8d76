"""The alerter's own alerts and its heartbeat."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from alerter.datasource.datasource import Datasource
from alerter.datasource.querier import QueryError
from alerter.decisions.evaluation import Element
from alerter.decisions.inhibition import Known
from alerter.loops.heartbeat import Heartbeat
from alerter.loops.self_watch import Finding, SelfWatch, ending_silences, silent_datasource
from alerter.model import Alert, AlertState
from alerter.state.board import Board
from alerter.state.silences import Silence, SilenceMatcher, Silences
from alerter.state.state import Store
from tests.alerter.test_querier import Server
from tests.alerter.worlds import Clock, firing, opened


def watch(board: Board, store: Store, clock: Clock, findings: list[Finding], after_s: float = 300.0) -> SelfWatch:
    return SelfWatch(
        silent=lambda: findings,
        failing=list,
        ending=list,
        board=board,
        store=store,
        now=clock.now,
        sleep=clock.sleep,
        after_s=after_s,
    )


def alerts(board: Board) -> list[Alert]:
    return [known.alert for known in board.known()]


async def test_a_trouble_that_lasts_is_an_alert_and_its_end_is_its_end(tmp_path: Path) -> None:
    clock, board, findings = Clock(), Board(), [Finding((("datasource", "http://x"),), "it is away")]
    watching = watch(board, opened(tmp_path / "s.db", clock), clock, findings)
    watching.look()
    assert [alert.state for alert in alerts(board)] == [AlertState.PENDING]
    clock.t += 300
    watching.look()
    (alert,) = alerts(board)
    assert (alert.state, alert.label["alertname"]) == (AlertState.FIRING, "AlerterDatasourceDown")
    assert alert.annotation["summary"] == "it is away"
    findings.clear()
    watching.look()
    assert [alert.state for alert in alerts(board)] == [AlertState.RESOLVED]


async def stops(seconds: float) -> None:
    raise asyncio.CancelledError


async def test_it_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    clock, findings = Clock(), [Finding((("datasource", "http://x"),), "it is away")]
    store = opened(tmp_path / "s.db", clock)
    watch(Board(), store, clock, findings).look()
    store.flush()
    clock.t += 300
    board = Board()
    clock.sleep = stops  # type: ignore[method-assign] # one look is enough
    with pytest.raises(asyncio.CancelledError):
        await watch(board, opened(tmp_path / "s.db", clock), clock, findings).run()
    assert [alert.state for alert in alerts(board)] == [AlertState.FIRING]


async def test_a_datasource_is_found_while_it_is_silent() -> None:
    down = True

    async def query(expr: str, t: float) -> list[Element]:
        if down:
            raise QueryError("connection refused")
        return []

    datasource = Datasource(query, "http://x", lambda: 1.0)
    with pytest.raises(QueryError):
        await datasource.query("up", 1.0)
    (finding,) = silent_datasource(datasource)
    assert "http://x does not answer, alerts stay as they were: connection refused" in finding.sentence
    down = False
    await datasource.query("up", 1.0)
    assert silent_datasource(datasource) == []


@pytest.mark.parametrize(
    ("left_s", "length_s", "server", "reminded"),
    [(900, 3_600, "a", True), (901, 3_600, "a", False), (900, 3_599, "a", False), (900, 3_600, "b", False)],
)
def test_a_long_silence_that_ends_soon_is_remembered_while_it_keeps_something_quiet(
    left_s: float, length_s: float, server: str, reminded: bool, tmp_path: Path
) -> None:
    clock = Clock(100_000.0)
    silences = Silences(opened(tmp_path / "s.db", clock), clock.now, lambda: "id")
    matchers = (SilenceMatcher("server", "a", "="),)
    silences.put(Silence("", matchers, clock.t, clock.t + length_s, clock.t, "me", "works"))
    clock.t += length_s - left_s
    known = [Known(firing(server=server), "g")]
    assert bool(ending_silences(silences, known, clock.t)) is reminded


async def test_the_heartbeat_is_called_while_all_is_well(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []
    troubles = ["", "state is not written", ""]

    async def handler(request: web.Request) -> web.Response:
        calls.append(request.path)
        return web.Response()

    async def sleep(seconds: float) -> None:
        assert seconds == 60
        if not troubles:
            raise asyncio.CancelledError

    async with Server(handler) as url:
        heartbeat = Heartbeat(f"{url}/secret", lambda: troubles.pop(0), sleep)
        with pytest.raises(asyncio.CancelledError):
            await heartbeat.run()
    assert calls == ["/secret", "/secret"]
    assert "heartbeat withheld why=state is not written" in caplog.text
    assert "secret" not in caplog.text
