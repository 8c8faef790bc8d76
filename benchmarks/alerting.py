"""The alerter as those who are woken meet it: a round of many rules, the way to Slack, templates, memory."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil

from alerter.datasource.expansion import RuleTemplates, graph_link
from alerter.datasource.querier import Querier, Query
from alerter.decisions.evaluation import Element
from alerter.loops.group_loop import GroupLoop, Surroundings
from alerter.rules.rules import AlertRule, Group
from alerter.state.board import Board
from benchmarks.figure import Figure
from benchmarks.process import exporter

RULES, GROUPS, ROUNDS = 1_000, 20, 5
RENDERS = 5_000
INCIDENTS = 20
KEY = "0123456789abcdef0123456789abcdef"


def figures() -> Iterator[Figure]:
    """A round of rules against a running exporter, then a whole alerter between a datasource and its receivers."""
    with tempfile.TemporaryDirectory() as folder:
        with exporter(Path(folder), "--fleet.interval", "1s") as running:
            rounds = asyncio.run(_rounds(f"http://127.0.0.1:{running.port}/api/prometheus"))
        yield Figure(
            f"a round of {RULES} rules, {GROUPS} groups, over HTTP (median)", statistics.median(rounds), "s", 2.0
        )
    renders = [_render_s() for _ in range(ROUNDS)]
    yield Figure(f"a text with three values (median of {ROUNDS})", statistics.median(renders) * 1e6, "µs", 20.0)
    with tempfile.TemporaryDirectory() as folder:
        yield from _told(Path(folder))


# -- a round ------------------------------------------------------------------------------------


async def _rounds(url: str) -> list[float]:
    """Seconds of each round: all groups at once, the rules of a group one after the other."""
    async with Querier(url, 30.0) as querier:
        loops = [GroupLoop(group, _surroundings(querier.instant)) for group in _groups()]
        took = []
        for _ in range(ROUNDS):
            await asyncio.sleep(1.0)
            began, t = time.perf_counter(), time.time()
            await asyncio.gather(*(loop.evaluate(t) for loop in loops))
            took.append(time.perf_counter() - began)
        if failed := [run.last_error for loop in loops for run in loop.runs if run.last_error]:
            raise RuntimeError(f"rule not evaluated: {failed[0]}")
        return took


def _groups() -> Iterator[Group]:
    """Rules over the fleet's series, most of which find nothing; one in ten looks at rates."""
    names = ("cpu_usage_percent", "memory_usage_percent", "disk_usage_percent", "service_up")
    for number in range(GROUPS):
        rules = []
        for index in range(RULES // GROUPS):
            metric = f"openmanager_{names[index % len(names)]}"
            expr = f"{metric} > {90 + index}"
            if index % 10 == 0:
                expr = f"sum by (server) (rate(openmanager_http_requests_total[5m])) > {10_000 + index}"
            rules.append(AlertRule(f"A{index}", expr, annotations=(("summary", "{{ $labels.server }}"),)))
        yield Group(f"g{number}", "bench.yml", 15.0, tuple(rules))


def _surroundings(query: Query) -> Surroundings:
    return Surroundings(
        query=query,
        templates=_templates(query),
        board=Board(),
        saved=lambda loop, t, steps: None,
        now=time.time,
        sleep=asyncio.sleep,
        link=lambda expr: graph_link("http://localhost:3002", expr),
    )


def _templates(query: Query) -> RuleTemplates:
    return RuleTemplates(query, external_labels={}, external_url="http://localhost:3002", timeout_s=30.0)


# -- templates ----------------------------------------------------------------------------------


async def _nothing(expr: str, t: float) -> list[Element]:
    return []


def _render_s() -> float:
    """Seconds for one text of a rule."""
    text = '{{ $labels.server }}: {{ $value | printf "%.1f" }}% of {{ $labels.mount }}'
    rule = AlertRule("A", "up", annotations=(("summary", text),))
    expand = _templates(_nothing).expander(rule, 1_000.0)
    element = Element((("mount", "/data"), ("server", "web-01")), 97.53)
    if (shown := expand(text, element)) != "web-01: 97.5% of /data":
        raise RuntimeError(f"not what was meant: {shown}")
    began = time.perf_counter()
    for _ in range(RENDERS):
        expand(text, element)
    return (time.perf_counter() - began) / RENDERS


# -- from an evaluation to its message ----------------------------------------------------------


class Scene:
    """A datasource that finds `hot` servers, and Slack and Datadog, which note when they were called."""

    def __init__(self) -> None:
        self.hot: list[str] = []
        self.found_at: dict[str, float] = {}
        self.slack_at: list[float] = []
        self.events = 0

    def query(self, path: str) -> bytes:
        hot = [] if path.endswith("_range") else list(self.hot)
        kind = "matrix" if path.endswith("_range") else "vector"
        result = [{"metric": {"server": name}, "value": [time.time(), "97.5"]} for name in hot]
        for name in hot:
            self.found_at.setdefault(name, time.perf_counter())
        return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()

    def answer(self, path: str) -> tuple[int, bytes]:
        if path.startswith("/slack"):
            self.slack_at.append(time.perf_counter())
            return 200, b"ok"
        if path.startswith("/api/v1/query"):
            return 200, self.query(path)
        self.events += path.startswith("/api/v1/events")
        return 202, b'{"status":"ok"}'


@contextmanager
def _served(answer: Callable[[str], tuple[int, bytes]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextmanager
def _alerter(folder: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    rule = {"alert": "Hot", "expr": "openmanager_cpu_usage_percent > 95", "labels": {"severity": "critical"}}
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "interval": "250ms", "rules": [rule]}]}))
    settings = {"rules": [str(folder / "rules.yml")], "datadog": {"api_url": url, "interval": "1s"}}
    (folder / "alerter.yml").write_text(json.dumps(settings))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "alerter", "--config.file", str(folder / "alerter.yml"), "--datasource.url", url),
        *("--state.url", f"sqlite:///{folder / 'state.db'}", "--web.listen-address", f"127.0.0.1:{port}"),
        *("--log.level", "warning"),
    ]
    process = subprocess.Popen(
        command,
        env={**os.environ, "SLACK_WEBHOOK_URL": f"{url}/slack", "DD_API_KEY": KEY},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _told(folder: Path) -> Iterator[Figure]:
    scene, took = Scene(), []
    with _served(scene.answer) as url, _alerter(folder, url) as process:
        for number in range(INCIDENTS):
            scene.hot.append(f"web-{number:02d}")
            _wait(lambda: len(scene.slack_at) > number, process)  # noqa: B023 (used at once)
            took.append(scene.slack_at[number] - scene.found_at[scene.hot[number]])
            time.sleep(1.2)  # past the pace of one message a second
        _wait(lambda: scene.events >= INCIDENTS, process)
        resident = psutil.Process(process.pid).memory_info().rss / 1e6
    yield Figure(f"evaluation to Slack's request (median of {INCIDENTS})", statistics.median(took) * 1e3, "ms", 100.0)
    yield Figure("evaluation to Slack's request (worst, the first included)", max(took) * 1e3, "ms")
    yield Figure("resident memory of the alerter, sending to Slack and Datadog", resident, "MB", 60.0)


def _wait(true: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the alerter did not tell")
        time.sleep(0.002)
