"""The provisioned Grafana dashboards against the real processes: every query, as Grafana would send it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.process.house import House, fetch, scratch
from tests.servers import Servers, wait_until

DASHBOARDS = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboards"
NAMES = ("fleet", "server")
FIRING = """
groups:
  - name: quick
    interval: 1s
    rules:
      - alert: MemoryInUse
        expr: openmanager_memory_usage_percent > 0
        labels: {severity: warning}
"""
# What there is nothing of on a good day.
OFTEN_EMPTY = {"Incidents", "Disk full in"}


def dashboard(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DASHBOARDS / f"{name}.json").read_text())
    return found


def expanded(query: str, variables: dict[str, str]) -> str:
    """As Grafana writes it: one value as it is, several as a group of alternatives, All as its own value."""
    for variable, value in {**variables, "__rate_interval": "4s", "__interval": "1s"}.items():
        query = re.sub(rf"\$({variable}\b|{{{variable}(:\w+)?}})", value.replace("\\", r"\\"), query)
    return query


CHOICES = {
    "fleet": [
        {"role": ".*", "environment": ".*", "server": ".*"},
        {"role": "(web|database)", "environment": "production", "server": "(web-01|db-01)"},
    ],
    "server": [{"server": "web-01"}, {"server": "db-01"}],
}


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The address of an exporter that has ticked for a while, with an alerter that writes ALERTS back to it."""
    with Servers(tmp_path_factory.mktemp("grafana")) as servers:
        house = House(servers, scratch(servers.folder, "samples.db"))
        house.exporter()
        house.alerter(FIRING, f"remote_write: {{url: '{house.exporter_url}/api/prometheus/api/v1/write'}}\n")
        api = f"{house.exporter_url}/api/prometheus/api/v1"
        asked = urlencode({"query": "count(ALERTS) > 0"})
        wait_until(lambda: bool(fetch(f"{api}/query?{asked}")["data"]["result"]), "ALERTS at the exporter", 60)
        ticks = urlencode({"query": 'count_over_time(openmanager_memory_usage_percent{server="web-01"}[1m]) > 6'})
        wait_until(lambda: bool(fetch(f"{api}/query?{ticks}")["data"]["result"]), "seven ticks", 60)
        yield api


@pytest.mark.parametrize("name", NAMES)
def test_every_query_of_every_panel_is_answered_for_whatever_is_chosen(exporter: str, name: str) -> None:
    now = fetch(f"{exporter}/query?query=time()")["data"]["result"][0]
    for panel in dashboard(name)["panels"]:
        for target in panel.get("targets", []):
            for variables in CHOICES[name]:
                query = expanded(target["expr"], variables)
                assert "$" not in query
                form = {"query": query, "start": now - 5, "end": now, "step": 1, "time": now}
                kind = "query" if target["instant"] else "query_range"
                result = fetch(f"{exporter}/{kind}?{urlencode(form)}")["data"]["result"]
                assert result or panel["title"] in OFTEN_EMPTY, f"{panel['title']}: nothing for {query}"


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_offers_values_and_every_annotation_is_answered(exporter: str, name: str) -> None:
    page = dashboard(name)
    for variable in page["templating"]["list"]:
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
        assert match is not None
        selector = expanded(match[1], CHOICES[name][0])
        values = fetch(f"{exporter}/label/{match[2]}/values?{urlencode({'match[]': selector})}")["data"]
        assert values, variable["name"]
    for annotation in page["annotations"]["list"]:
        query = expanded(annotation["expr"], CHOICES[name][0])
        answer = fetch(f"{exporter}/query_range?{urlencode({'query': query, 'start': 0, 'end': 60, 'step': 15})}")
        assert answer["status"] == "success"


def test_the_dashboards_lead_to_each_other_and_tell_alerts_and_incidents() -> None:
    pages = {name: dashboard(name) for name in NAMES}
    for name, other in (("fleet", "server"), ("server", "fleet")):
        text = json.dumps(pages[name])
        assert pages[name]["uid"] == f"openmanager-{name}"
        assert f"/d/openmanager-{other}/" in pages[name]["links"][0]["url"]
        assert "ALERTS{" in text
        assert "openmanager_incident_active{" in text
        ids = [panel["id"] for panel in pages[name]["panels"]]
        assert len(ids) == len(set(ids))
    assert "var-server=${__field.labels.server}" in json.dumps(pages["fleet"])


@pytest.mark.parametrize("name", NAMES)
def test_panels_do_not_overlap_and_stay_within_24_columns(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard(name)["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells
