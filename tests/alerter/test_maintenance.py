"""Maintenance windows become silences, follow the inventory, and outlive an exporter that is away."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from alerter.loops.maintenance import CREATED_BY, Maintenance, Window, of_datasource
from alerter.state.silences import Silence, SilenceMatcher, Silences
from exporter.model import make_labels
from tests.alerter.test_querier import Server
from tests.alerter.worlds import Clock, opened


def window(clock: Clock, server: str, start_s: float, end_s: float, reason: str = "disk") -> Window:
    """A window so many seconds from now."""
    start, end = (dt.datetime.fromtimestamp(clock.t + second, dt.UTC) for second in (start_s, end_s))
    return Window(server, start, end, reason)


class World:
    """Silences in a scratch store, kept by the windows of a URL."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.clock = Clock()
        numbers = itertools.count()
        self.silences = Silences(opened(folder / "s.db", self.clock), self.clock.now, lambda: f"id-{next(numbers)}")
        self.changes = 0
        self.maintenance = Maintenance(url, self.silences, self._changed, self.clock.now, self.clock.sleep)

    def _changed(self) -> None:
        self.changes += 1

    def quiet(self, server: str) -> bool:
        labels = make_labels({"alertname": "X", "server": server})
        return labels in self.silences.quiet([labels])

    def open(self) -> list[tuple[str, str]]:
        """Server and comment of the silences that are not over."""
        return [
            (each.matchers[0].value, each.comment)
            for each in self.silences.all()
            if each.status(self.clock.t) != "expired"
        ]


def test_a_server_is_quiet_in_its_window_and_no_longer(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.maintenance.take([window(world.clock, "web-01", 60, 120)])
    assert not world.quiet("web-01")
    world.clock.t += 60
    assert world.quiet("web-01") and not world.quiet("web-02")
    world.clock.t += 60
    assert not world.quiet("web-01")


def test_the_same_windows_again_change_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    windows = [window(world.clock, "web-01", -60, 600), window(world.clock, "db-01", 300, 900)]
    for _ in range(3):
        world.maintenance.take(windows)
        world.clock.t += 10
    assert world.changes == 1
    assert world.open() == [("web-01", "disk"), ("db-01", "disk")]


def test_a_window_that_is_moved_shortened_or_taken_out_is_so_here(tmp_path: Path) -> None:
    world = World(tmp_path)
    now = world.clock
    world.maintenance.take([window(now, "web-01", -60, 600), window(now, "db-01", 300, 900)])
    world.maintenance.take([window(now, "web-01", -60, 300), window(now, "db-01", 500, 900)])
    assert [(each.starts_at, each.ends_at) for each in world.silences.all() if each.status(now.t) != "expired"] == [
        (now.t, now.t + 300),
        (now.t + 500, now.t + 900),
    ]
    world.maintenance.take([])
    assert world.open() == [] and not world.quiet("web-01")


def test_silences_that_people_made_are_left_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    matcher = SilenceMatcher("server", "web-01", "=")
    world.silences.put(Silence("", (matcher,), world.clock.t, world.clock.t + 60, 0.0, "alice", "mine"))
    world.maintenance.take([])
    assert world.open() == [("web-01", "mine")]


def test_a_window_without_a_reason_still_says_what_it_is(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.maintenance.take([window(world.clock, "web-01", -1, 60, reason="")])
    (silence,) = world.silences.all()
    assert (silence.created_by, silence.comment) == (CREATED_BY, "maintenance")


async def after_one_look(world: World) -> None:
    """Let it look once."""

    async def stop(_seconds: float) -> None:
        raise asyncio.CancelledError

    looking = Maintenance(world.maintenance._url, world.silences, lambda: None, world.clock.now, stop)
    with pytest.raises(asyncio.CancelledError):
        await looking.run()


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, "oops"), (200, "<html>"), (200, '{"windows": 3}'), (200, '{"windows": [{"server": "x"}]}'), (302, "")],
)
async def test_an_exporter_that_answers_rubbish_leaves_what_was_known(tmp_path: Path, status: int, body: str) -> None:
    answers: list[tuple[int, str]] = []

    async def handler(_request: web.Request) -> web.Response:
        code, text = answers.pop(0)
        return web.Response(status=code, text=text)

    async with Server(handler) as url:
        world = World(tmp_path, f"{url}/api/maintenance")
        known: dict[str, Any] = {"server": "web-01", "start": "1970-01-01T00:00:00Z", "end": "9999-01-01T00:00:00Z"}
        answers += [(200, json.dumps({"windows": [known]})), (status, body), (404, "")]
        await after_one_look(world)
        assert world.quiet("web-01")
        await after_one_look(world)
        assert world.quiet("web-01")
        await after_one_look(world)
        assert not world.quiet("web-01")  # who has no windows at all says 404


def test_the_exporter_is_the_one_behind_the_datasource() -> None:
    assert of_datasource("http://127.0.0.1:3001/api/prometheus/") == "http://127.0.0.1:3001/api/maintenance"
    assert of_datasource("http://prometheus:9090") == ""
