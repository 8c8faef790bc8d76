"""The two real processes on scratch files and free ports, as `make run` starts them."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.servers import Running, Servers, answers, free_port

# One rule file whose alerts need seconds instead of minutes.
QUICK_RULES = """
groups:
  - name: quick
    interval: 1s
    rules:
      - alert: CriticalCPUUsage
        expr: openmanager_cpu_usage_percent > 95
        for: 3s
        labels: {severity: critical}
        annotations:
          summary: "Critical CPU usage on {{ $labels.server }}"
          description: "CPU usage is {{ $value }}% on server {{ $labels.server }}"
"""


def scratch_env() -> dict[str, str]:
    """The environment without what a developer may have set for the real thing."""
    foreign = ("OPENMANAGER_", "SLACK_", "DATADOG_", "DD_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


class House:
    """Starts the exporter and the alerter on the same scratch state again and again."""

    def __init__(self, servers: Servers, storage_url: str, *, interval: str = "1s", source: str = "simulated") -> None:
        self.servers = servers
        self.folder = servers.folder
        self.exporter_port = free_port()
        self.alerter_port = free_port()
        self._storage_url = storage_url
        self._interval = interval
        self._source = source

    @property
    def exporter_url(self) -> str:
        return f"http://127.0.0.1:{self.exporter_port}"

    @property
    def alerter_url(self) -> str:
        return f"http://127.0.0.1:{self.alerter_port}"

    def exporter(self, *flags: str) -> Running:
        command = [
            *(sys.executable, "-m", "exporter"),
            *("--web.listen-address", f"127.0.0.1:{self.exporter_port}"),
            *("--storage.url", self._storage_url),
            *("--inventory.url", f"sqlite:///{self.folder / 'inventory.db'}"),
            *("--fleet.interval", self._interval),
            *("--source", self._source),
            *("--failures.rate", "0"),  # nothing goes wrong but what a test breaks
            *("--alerter.url", self.alerter_url),
            *flags,
        ]
        return self._start(command, self.exporter_port, {})

    def alerter(self, rules: str = QUICK_RULES, settings: str = "", env: Mapping[str, str] | None = None) -> Running:
        (self.folder / "rules.yml").write_text(rules)
        (self.folder / "alerter.yml").write_text(settings)
        command = [
            *(sys.executable, "-m", "alerter"),
            *("--config.file", str(self.folder / "alerter.yml")),
            *("--web.listen-address", f"127.0.0.1:{self.alerter_port}"),
            *("--datasource.url", f"{self.exporter_url}/api/prometheus"),
            *("--state.url", f"sqlite:///{self.folder / 'alerter.db'}"),
            *("--rules", str(self.folder / "rules.yml")),
        ]
        return self._start(command, self.alerter_port, env or {})

    def _start(self, command: list[str], port: int, env: Mapping[str, str]) -> Running:
        # the parent's variables are replaced, not only added to: a test never pages anybody
        names = dict.fromkeys(os.environ.keys() - scratch_env().keys(), "")
        return self.servers.start(
            command, port, lambda: answers(f"http://127.0.0.1:{port}/-/ready"), env={**names, **env}, timeout_s=20
        )


def fetch(url: str, *, method: str = "GET", body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
    """The JSON answer of a request."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers or {}))
    if data is not None:
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def page(url: str, headers: Mapping[str, str] | None = None) -> str:
    """The text of a page."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers or {})), timeout=10) as response:
        return str(response.read().decode())


def values(text: str, metric: str) -> dict[str, float]:
    """The samples of one metric in a page of text format: labels as written -> value."""
    found = {}
    for line in text.splitlines():
        if line.startswith((f"{metric}{{", f"{metric} ")):
            series, _, value = line.rpartition(" ")
            found[series.removeprefix(metric)] = float(value)
    return found


def query(prometheus: str, expression: str) -> list[Any]:
    """The result of an instant query at a Prometheus HTTP API."""
    from urllib.parse import urlencode

    answer = fetch(f"{prometheus}/api/v1/query?{urlencode({'query': expression})}")
    result: list[Any] = answer["data"]["result"]
    return result


def scratch(folder: Path, name: str) -> str:
    """A SQLite URL in the scratch folder."""
    return f"sqlite:///{folder / name}"
