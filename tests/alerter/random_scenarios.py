"""Scenarios at random: gaps, stale series, counters, `for`, `keep_firing_for`, records that feed alerts, templates."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from alerter.tools.unit_series import parse_values
from exporter.model import METRIC_NAME, Labels, make_labels

STEPS = 40
_LEVELS = (70, 75, 80, 81, 85, 90, 95, 99.5)
_THRESHOLDS = (75, 80, 82.5, 90, 95)
_EXPRESSIONS = (
    "cpu > {0}",
    "cpu > {0} and on(server) mem > {1}",
    "avg by (server) (cpu) > {0}",
    "job:cpu:avg > {0}",
    "job:both > 2 * {0}",
    'count(ALERTS{{alertstate="firing"}}) > 1',
    'absent(cpu{{server="a"}})',
    "cpu / on(server) mem > 1",
    "rate(reqs_total[1m1s]) > {0} / 400",
    'cpu > {0} unless on(server) ALERTS{{alertname="A0",alertstate="firing"}}',
    "cpu - cpu offset 45s > 5",
    "max_over_time(job:cpu:avg[1m1s]) > {0}",
    "sum by (zone) (cpu) > {0} * 1.8",
    "mem > on(server) group_left() max by (server) (job:cpu:avg)",
    "cpu > bool {0} == 1",
    "sum(job:both) - scalar(sum(cpu)) > {0}",
)
_TEXTS = (
    "{{ $labels }}",
    "{{ $value | humanize }}",
    '{{ query "count(cpu)" | first | value }}',
    '{{ with query "job:cpu:avg" }}{{ . | sortByLabel "server" | first | value }}{{ end }}',
)


@dataclass(frozen=True)
class RandomScenario:
    """Rules, and series as promtool writes their values, one for each 15 s."""

    rules: dict[str, Any]
    series: list[tuple[Labels, str]]

    @property
    def alert_names(self) -> list[str]:
        return [rule["alert"] for group in self.rules["groups"] for rule in group["rules"] if "alert" in rule]


def scenario(seed: int) -> RandomScenario:
    """The same seed makes the same."""
    drawn = random.Random(seed)
    series = [
        (make_labels({METRIC_NAME: name, "server": server, "zone": drawn.choice("xy")}), _values(drawn))
        for name in ("cpu", "mem")
        for server in "abc"
    ]
    for server in "abc":
        counter = f"0+{drawn.randint(1, 9)}x{drawn.randint(5, 15)} 0+{drawn.randint(1, 9)}x30"
        series.append((make_labels({METRIC_NAME: "reqs_total", "server": server}), counter))
    groups = [{"name": f"g{index}", "rules": _rules(drawn, index)} for index in range(drawn.randint(1, 3))]
    return RandomScenario({"groups": groups}, series)


def _values(drawn: random.Random) -> str:
    words: list[str] = []
    while len(list(parse_values(" ".join(words)))) < STEPS:
        level = drawn.choice(_LEVELS)
        slope = f"{level}{drawn.choice('+-')}{drawn.choice((1, 2.5))}x{drawn.randint(1, 5)}"
        gap = f"_x{drawn.randint(1, 5)}"
        flat = f"{level}x{drawn.randint(0, 6)}"
        words.append(drawn.choice((flat, flat, flat, slope, slope, gap, "stale", drawn.choice(("NaN", "Inf", "0")))))
    return " ".join(words)


def _rules(drawn: random.Random, group: int) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = []
    if drawn.random() < 0.7:
        rules.append({"record": "job:cpu:avg", "expr": "avg by (server) (cpu)", "labels": {"src": f"r{group}"}})
    if drawn.random() < 0.5:
        expr = "max by (server) (job:cpu:avg) + on(server) max by (server) (mem)"
        rules.append({"record": "job:both", "expr": expr, "labels": {"src": f"r{group}"}})
    return rules + [_alert(drawn, f"A{4 * group + i}") for i in range(drawn.randint(1, 4))]


def _alert(drawn: random.Random, name: str) -> dict[str, Any]:
    expr = drawn.choice(_EXPRESSIONS).format(*drawn.choices(_THRESHOLDS, k=2))
    annotations = {"s": "{{ $labels.server }} {{ $value }}", "t": drawn.choice(_TEXTS)}
    rule: dict[str, Any] = {"alert": name, "expr": expr, "annotations": annotations}
    if drawn.random() < 0.6:
        rule["for"] = drawn.choice(("0s", "15s", "20s", "30s", "45s", "1m"))
    if drawn.random() < 0.4:
        rule["keep_firing_for"] = drawn.choice(("15s", "20s", "30s", "1m"))
    if drawn.random() < 0.5:
        level = "{{ if gt $value 90.0 }}critical{{ else }}warning{{ end }}"
        rule["labels"] = {"severity": drawn.choice(("warning", level, "{{ .Nope }}"))}
    return rule
