"""A real Prometheus discovers the fleet and watches its servers fail, each in its own way."""

from __future__ import annotations

import urllib.request

from tests.process.house import House, fetch, query, scratch
from tests.servers import Running, Servers, wait_until

SCRAPE = """
global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
scrape_configs:
  - job_name: fleet
    http_sd_configs: [{{url: "{url}/api/prometheus/sd", refresh_interval: 1s}}]
"""


def up(prometheus: Running, server: str) -> str:
    """The last value of `up`, "" without one."""
    rows = query(prometheus.url, f'up{{instance="{server}"}}')
    return str(rows[0]["value"][1]) if rows else ""


def error_of(prometheus: Running, server: str) -> str:
    targets = fetch(f"{prometheus.url}/api/v1/targets")["data"]["activeTargets"]
    return next(str(target["lastError"]) for target in targets if target["labels"]["instance"] == server)


def series(prometheus: Running, server: str) -> int:
    return len(query(prometheus.url, f'openmanager_memory_used_bytes{{server="{server}"}}'))


def clear(house: House, failure: str) -> None:
    request = urllib.request.Request(f"{house.exporter_url}/api/scenarios/{failure}", method="DELETE")
    with urllib.request.urlopen(request, timeout=10):
        pass


def test_twenty_targets_are_found_and_one_that_fails_is_down_until_it_is_back(servers: Servers) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"))
    house.exporter()
    prometheus = servers.prometheus(SCRAPE.format(url=house.exporter_url))
    wait_until(lambda: len(query(prometheus.url, "up == 1")) == 20, "20 targets that are up")
    (found,) = query(prometheus.url, 'up{instance="web-01"}')
    assert {"role": "web", "environment": "production"}.items() <= found["metric"].items()
    broken = {
        "web-01": ("server-down", ("EOF", "connection reset", "closed")),
        "api-01": ("scrape-down", ("503",)),
        "db-01": ("scrape-slow", ("deadline exceeded",)),
        "cache-01": ("scrape-truncated", ("unexpected EOF",)),
    }
    for server, (scenario, _) in broken.items():
        body = {"type": scenario, "targets": [server], "ttl": "10m", "id": server}
        fetch(f"{house.exporter_url}/api/scenarios", method="POST", body=body)
    for server, (_, reasons) in broken.items():
        wait_until(lambda server=server: up(prometheus, server) == "0", f"{server} down")  # type: ignore[misc]  # bound
        assert any(reason in error_of(prometheus, server) for reason in reasons), error_of(prometheus, server)
        wait_until(lambda server=server: series(prometheus, server) == 0, "staleness")  # type: ignore[misc]  # bound
        own = f'openmanager_memory_used_bytes{{server="{server}"}}'
        assert query(f"{house.exporter_url}/api/prometheus", own) == []
    assert len(query(prometheus.url, "up == 1")) == 16
    for server in broken:
        clear(house, server)
    wait_until(lambda: len(query(prometheus.url, "up == 1")) == 20, "all back")
    assert series(prometheus, "web-01") == 1
