"""All groups together: begin, reload, and what becomes of rules that are no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from alerter.datasource.expansion import RuleTemplates
from alerter.datasource.querier import QueryError
from alerter.decisions.evaluation import Element
from alerter.loops.evaluator import Evaluator
from alerter.loops.group_loop import GroupLoop, Health, Surroundings
from alerter.model import AlertState
from alerter.rules.rules import AlertRule, Group, Mistake, RuleFileError
from alerter.state.board import Board
from alerter.state.state import Store
from exporter.model import make_labels
from tests.alerter.worlds import Clock, opened


class House:
    """An Evaluator over rules and answers that a test changes."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock(1_000_000.0)
        self.board = Board()
        self.folder = folder
        self.groups: list[Group] | RuleFileError = []
        self.answer: Callable[[str], list[Element]] = lambda expr: [Element(make_labels({"server": "a"}), 90.0)]
        self.start()

    def start(self) -> None:
        self.store: Store = opened(self.folder / "s.db", self.clock)
        self.board = Board()
        self.evaluator = Evaluator(self.read, self.store, self.world(), "self;")

    def world(self) -> Surroundings:
        templates = RuleTemplates(self.query, external_labels={}, external_url="", timeout_s=1)
        return Surroundings(
            query=self.query,
            templates=templates,
            board=self.board,
            saved=self.saved,
            now=self.clock.now,
            sleep=self.never,
            link=lambda expr: "",
        )

    async def query(self, expr: str, t: float) -> list[Element]:
        return self.answer(expr)

    async def never(self, seconds: float) -> None:
        await asyncio.Event().wait()  # the tests evaluate by hand

    def saved(self, loop: GroupLoop, t: float, steps: object) -> None:
        for run in loop.runs:
            self.store.put_rule(run.key, run.state)
        self.store.flush()

    def read(self) -> tuple[Group, ...]:
        if isinstance(self.groups, RuleFileError):
            raise self.groups
        return tuple(self.groups)

    async def evaluate(self) -> None:
        self.clock.t += 15
        for loop in self.evaluator.loops:
            await loop.evaluate(self.clock.t)

    def states(self) -> dict[str, AlertState]:
        return {known.alert.label["alertname"]: known.alert.state for known in self.board.known()}


def group(name: str, *rules: AlertRule) -> Group:
    return Group(name, "f.yml", 15.0, rules)


HOT, WARM, COLD = AlertRule("Hot", "x"), AlertRule("Warm", "x", for_s=60), AlertRule("Cold", "x")
F, P, R = AlertState.FIRING, AlertState.PENDING, AlertState.RESOLVED


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_a_reload_keeps_what_stays_and_ends_what_is_no_more(house: House) -> None:
    house.groups = [group("a", HOT, WARM), group("b", COLD)]
    house.evaluator.start(house.read())
    await house.evaluate()
    before = {known.alert.label["alertname"]: known.alert.active_at for known in house.board.known()}
    kept = house.evaluator.loops[1]
    house.groups = [group("a", AlertRule("New", "x"), AlertRule("Warm", "x > 0", for_s=60)), group("b", COLD)]
    await house.evaluator.reload()
    assert house.states() == {"Hot": R, "Warm": P, "Cold": F}
    assert house.evaluator.loops[1] is kept
    await house.evaluate()
    assert house.states() == {"Hot": R, "Warm": P, "Cold": F, "New": F}
    warm = next(known.alert for known in house.board.known() if known.alert.label["alertname"] == "Warm")
    assert warm.active_at == before["Warm"]
    assert not any(";Hot;" in key for key in house.store.rules())
    await house.evaluator.stop()


async def test_a_bad_reload_changes_nothing_and_says_why(house: House) -> None:
    house.groups = [group("a", HOT)]
    house.evaluator.start(house.read())
    await house.evaluate()
    loops = list(house.evaluator.loops)
    house.groups = RuleFileError([Mistake("f.yml", 3, 4, "what is this")])
    with pytest.raises(RuleFileError):
        await house.evaluator.reload()
    assert house.evaluator.loops == loops
    assert (house.evaluator.failed_reloads, house.evaluator.last_reload_error) == (1, "f.yml:3:4: what is this")
    await house.evaluator.stop()


async def test_before_it_leads_a_reload_starts_nothing(house: House) -> None:
    house.groups = [group("a", HOT)]
    await house.evaluator.reload()
    assert house.evaluator.loops == []
    house.evaluator.start(())
    assert [loop.group.name for loop in house.evaluator.loops] == ["a"]
    await house.evaluator.stop()


async def test_after_a_restart_what_fired_fires_before_the_first_evaluation(house: House) -> None:
    house.groups = [group("a", HOT), group("gone", COLD)]
    house.evaluator.start(house.read())
    await house.evaluate()
    await house.evaluator.stop()
    house.store.close()
    house.groups = [group("a", HOT)]
    house.start()
    house.evaluator.start(house.read())
    assert house.states() == {"Hot": F, "Cold": R}
    await house.evaluator.stop()


async def test_an_error_keeps_the_state_and_one_past_the_limit_wipes_it(house: House) -> None:
    house.groups = [Group("a", "f.yml", 15.0, (HOT,), limit=1)]
    house.evaluator.start(house.read())
    await house.evaluate()

    def fails(expr: str) -> list[Element]:
        raise QueryError("many-to-many", reachable=True)

    house.answer = fails
    await house.evaluate()
    (run,) = house.evaluator.loops[0].runs
    assert (house.states(), run.health, run.last_error) == ({"Hot": F}, Health.ERR, "many-to-many")
    house.answer = lambda expr: [Element(make_labels({"server": name}), 1.0) for name in "ab"]
    await house.evaluate()
    assert (house.states(), run.last_error) == ({}, "exceeded limit of 1 with 2 alerts")
    await house.evaluator.stop()


async def test_the_slot_that_has_begun_is_evaluated_at_once_unless_it_was_before(house: House) -> None:
    house.groups = [group("a", HOT)]
    for evaluations in (1, 0):
        house.evaluator.start(house.read())
        await asyncio.sleep(0.01)  # the loop's task comes to its first sleep
        (loop,) = house.evaluator.loops
        assert loop.stats.evaluations == evaluations
        assert house.states() == {"Hot": F}
        await house.evaluator.stop()
        house.start()
