"""Failures that happen by themselves: at random, on schedule, the same whoever asks and whenever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

from exporter.model import Server
from exporter.simulation.fleet import make_fleet, shipped_roles
from exporter.simulation.incident import Incident
from exporter.simulation.incidents import IncidentLog
from exporter.simulation.scenarios import Scenario, parse_scenario, shipped_scenarios
from exporter.simulation.simulator import Simulator
from tests.simulation.fleets import HOUR_MS, MONDAY_MS, TICK_MS, a_simulator, falls, same

DAY_MS = 24 * HOUR_MS


def scheduled(schedule: str, root: str = "role: web") -> Mapping[str, Scenario]:
    """One scenario, `drill`, with a schedule."""
    text = (
        "name: drill\nphases: [{name: onset, duration: 1m, level: 1}, {name: recovery, duration: 4m, level: 0}]\n"
        f"root: {{{root}, fault: cpu_spike}}\nschedule: {{{schedule}}}\n"
    )
    return {"drill": parse_scenario(text, "drill.yaml")}


def a_live_log(
    servers: int = 20, scenarios: Mapping[str, Scenario] | None = None, seed: int = 1, rate: float = 1.0, **more: str
) -> IncidentLog:
    fleet = make_fleet(servers)
    known = shipped_scenarios() if scenarios is None else scenarios
    return IncidentLog(fleet, shipped_roles(), known, seed=seed, rate=rate, **more)  # type: ignore[arg-type]  # timezone


def a_week(log: IncidentLog) -> list[Incident]:
    return log.between(MONDAY_MS, MONDAY_MS + 7 * DAY_MS - 1)


def test_a_fleet_of_20_fails_about_every_two_to_three_hours_each_scenario_now_and_then() -> None:
    year = a_live_log().between(MONDAY_MS - 365 * DAY_MS, MONDAY_MS)
    assert 8 <= len(year) / 365 <= 13
    assert set(Counter(incident.scenario for incident in year)) == set(shipped_scenarios())
    hours = Counter(incident.start_ms // HOUR_MS % 24 for incident in year)
    assert len(hours) == 24 and max(hours.values()) < 2 * min(hours.values())


@pytest.mark.parametrize("rate", [0.0, 0.25, 1.0, 3.0])
def test_the_rate_is_what_was_asked_for(rate: float) -> None:
    usual = len(a_live_log().between(MONDAY_MS, MONDAY_MS + 100 * DAY_MS))
    seen = len(a_live_log(rate=rate).between(MONDAY_MS, MONDAY_MS + 100 * DAY_MS))
    assert seen == pytest.approx(rate * usual, rel=0.2)


def test_what_happens_is_the_same_in_whatever_pieces_it_is_asked_for() -> None:
    whole = a_week(a_live_log())
    pieces: dict[str, Incident] = {}
    log = a_live_log()
    for hour in reversed(range(7 * 24)):
        start = MONDAY_MS + hour * HOUR_MS
        pieces.update({incident.id: incident for incident in log.between(start, start + HOUR_MS - 1)})
    assert sorted(pieces.values(), key=lambda i: (i.start_ms, i.id)) == whole
    assert len({incident.id for incident in whole}) == len(whole)


def test_other_seeds_have_other_failures() -> None:
    assert a_week(a_live_log(seed=1)) != a_week(a_live_log(seed=2))


def test_another_server_changes_nothing_for_the_others() -> None:
    def others(log: IncidentLog) -> list[Incident]:
        return [i for i in a_week(log) if "mine-01" not in i.targets]

    log = a_live_log()
    before = a_week(log)
    log.follow([*make_fleet(20), Server("mine-01", "web", "test", 4, 8 << 30, 80 << 30)])
    single = [i for i in before if shipped_scenarios()[i.scenario].root.percent is None]
    assert [i for i in others(log) if shipped_scenarios()[i.scenario].root.percent is None] == single


def test_a_large_fleet_does_not_fail_more_often_than_people_could_watch() -> None:
    for servers in (200, 5_000):
        incidents = a_week(a_live_log(servers))
        assert 40 <= len(incidents) <= 250
        assert len({incident.targets[0] for incident in incidents}) > 60
        assert max(len(incident.targets) for incident in incidents) <= 4


def test_a_failure_in_one_cell_is_not_felt_in_another() -> None:
    log = IncidentLog(make_fleet(60), shipped_roles(), shipped_scenarios())
    incident = log.inject("database-disk-cascade", ["db-05"], now_ms=MONDAY_MS)
    affected = {entry["server"] for entry in log.record(incident)["affected"]}
    assert affected == {"db-05", *(f"web-0{n}" for n in (5, 6, 7, 8)), "cache-03", "cache-04"}


@pytest.mark.parametrize(
    ("schedule", "timezone", "starts_s"),
    [
        ('at: "02:30"', "UTC", [9_000, 9_000 + 86_400]),
        ('at: ["02:30", "2026-11-23T12:00:00Z"]', "UTC", [9_000, 43_200, 9_000 + 86_400]),
        ('at: "09:00"', "Asia/Seoul", [0, 86_400]),
        ('at: "2026-11-23T18:00:01+09:00"', "UTC", [32_415]),  # at the next tick
        ("every: 16h", "UTC", [57_600, 115_200]),
    ],
)
def test_a_schedule_is_kept_to_the_tick(schedule: str, timezone: str, starts_s: list[int]) -> None:
    log = a_live_log(scenarios=scheduled(schedule), rate=0.0, timezone=timezone)
    seen = [i.start_ms for i in log.between(MONDAY_MS, MONDAY_MS + 2 * DAY_MS - 1) if i.start_ms >= MONDAY_MS]
    wanted = [MONDAY_MS + 1000 * start for start in starts_s]
    if "every" in schedule:
        wanted = [t for t in range(0, MONDAY_MS + 2 * DAY_MS, 16 * HOUR_MS) if t >= MONDAY_MS]
    assert seen == wanted


@pytest.mark.parametrize("root", ["server: web-02", "role: database", "role: web, percent: 50"])
def test_a_schedule_strikes_where_its_scenario_says(root: str) -> None:
    log = a_live_log(scenarios=scheduled("every: 6h", root))
    targets = [set(incident.targets) for incident in a_week(log)]
    assert len(targets) >= 28
    if "server" in root:
        assert all(names == {"web-02"} for names in targets)
    elif "percent" in root:
        assert {len(names) for names in targets} == {2}
    else:
        assert set().union(*targets) == {"db-01", "db-02", "db-03"}


def test_a_random_failure_is_cleared_like_any_other_and_stays_so() -> None:
    kept: dict[str, Mapping[str, object]] = {}

    class Store:
        def save_incident(self, record: Mapping[str, object]) -> None:
            kept[str(record["id"])] = record

    log = IncidentLog(make_fleet(20), shipped_roles(), shipped_scenarios(), rate=1.0, store=Store())
    chosen = next(i for i in a_week(log) if i.duration_ms > 300_000)
    now = chosen.start_ms + 60_000
    assert chosen in log.active(now)
    cleared = log.clear(chosen.id, now_ms=now)
    assert cleared.end_ms == now + TICK_MS and set(kept) == {chosen.id}
    again = IncidentLog(make_fleet(20), shipped_roles(), shipped_scenarios(), rate=1.0, incidents=[cleared])
    assert [i for i in a_week(again) if i.id == chosen.id] == [cleared]


def test_at_any_time_in_any_order_and_many_at_once_the_bits_are_the_same() -> None:
    def simulator() -> Simulator:
        return a_simulator(log=a_live_log(rate=4.0))

    many = list(simulator().ticks(MONDAY_MS, MONDAY_MS + 6 * HOUR_MS))
    alone = simulator()
    for snapshot in [*many[::-97], *many[::131]]:
        assert same(alone.at(snapshot.t_ms), snapshot)
    late = simulator()
    late.at(MONDAY_MS + 300 * DAY_MS)
    assert same(late.at(many[700].t_ms), many[700])


def test_counters_fall_only_where_a_server_was_booted_through_days_of_failures() -> None:
    log = a_live_log(rate=2.0)
    crashed = {target for i in log.between(MONDAY_MS, MONDAY_MS + 2 * DAY_MS) for target in i.targets}
    simulator = a_simulator(log=log)
    fallen = falls(simulator.ticks(MONDAY_MS, MONDAY_MS + 2 * DAY_MS))
    for server, times in fallen.items():
        for t_ms in times:
            row = [s.name for s in simulator.fleet].index(server)
            assert simulator.state(t_ms).boot_s[row, 0] > simulator.state(t_ms - TICK_MS).boot_s[row, 0], server
    assert crashed
