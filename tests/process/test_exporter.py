"""The exporter as a process: scraped by a real Prometheus, killed, started again."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.process.house import House, fetch, page, query, scratch, values
from tests.servers import Running, Servers, binary, wait_until

METRICS = "/api/prometheus/metrics"
SCRAPE = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}/*.yml"]
scrape_configs:
  - job_name: openmanager-metrics
    metrics_path: /api/prometheus/metrics
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
RULES = Path(__file__).resolve().parents[2] / "rules"


@pytest.fixture(params=["sqlite", "redis"])
def house(request: pytest.FixtureRequest, servers: Servers) -> House:
    """The processes' scratch state, samples in SQLite or in a real Redis."""
    url = scratch(servers.folder, "samples.db") if request.param == "sqlite" else servers.redis().url
    return House(servers, url)


def test_a_real_prometheus_scrapes_it_without_a_failure(house: House) -> None:
    house.exporter()
    prometheus = house.servers.prometheus(SCRAPE.format(port=house.exporter_port, rules=RULES))
    wait_until(
        lambda: [row["value"][1] for row in query(prometheus.url, "count_over_time(up[1m])")] >= ["6"], "six scrapes"
    )
    assert [row["value"][1] for row in query(prometheus.url, "min_over_time(up[1m])")] == ["1"]
    (target,) = fetch(f"{prometheus.url}/api/v1/targets")["data"]["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    (scraped,) = query(prometheus.url, "scrape_samples_scraped")
    assert float(scraped["value"][1]) > 1_000
    assert len(query(prometheus.url, "count by (server) (openmanager_cpu_load_average_1m)")) == 20
    rules = fetch(f"{prometheus.url}/api/v1/rules")["data"]["groups"]
    names = {rule["name"] for group in rules for rule in group["rules"]}
    assert {"HighCPUUsage", "CriticalCPUUsage", "HighMemoryUsage", "HighDiskUsage", "DiskWillFill"} <= names


def test_what_prometheus_has_scraped_the_exporter_answers_too(house: House) -> None:
    house.exporter()
    prometheus = house.servers.prometheus(SCRAPE.format(port=house.exporter_port, rules=RULES))
    expression = "sum by (server) (openmanager_memory_total_bytes)"
    wait_until(lambda: len(query(prometheus.url, expression)) == 20, "a scrape")
    ours = {
        row["metric"]["server"]: row["value"][1] for row in query(f"{house.exporter_url}/api/prometheus", expression)
    }
    theirs = {row["metric"]["server"]: row["value"][1] for row in query(prometheus.url, expression)}
    assert ours == theirs


def counters(house: House) -> dict[str, float]:
    return values(page(house.exporter_url + METRICS), "openmanager_network_receive_bytes_total")


def telemetry(house: House, name: str) -> float:
    return values(page(house.exporter_url + METRICS), f"openmanager_exporter_{name}")[""]


@pytest.mark.parametrize("end", [Running.kill, Running.stop, Running.interrupt], ids=["kill -9", "SIGTERM", "Ctrl-C"])
def test_a_second_start_continues_whatever_ended_the_first(house: House, end: Callable[[Running], object]) -> None:
    running = house.exporter()
    api = f"{house.exporter_url}/api/prometheus"
    wait_until(lambda: _samples(api, "openmanager_swap_used_bytes") >= 3, "three ticks kept")
    before, kept = counters(house), _samples(api, "openmanager_swap_used_bytes")
    wait_until(lambda: telemetry(house, "storage_pending_bytes") == 0, "what was counted to be written")
    end(running)
    again = house.exporter()
    after = counters(house)
    assert "refused" not in again.output()
    assert before.keys() == after.keys()
    assert all(after[series] >= before[series] for series in before)
    assert _samples(api, "openmanager_swap_used_bytes") >= kept
    (reset,) = query(api, "sum(resets(openmanager_network_receive_bytes_total[5m]))")
    assert reset["value"][1] == "0"


def _samples(api: str, metric: str) -> float:
    rows = query(api, f'count_over_time({metric}{{server="web-01"}}[5m])')
    return float(rows[0]["value"][1]) if rows else 0.0


def test_an_incident_survives_a_kill(servers: Servers) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"))
    running = house.exporter()
    body = {"type": "cpu-saturation", "targets": ["web-01"], "duration": "10m", "id": "mine"}
    fetch(f"{house.exporter_url}/api/scenarios", method="POST", body=body)
    running.kill()
    house.exporter()
    (active,) = fetch(f"{house.exporter_url}/api/scenarios")["active"]
    assert (active["id"], active["targets"]) == ("mine", ["web-01"])


def test_the_fleets_families_pass_promtool_but_for_what_their_names_force(servers: Servers) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"))
    house.exporter()
    ran = subprocess.run(
        [binary("promtool"), "check", "metrics"],
        input=page(house.exporter_url + METRICS),
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in (ran.stdout + ran.stderr).splitlines() if "openmanager_" in line]
    forced = ("_percent", "_1m", "_5m", "_15m")
    unforced = [line for line in complaints if not any(name in line for name in forced)]
    assert unforced == []


def test_it_ticks_while_redis_is_away_and_keeps_what_it_made(servers: Servers) -> None:
    redis = servers.redis()
    house = House(servers, redis.url)
    house.exporter()
    api = f"{house.exporter_url}/api/prometheus"
    wait_until(lambda: _samples(api, "openmanager_swap_used_bytes") >= 2, "two ticks")
    redis.kill()
    before = _samples(api, "openmanager_swap_used_bytes")
    wait_until(lambda: _samples(api, "openmanager_swap_used_bytes") >= before + 3, "ticks without Redis")
    servers.redis(port=redis.port)
    wait_until(lambda: telemetry(house, "storage_up") == 1, "Redis back")
    wait_until(lambda: telemetry(house, "storage_pending_bytes") == 0, "everything written")
    assert telemetry(house, "storage_samples_lost_total") == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--web.listen-address", "127.0.0.1:{taken}"],
            "web.listen_address: 127.0.0.1:{taken}: Address already in use",
        ),
        (["--storage.url", "sqlite:////proc/nowhere/x.db"], "storage.url: "),
        (["--inventory.url", "sqlite:////proc/nowhere/x.db"], "inventory.url: "),
        (["--web.config.file", "/nowhere/web.yml"], "web.config.file: /nowhere/web.yml: "),
        (["--fleet.servers", "0"], "--fleet.servers: '0': "),
        (["--query.timeout", "0s"], "--query.timeout: timeout '0s': must be longer than 0"),
    ],
)
def test_what_it_cannot_start_with_is_one_line_and_exit_code_2(
    servers: Servers, flags: list[str], message: str
) -> None:
    taken = str(servers.redis().port)
    defaults = ["--storage.url", "memory:", "--inventory.url", scratch(servers.folder, "inventory.db")]
    command = [sys.executable, "-m", "exporter", *defaults, *(flag.replace("{taken}", taken) for flag in flags)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd=servers.folder)
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"openmanager-exporter: {message.replace('{taken}', taken)}")


def test_the_limits_of_queries_are_settings(servers: Servers) -> None:
    house = House(servers, "memory:")
    house.exporter("--query.max-samples", "30", "--query.lookback-delta", "1ms", "--query.cache-mb", "0")
    api = f"{house.exporter_url}/api/prometheus/api/v1"
    with pytest.raises(urllib.error.HTTPError, match="422"):
        fetch(f"{api}/query_range?query=vector(1)&start=0&end=100&step=1")
    for _ in range(2):
        assert fetch(f"{api}/query_range?query=vector(1)&start=0&end=10&step=1")["data"]["result"]
    assert fetch(f"{api}/query?query=openmanager_server_info")["data"]["result"] == []
    assert telemetry(house, "query_cache_bytes") == 0
    assert telemetry(house, "query_cache_hits_total") == 0


def test_a_redis_that_is_not_there_is_waited_for(servers: Servers) -> None:
    from tests.servers import free_port

    port = free_port()
    house = House(servers, f"redis://:hunter2@127.0.0.1:{port}/0")
    running = house.exporter()
    assert telemetry(house, "storage_up") == 0
    assert "hunter2" not in running.output()
    assert "store is away" in running.output()
