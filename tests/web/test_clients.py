"""Real clients of the Prometheus HTTP API: promtool, vmalert, and the calls that Grafana makes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException

from tests.servers import Servers, answers, binary, free_port, wait_until
from tests.web.fleet import T0_MS
from tests.web.site import Client, site

API = "/api/prometheus/api/v1"
SHIPPED_RULES = Path(__file__).parents[2] / "rules"
NOW = T0_MS // 1000 + 45
CPU = "openmanager_cpu_usage_percent"


async def promtool(client: Client, *arguments: str) -> str:
    """What `promtool query …` prints."""
    kind, *rest = arguments
    url = f"http://{client.host}:{client.port}/api/prometheus"
    options = [argument for argument in rest if argument.startswith("--")]
    others = [argument for argument in rest if not argument.startswith("--")]
    command = [binary("promtool"), "query", kind, *options, url, *others]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=20)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


async def test_promtool_asks_for_everything_it_can() -> None:
    async with site() as client:
        said = await promtool(client, "instant", f"--time={NOW}", f'{CPU}{{core="0"}}')
        assert f'{CPU}{{core="0", server="web-01"}} => 40 @[{NOW}]' in said
        said = await promtool(
            client, "range", f"--start={NOW - 30}", f"--end={NOW}", "--step=15s", f'{CPU}{{server="db-01",core="1"}}'
        )
        assert said.count("40 @[") == 3
        said = await promtool(client, "series", f"--start={NOW - 60}", f"--end={NOW}", f"--match={CPU}")
        assert said.count("server=") == 6
        said = await promtool(client, "labels", f"--start={NOW - 60}", f"--end={NOW}", "server")
        assert said.split() == ["api-01", "db-01", "web-01"]


async def vmalert(servers: Servers, client: Client, rules: str) -> str:
    """A vmalert that evaluates these rule files over the site; its URL."""
    port = free_port()
    command = [
        binary("vmalert", "vmalert-prod"),
        f"-rule={rules}",
        f"-datasource.url=http://{client.host}:{client.port}/api/prometheus",
        f"-notifier.url=http://127.0.0.1:{free_port()}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-evaluationInterval=1s",
    ]
    url = f"http://127.0.0.1:{port}"
    await asyncio.to_thread(servers.start, command, port, lambda: answers(f"{url}/health"))
    return url


def told(url: str) -> Any:
    """The data of an answer."""
    with urllib.request.urlopen(url, timeout=5) as response:
        return json.load(response)["data"]


async def test_vmalert_evaluates_rules_over_it(servers: Servers, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(f"groups: [{{name: g, interval: 1s, rules: [{{alert: Busy, expr: '{CPU} > 30'}}]}}]\n")
    async with site(later_ms=round(time.time() * 1000) - NOW * 1000, now=time.time) as client:
        url = await vmalert(servers, client, str(rules))

        def firing() -> int:
            return len(told(f"{url}/api/v1/alerts")["alerts"] or ())

        await asyncio.to_thread(wait_until, lambda: firing() == 6, "an alert for each core")


async def test_vmalert_evaluates_the_shipped_rules_over_it(servers: Servers) -> None:
    async with site(later_ms=round(time.time() * 1000) - NOW * 1000, now=time.time) as client:
        url = await vmalert(servers, client, f"{SHIPPED_RULES}/*.yml")

        def unevaluated() -> list[str]:
            rules = [rule for group in told(f"{url}/api/v1/rules")["groups"] for rule in group["rules"]]
            assert rules
            assert not [rule["lastError"] for rule in rules if rule.get("lastError")]
            return [rule["name"] for rule in rules if rule["lastEvaluation"].startswith("0001")]

        await asyncio.to_thread(wait_until, lambda: not unevaluated(), "every rule to be evaluated", 90)


async def test_prometheus_api_client_finds_everything_it_asks_for() -> None:
    async with site() as client:
        await asyncio.to_thread(_ask_as_prometheus_api_client, f"http://{client.host}:{client.port}/api/prometheus")


def _ask_as_prometheus_api_client(url: str) -> None:
    prometheus = PrometheusConnect(url=url, disable_ssl=True)
    assert prometheus.check_prometheus_connection()
    assert CPU in prometheus.all_metrics()
    start, end = datetime.fromtimestamp(NOW - 60, UTC), datetime.fromtimestamp(NOW, UTC)
    assert prometheus.get_label_names(params={"match[]": CPU}) == ["__name__", "core", "server"]
    assert prometheus.get_label_values("server") == ["api-01", "db-01", "web-01"]
    assert len(prometheus.get_series(start, end, params={"match[]": [CPU]})) == 6
    own = {"server": "db-01", "core": "1"}
    (row,) = prometheus.get_current_metric_value(CPU, label_config=own, params={"time": str(NOW)})
    assert row == {"metric": {"__name__": CPU, **own}, "value": [NOW, "40"]}
    (row,) = prometheus.get_metric_range_data(CPU, label_config=own, start_time=start, end_time=end)
    assert [value for _, value in row["values"]] == ["40"] * 3
    (row,) = prometheus.custom_query_range(f"sum({CPU})", start, end, "15s")
    assert [value for _, value in row["values"]] == ["240"] * 3
    assert prometheus.custom_query("1 + 1", params={"time": "4"}) == [4, "2"]
    assert [row["scrapePool"] for row in prometheus.get_targets()["activeTargets"]]
    assert prometheus.get_metric_metadata(CPU)[0]["type"] == "gauge"
    with pytest.raises(PrometheusApiClientException, match="unclosed left parenthesis"):
        prometheus.custom_query("sum(up")


HOUR = {"start": str(NOW - 3600), "end": str(NOW)}

# What Grafana asks from adding the datasource to the first panel, and how much there is in each answer.
GRAFANA: list[tuple[str, str, dict[str, str], int]] = [
    ("GET", "/status/buildinfo", {}, 6),
    ("POST", "/query", {"query": "1+1", "time": "4"}, 2),
    ("GET", "/metadata", {"limit": "40000"}, 9),
    ("GET", "/label/__name__/values", {**HOUR, "limit": "40000"}, 11),
    ("GET", "/labels", {"match[]": CPU, **HOUR, "limit": "40000"}, 3),
    ("POST", "/labels", {"match[]": CPU, **HOUR}, 3),
    ("GET", "/label/server/values", {"match[]": CPU, **HOUR}, 3),
    ("POST", "/series", {"match[]": CPU, **HOUR}, 6),
    ("POST", "/query_range", {"query": f"avg by (server) ({CPU})", **HOUR, "step": "15"}, 3),
    ("POST", "/query", {"query": f"topk(3, {CPU})", "time": f"{NOW}.123"}, 3),
    ("GET", "/query", {"query": f"count({CPU})", "time": str(NOW)}, 1),
    ("POST", "/query_exemplars", {"query": CPU, "start": f"{NOW}000", "end": f"{NOW}000"}, 0),
    ("GET", "/rules", {}, 0),
    ("GET", "/alerts", {}, 0),
]


async def test_grafanas_calls_succeed_in_their_order() -> None:
    async with site() as client:
        for method, path, parameters, count in GRAFANA:
            options: dict[str, Any] = {"params": parameters} if method == "GET" else {"data": parameters}
            async with client.request(method, API + path, **options) as response:
                body = await response.json()
            assert (response.status, body["status"]) == (200, "success"), path
            assert _size(body["data"]) == count, path


def _size(data: Any) -> int:
    if isinstance(data, dict):
        for name in ("result", "groups", "alerts"):
            if name in data:
                return len(data[name])
    return len(data)


async def test_grafana_takes_it_for_a_prometheus_without_a_ruler() -> None:
    async with site() as client:
        async with client.get(f"{API}/status/flags") as response:
            assert response.status == 404
        for path in ("/", "/api/prometheus/", "/api/prometheus/-/healthy", "/api/prometheus/-/ready"):
            async with client.get(path) as response:
                assert response.status == 200


async def test_format_query_and_parse_query_answer_in_the_envelope() -> None:
    async with site() as client:
        async with client.get(f"{API}/format_query", params={"query": "foo/bar"}) as response:
            assert await response.json() == {"status": "success", "data": "foo / bar"}
        query = 'sum by (a) (rate(x{b="c"}[5m])) > bool on (a) group_left (d) -1 * y offset 1m'
        async with client.post(f"{API}/parse_query", data={"query": query}) as response:
            tree = (await response.json())["data"]
        assert (tree["type"], tree["op"], tree["bool"]) == ("binaryExpr", ">", True)
        assert tree["matching"] == {"card": "many-to-one", "labels": ["a"], "on": True, "include": ["d"]}
        rate = tree["lhs"]["expr"]
        assert rate["func"] == {"name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector"}
        selector = rate["args"][0]
        assert (selector["type"], selector["name"], selector["range"]) == ("matrixSelector", "x", 300_000)
        assert {"name": "b", "value": "c", "type": "="} in selector["matchers"]
        assert tree["rhs"]["rhs"]["offset"] == 60_000


async def test_a_tree_that_is_too_deep_for_json_is_an_error() -> None:
    async with site() as client, client.post(f"{API}/parse_query", data={"query": "1" + "+1" * 2000}) as response:
        assert response.status == 422
        assert (await response.json())["errorType"] == "execution"
