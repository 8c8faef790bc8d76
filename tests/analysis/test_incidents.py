"""From odd measures to incidents and their roots."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from exporter.analysis.anomalies import Anomaly
from exporter.analysis.graph import Graph
from exporter.analysis.incidents import PERSISTS_S, Incidents
from exporter.analysis.root import root

DEPENDS = {"web": ("api", "cache"), "api": ("db",), "db": ("storage",), "cache": (), "storage": (), "batch": ()}
GRAPH = Graph(DEPENDS)
SERVERS = (
    "web-01",
    "web-02",
    "web-03",
    "api-01",
    "api-02",
    "api-03",
    "cache-01",
    "db-01",
    "db-02",
    "db-03",
    "batch-01",
)
ROLES = {server: server.partition("-")[0] for server in SERVERS}


def odd(metric: str, since: float, server: str = "web-01", score: float = 0.9, value: float = 97.0) -> Anomaly:
    return Anomaly(server, metric, score, value, (30.0, 50.0), since)


def seen(*ticks: tuple[float, list[Anomaly]], graph: Graph = GRAPH) -> Incidents:
    """What becomes of some ticks."""
    incidents = Incidents(graph)
    for t_s, anomalies in ticks:
        incidents.observe(t_s, anomalies, ROLES)
    return incidents


def test_one_odd_series_for_a_moment_is_no_incident() -> None:
    assert seen(*((t_s, [odd("cpu", 0.0)]) for t_s in (0.0, 15.0, 30.0))).open() == []


def test_two_odd_series_of_one_server_are_an_incident() -> None:
    (incident,) = seen((15.0, [odd("response", 15.0), odd("cpu", 0.0)])).open()
    assert (incident.servers, incident.root.metric, incident.started) == (("web-01",), "cpu", 0.0)
    assert incident.confidence > 0.8


def test_one_odd_series_that_stays_odd_is_an_incident() -> None:
    (incident,) = seen((PERSISTS_S, [odd("memory", 0.0)])).open()
    assert incident.root.metric == "memory"


@pytest.mark.parametrize("alone", [odd("requests", 0.0), odd("cpu", 0.0, value=5.0)])
def test_other_or_less_work_by_itself_is_no_incident_however_long(alone: Anomaly) -> None:
    assert seen((10 * PERSISTS_S, [alone])).open() == []
    assert len(seen((15.0, [alone, odd("network_in", 0.0)])).open()) == 1


def test_a_fact_is_an_incident_at_once() -> None:
    (incident,) = seen((0.0, [replace(odd("up", 0.0), certain=True)])).open()
    assert incident.confidence == 0.99


def test_an_incident_ends_after_a_while_of_quiet_and_is_remembered() -> None:
    pair = [odd("cpu", 0.0), odd("response", 15.0)]
    assert len(seen((15.0, pair), (100.0, [])).open()) == 1
    incidents = seen((15.0, pair), (100.0, []), (195.0, []))
    assert incidents.open() == []
    assert [incident.ended for incident in incidents.recent()] == [15.0]


def test_a_clock_that_is_set_back_ends_incidents_and_does_no_other_harm() -> None:
    pair = [odd("cpu", 10_000.0), odd("response", 10_015.0)]
    incidents = seen((10_015.0, pair), (100.0, []))
    assert incidents.open() == []
    assert len(incidents.recent()) == 1


def test_evidence_keeps_the_furthest_value_of_each_measure_and_its_first_time() -> None:
    (incident,) = seen(
        (15.0, [odd("cpu", 0.0, score=0.6), odd("response", 15.0)]),
        (30.0, [odd("cpu", 30.0, score=0.99, value=80.0)]),
        (45.0, [odd("cpu", 30.0, score=0.7, value=98.0)]),
    ).open()
    cpu = incident.evidence[0]
    assert (cpu.metric, cpu.value, cpu.score, cpu.since) == ("cpu", 98.0, 0.99, 0.0)


def test_trouble_along_the_service_graph_is_one_incident() -> None:
    slow = [odd("response", 30.0, server) for server in ("api-01", "api-02", "web-01", "web-02")]
    (incident,) = seen((15.0, [odd("cpu", 0.0, "db-01"), odd("response", 15.0, "db-01")]), (30.0, slow)).open()
    assert set(incident.servers) == {"db-01", "api-01", "api-02", "web-01", "web-02"}
    assert incident.root.server == "db-01"


def test_trouble_of_strangers_is_not_one_incident() -> None:
    both = [odd(metric, 0.0, server) for server in ("web-01", "batch-01") for metric in ("cpu", "response")]
    assert len(seen((15.0, both)).open()) == 2


def test_without_a_graph_every_server_stands_alone() -> None:
    both = [odd(metric, 0.0, server) for server in ("web-01", "web-02") for metric in ("cpu", "response")]
    assert len(seen((15.0, both), graph=Graph()).open()) == 2


def test_what_comes_much_later_is_an_incident_of_its_own() -> None:
    first = [odd("cpu", 0.0), odd("response", 15.0)]
    later = [odd("cpu", 900.0, "api-01"), odd("response", 900.0, "api-01")]
    assert len(seen((15.0, first), (900.0, [*first, *later])).open()) == 2


@pytest.mark.parametrize(
    ("anomalies", "expected"),
    [
        # a slow database is felt by all who wait for it
        ([odd("response", 0.0, "db-01"), *(odd("response", 15.0, f"api-0{i}") for i in (1, 2, 3))], "db-01"),
        # one busy api among its peers asks more of every database
        ([odd("cpu", 0.0, "api-01"), *(odd("cpu", 15.0, f"db-0{i}") for i in (1, 2, 3))], "api-01"),
        # a server that is away explains the slowness that was seen a little earlier
        ([odd("response", 0.0, "web-01"), odd("response", 0.0, "web-02"), odd("up", 15.0, "cache-01")], "cache-01"),
        # an old oddity elsewhere has nothing to do with it
        ([odd("response", -330.0, "web-01"), odd("up", 0.0, "db-02"), odd("failed", 15.0, "api-01")], "db-02"),
    ],
)
def test_the_root_is_what_explains_the_others(anomalies: list[Anomaly], expected: str) -> None:
    assert root(anomalies, GRAPH, ROLES).server == expected


def test_the_root_measure_is_a_cause_rather_than_a_feeling() -> None:
    assert root([odd("response", 0.0), odd("cpu", 15.0)], GRAPH, ROLES).metric == "cpu"


def test_trouble_travels_both_ways_along_the_graph_but_not_to_strangers() -> None:
    assert GRAPH.waits_for("web", "storage")
    assert not GRAPH.waits_for("storage", "web")
    assert GRAPH.neighbours("storage", "web")
    assert not GRAPH.neighbours("cache", "db")
    assert not Graph().neighbours("web", "web")


def test_a_graph_may_go_round_in_a_circle() -> None:
    circle = Graph({"a": ("b",), "b": ("a", "c")})
    assert circle.waits_for("a", "c")
    assert not circle.waits_for("a", "a")


def test_an_outage_of_everything_is_one_incident_and_takes_no_second() -> None:
    roles = {f"web-{i:04}": "web" for i in range(4000)}
    everything = [replace(odd("up", 0.0, server), certain=True) for server in roles]
    incidents = Incidents(GRAPH)
    started = time.process_time()
    for t_s in (0.0, 15.0, 30.0):
        incidents.observe(t_s, everything, roles)
    assert time.process_time() - started < 3.0
    assert [len(incident.servers) for incident in incidents.open()] == [4000]
