"""Every annotation of the template scenario reads as Prometheus' own answers say, at every evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import yaml

from alerter.template.template import parse


def test_the_template_scenario_reads_as_in_prometheus(shared: Path) -> None:
    scenario = yaml.safe_load((shared / "alert-scenarios/09_templates.yml").read_text())
    expected = json.loads((shared / "alert-scenarios/expected/09_templates.json").read_text())
    texts = scenario["rules"]["groups"][0]["rules"][0]["annotations"]
    compared = 0
    for evaluation in expected["timeline"]:
        elements = _elements(scenario, evaluation["t"])
        for alert in evaluation["alerts"]:
            labels = next(labels for labels, _ in elements if labels["server"] == alert["labels"]["server"])
            for name, text in texts.items():
                got = parse(text, "__alert_T").expand(
                    labels,
                    float(alert["value"]),
                    external_labels=scenario["external_labels"],
                    external_url=scenario["external_url"],
                    query=partial(_answer, elements),
                    now_s=evaluation["t"],
                )
                assert got == alert["annotations"].get(name, ""), name
                compared += 1
    assert compared > 200


def _elements(scenario: Mapping[str, list[dict[str, object]]], t: int) -> list[tuple[dict[str, str], float]]:
    found = []
    for series in scenario["series"]:
        labels, values = series["labels"], series["values"]
        assert isinstance(labels, dict) and isinstance(values, list)
        found.append(({"__name__": "cpu", **labels}, float(values[min(t // 15, len(values) - 1)])))
    return found


def _answer(elements: list[tuple[dict[str, str], float]], expression: str) -> list[tuple[Mapping[str, str], float]]:
    """The three queries that the scenario's texts ask."""
    if expression == "cpu":
        return list(elements)
    if expression == "sum(cpu)":
        return [({}, sum(value for _, value in elements))]
    return [element for element in elements if expression == f'cpu{{server="{element[0]["server"]}"}}']
