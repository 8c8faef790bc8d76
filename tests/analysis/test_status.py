"""Whether a server is well, and why not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from exporter.analysis.servers import Reading, Readings, means
from exporter.analysis.status import Health, Judge, Threshold, Thresholds
from exporter.model import Limits, Server
from tests.web.fleet import FleetMaker

WELL = Reading("web-01", "web", "test", 40, 50, 30, 1.0, 2.0, 0.1, 5.0, 0.0, ())


@pytest.mark.parametrize(
    ("change", "health", "reason"),
    [
        ({"cpu": 75.0}, Health.HEALTHY, ""),
        ({"cpu": 75.01}, Health.WARNING, "cpu 75.01 > 75"),
        ({"cpu": 93.2}, Health.CRITICAL, "cpu 93 > 90"),
        ({"memory": 95.0}, Health.WARNING, "memory 95 > 85"),
        ({"memory": 95.4}, Health.CRITICAL, "memory 95.4 > 95"),
        ({"disk": 85.5}, Health.WARNING, "disk 86 > 85"),
        ({"disk": 99.0}, Health.CRITICAL, "disk 99 > 95"),
        ({"response_s": 2.5}, Health.WARNING, "response 2.5 s > 2 s"),
        ({"response_s": 8.0}, Health.CRITICAL, "response 8 s > 5 s"),
        ({"cpu": 80.0, "disk": 96.0}, Health.CRITICAL, "disk 96 > 95; cpu 80 > 75"),
        ({"down_services": ("nginx",)}, Health.CRITICAL, "service nginx is down"),
        ({"cpu": math.nan, "memory": math.nan}, Health.HEALTHY, ""),
    ],
)
def test_thresholds_make_health_and_reason(change: dict[str, object], health: Health, reason: str) -> None:
    fleet = Judge().judge(0, [replace(WELL, **change)])  # type: ignore[arg-type]  # a table of fields
    assert (fleet.servers[0].health, fleet.servers[0].reason) == (health, reason)


def test_thresholds_can_be_set() -> None:
    fleet = Judge(Thresholds(cpu=Threshold(20, 30))).judge(0, [WELL])
    assert fleet.servers[0].health is Health.CRITICAL


def test_the_reason_says_for_how_long() -> None:
    judge = Judge()
    for t_ms in (0, 15_000, 120_000):
        fleet = judge.judge(t_ms, [replace(WELL, cpu=93.0)])
    assert fleet.servers[0].reason == "cpu 93 > 90 for 2m"
    assert fleet.servers[0].since_ms == 0
    assert judge.judge(135_000, [WELL]).servers[0].since_ms == 135_000
    assert judge.judge(150_000, [replace(WELL, cpu=93.0)]).servers[0].reason == "cpu 93 > 90"


def test_a_server_that_is_expected_and_never_seen_is_down() -> None:
    judge = Judge()
    judge.expect(
        0, {"web-01": Server("web-01", "web", "test", 2, 1, 1), "db-01": Server("db-01", "database", "test", 2, 1, 1)}
    )
    db, web = judge.judge(0, [WELL]).servers
    assert (db.health, db.reason, db.reading.role) == (Health.DOWN, "no samples", "database")
    assert web.health is Health.HEALTHY


def test_a_server_that_falls_silent_is_down_until_it_is_taken_out() -> None:
    judge = Judge()
    judge.judge(0, [WELL, replace(WELL, id="db-01")])
    fleet = judge.judge(60_000, [WELL])
    assert [(server.reading.id, server.health) for server in fleet.servers] == [
        ("db-01", Health.DOWN),
        ("web-01", Health.HEALTHY),
    ]
    assert judge.judge(120_000, [WELL]).servers[0].reason == "no samples for 1m"
    assert fleet.counts()[Health.DOWN] == 1
    judge.expect(180_000, {"web-01": Server("web-01", "web", "test", 2, 1, 1)})
    assert len(judge.judge(180_000, [WELL]).servers) == 1


def test_a_reading_is_read_from_the_snapshot() -> None:
    maker = FleetMaker("api-01", "web-01")
    readings = Readings()
    readings.read(maker.at(1))
    api, web = readings.read(
        maker.at(2, web_01={"cpu_usage_percent": 97, "service_up": 0, "network_receive_bytes_total": 500})
    )
    assert (api.cpu, api.memory, api.disk, api.role, api.environment) == (40, 50, 30, "api", "test")
    assert (web.cpu, web.down_services) == (97, ("nginx",))
    assert api.network_in == api.network_out == pytest.approx(1000 / 15)
    assert web.network_in == pytest.approx(500 / 15)  # it fell from 1000: it has begun again at 0
    assert means([api, web]) == (68.5, 50.0)


def test_the_fullest_mount_and_the_mean_of_cores_count() -> None:
    maker = FleetMaker("web-01")
    snapshot = maker.at(1)
    snapshot.columns[0].values[:] = [10, 30]
    snapshot.columns[2].values[:] = [30, 88]
    (web,) = Readings().read(snapshot)
    assert (web.cpu, web.disk) == (20, 88)
    assert math.isnan(web.network_in)


def test_rates_follow_series_that_move_to_another_index() -> None:
    readings = Readings()
    readings.read(FleetMaker("api-01").at(1))
    found = readings.read(FleetMaker("web-01", "api-01").at(2))
    assert found[0].network_in == pytest.approx(1000 / 15)
    assert math.isnan(found[1].network_in)


@pytest.mark.parametrize(
    ("limits", "cpu", "health", "reason"),
    [
        ({"cpu": Limits(warning=40)}, 60.0, Health.WARNING, "cpu 60 > 40"),
        ({"cpu": Limits(warning=85)}, 80.0, Health.HEALTHY, ""),
        ({"cpu": Limits(critical=50)}, 60.0, Health.CRITICAL, "cpu 60 > 50"),
        ({"cpu": Limits(warning=95)}, 93.0, Health.HEALTHY, ""),
        ({"memory": Limits(critical=40)}, 30.0, Health.CRITICAL, "memory 50 > 40"),
    ],
)
def test_a_servers_own_thresholds_hold_in_place_of_everyones(
    limits: dict[str, Limits], cpu: float, health: Health, reason: str
) -> None:
    judge = Judge()
    judge.expect(0, {"web-01": Server("web-01", "web", "test", 2, 1, 1, thresholds=limits)})
    (found,) = judge.judge(0, [replace(WELL, cpu=cpu)]).servers
    assert (found.health, found.reason) == (health, reason)
