"""The shipped rules over simulated days: silent while nothing is wrong, loud when their failure is injected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from exporter.duration import parse_duration
from exporter.model import Family, Labels, Matcher, SeriesSet, make_labels
from exporter.promql.answer import Matrix
from exporter.promql.engine import Engine
from exporter.promql.question import RangeQuery
from exporter.simulation.incidents import IncidentLog
from exporter.simulation.recording import Recording, record
from exporter.simulation.scenarios import shipped_scenarios
from exporter.simulation.statistics import runs
from tests.simulation.fleets import HOUR_MS, MONDAY_MS, TICK_MS, a_log, a_simulator

RULES = Path(__file__).resolve().parents[2] / "rules"
LABELS = {"cpu_usage_percent": ("core",), "memory_usage_percent": (), "disk_usage_percent": ("mount",)}


@dataclass(frozen=True, slots=True)
class Rule:
    alert: str
    expr: str
    for_ms: int


def shipped() -> list[Rule]:
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(RULES.glob("*.yml"))]
    rules = [rule for file in files for group in file["groups"] for rule in group["rules"]]
    return [Rule(rule["alert"], rule["expr"], parse_duration(rule.get("for", "0s"))) for rule in rules]


class Recorded:
    """A recording that can be queried."""

    def __init__(self, recording: Recording) -> None:
        self._sets = [
            (
                [make_labels({"__name__": metric, **dict(zip(self._names(metric), row, strict=True))}) for row in rows],
                recording.values[metric],
            )
            for metric, rows in recording.rows.items()
        ]
        self._t_ms = recording.t_ms

    @staticmethod
    def _names(metric: str) -> tuple[str, ...]:
        return ("server", *LABELS[metric.removeprefix("openmanager_")])

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesSet]:
        """What matches within the range."""
        inside = (self._t_ms >= start_ms) & (self._t_ms <= end_ms)
        found = []
        for labels, values in self._sets:
            rows = [
                number
                for number, row in enumerate(labels)
                if all(matcher.matches(dict(row).get(matcher.name, "")) for matcher in matchers)
            ]
            if rows and inside.any():
                found.append(SeriesSet([labels[row] for row in rows], self._t_ms[inside], values[rows][:, inside]))
        return found

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        """Their label sets."""
        return [labels for found in self.select(matchers, start_ms, end_ms) for labels in found.labels]

    def families(self) -> Mapping[str, Family]:
        """None: nothing here asks for them."""
        return {}


def fired(recording: Recording) -> set[tuple[str, str]]:
    """(alert, server) of every rule that was true for longer than it waits."""
    engine = Engine(Recorded(recording))
    found = set()
    for rule in shipped():
        answer = engine.range(RangeQuery(rule.expr, int(recording.t_ms[0]), int(recording.t_ms[-1]), TICK_MS)).value
        assert isinstance(answer, Matrix)
        present = np.ones(answer.values.shape, dtype=np.bool_) if answer.present is None else answer.present
        for labels, there in zip(answer.labels, present, strict=True):
            if any((length - 1) * TICK_MS >= rule.for_ms for _, length in runs(there)):
                found.add((rule.alert, dict(labels)["server"]))
    return found


def watched(log: IncidentLog | None, seed: int, start_ms: int, end_ms: int, servers: int = 20) -> Recording:
    metrics = [f"openmanager_{metric}" for metric in LABELS]
    return record(a_simulator(servers, seed, log).ticks(start_ms, end_ms), metrics)


@pytest.mark.parametrize(("seed", "day"), [(21, 1), (22, 6)])
def test_no_shipped_rule_fires_in_a_day_without_failures(seed: int, day: int) -> None:
    start = MONDAY_MS + day * 24 * HOUR_MS
    assert fired(watched(None, seed, start, start + 24 * HOUR_MS, servers=9)) == set()


@pytest.mark.parametrize("hour", [2, 11])
@pytest.mark.parametrize(
    ("scenario", "server"),
    [
        ("cpu-saturation", "control-01"),
        ("memory-leak", "api-01"),
        ("disk-full", "storage-01"),
        ("api-overload-cascade", "api-01"),
        ("database-disk-cascade", "db-01"),
        ("storage-full-cascade", "storage-01"),
        ("control-memory-cascade", "control-01"),
        ("worker-memory-cascade", "worker-01"),
        ("noisy-neighbour", "worker-01"),
    ],
)
def test_an_injected_failure_fires_what_it_says_it_would(scenario: str, server: str, hour: int) -> None:
    log = a_log()
    incident = log.inject(scenario, [server], now_ms=MONDAY_MS + hour * HOUR_MS)
    seen = fired(watched(log, 23, incident.start_ms - HOUR_MS, incident.end_ms + 600_000))
    affected = {entry["server"] for entry in log.record(incident)["affected"]}
    assert {alert for alert, _ in seen} >= set(shipped_scenarios()[scenario].expect.alerts)
    assert {name for _, name in seen} <= affected


@pytest.mark.parametrize("scenario", ["ddos", "web-overload-cascade"])
def test_a_failure_of_all_web_servers_fires_by_day(scenario: str) -> None:
    log = a_log()
    incident = log.inject(scenario, now_ms=MONDAY_MS + 11 * HOUR_MS)
    seen = fired(watched(log, 24, incident.start_ms - HOUR_MS, incident.end_ms + 600_000))
    assert {alert for alert, _ in seen} >= set(shipped_scenarios()[scenario].expect.alerts)
    assert {f"web-0{number}" for number in range(1, 5)} <= {name for alert, name in seen if alert == "HighCPUUsage"}
