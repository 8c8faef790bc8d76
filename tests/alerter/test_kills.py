"""SIGKILL at random moments, while receivers fail in every way: nothing lost, nothing doubled without a reason.

There are two reasons: the receiver had accepted and the alerter was killed before it could write that down, or the
receiver accepted and dropped the connection, so that nobody could know.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from tests.alerter.receivers import Drop, FakeDatadog, FakeReceiver, FakeWebhook, Fault, Reset, Status, Taking
from tests.servers import Running, Servers, answers, free_port, wait_until

RUN_S = 16.0
WRITTEN_WITHIN_S = 1.0
"""Longer than it takes from an acceptance to the end of the transaction that records it, on a busy machine."""
IN_FLIGHT_S = 0.25
"""A busy receiver takes a message so long after its sender was killed; the next life takes longer to begin."""

FAULTS: tuple[Fault, ...] = (
    Status(500),
    Status(503, "<html>"),
    Status(429, '{"retry_after":1}', {"Retry-After": "1"}),
    Status(429),
    Drop(),
    Drop(accepts=True),
    Reset(),
)
Told: TypeAlias = tuple[str, str]
"""A server, and firing or resolved."""


class Fleet:
    """A Prometheus in which exactly the servers in `hot` are hot."""

    def __init__(self) -> None:
        self.hot: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _prometheus(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Fleet:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _prometheus(fleet: Fleet) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kind = "matrix" if self.path.endswith("_range") else "vector"
            hot = () if kind == "matrix" else sorted(fleet.hot)
            result = [{"metric": {"server": name}, "value": [time.time(), "97.5"]} for name in hot]
            body = json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()
            with contextlib.suppress(OSError):  # it was killed while it asked
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


class Mortal:
    """An alerter that is killed and started again; `kills` are the times of the former."""

    def __init__(self, servers: Servers, folder: Path, fleet: Fleet, webhook: FakeReceiver, datadog: FakeReceiver):
        self._servers = servers
        rules, self._config = folder / "rules.yml", folder / "alerter.yml"
        alert = {"alert": "Hot", "expr": "cpu > 80", "labels": {"severity": "critical"}}
        rules.write_text(yaml.safe_dump({"groups": [{"name": "cpu", "interval": "200ms", "rules": [alert]}]}))
        settings = {
            "rules": [str(rules)],
            "state": {"url": f"sqlite:///{folder / 'state.db'}"},
            "datasource": {"url": fleet.url},
            "datadog": {"api_url": datadog.url, "series": {}},
        }
        self._config.write_text(yaml.safe_dump(settings))
        self._environment = {
            "ALERT_WEBHOOK_URL": f"{webhook.url}/hook",
            "DD_API_KEY": "0123456789abcdef0123456789abcdef",
        }
        self.kills: list[float] = []

    def start(self) -> Running:
        port = free_port()
        command = [sys.executable, "-m", "alerter", "--config.file", str(self._config)]
        command += ["--web.listen-address", f"127.0.0.1:{port}"]
        url = f"http://127.0.0.1:{port}"
        return self._servers.start(command, port, lambda: answers(f"{url}/-/ready"), url=url, env=self._environment)

    def live_and_die(self, chance: random.Random, until: float) -> None:
        """Lives of up to two seconds, one after the other."""
        while time.monotonic() < until:
            running = self.start()
            time.sleep(chance.uniform(0.0, 2.0))
            self.kills.append(time.monotonic())
            running.kill()


def tellings(takings: Sequence[Taking]) -> Iterator[tuple[Told, Taking]]:
    """What each message said, one server at a time."""
    for taking in list(takings):
        for server, state in _said(taking.body):
            yield (server, state), taking


def _said(body: Any) -> list[Told]:
    if "alerts" in body:
        return [(alert["labels"]["server"], alert["status"]) for alert in body["alerts"]]
    if "title" not in body:
        return []  # a service check
    server = next(tag.partition(":")[2] for tag in body["tags"] if tag.startswith("server:"))
    return [(server, "resolved" if body["alert_type"] == "success" else "firing")]


def told(receivers: Sequence[FakeReceiver], what: Told) -> bool:
    return all(any(each == what for each, _ in tellings(receiver.takings)) for receiver in receivers)


def drive(fleet: Fleet, receivers: Sequence[FakeReceiver], chance: random.Random, until: float) -> list[str]:
    """Incidents, three at a time: each lasts until everybody knows of it. Returns their servers."""
    names: list[str] = []
    open_: set[str] = set()
    due = {receiver.port: 0 for receiver in receivers}
    while time.monotonic() < until:
        for name in [name for name in open_ if told(receivers, (name, "firing"))]:
            fleet.hot.discard(name)
            if told(receivers, (name, "resolved")):
                open_.discard(name)
        while len(open_) < 3:
            names.append(f"web-{len(names):02d}")
            open_.add(names[-1])
            fleet.hot.add(names[-1])
        for receiver in receivers:  # one fault in two requests: a heap of them would outlast the test
            if len(receiver.requests) >= due[receiver.port]:
                receiver.script(chance.choice(FAULTS))
                due[receiver.port] = len(receiver.requests) + 2
        time.sleep(0.03)
    return names


def unexplained(taken: Sequence[Taking], kills: Sequence[float]) -> list[Taking]:
    """Acceptances after which the same was sent again though the alerter had time to write them down."""
    return [
        taking
        for taking in taken[:-1]
        if not taking.unanswered and not any(-IN_FLIGHT_S <= kill - taking.at < WRITTEN_WITHIN_S for kill in kills)
    ]


def _story(what: Told, takings: Sequence[Taking], kills: Sequence[float]) -> str:
    """When each was taken and when the alerter was killed, in seconds since the first taking."""
    begin = takings[0].at
    taken = [f"{taking.at - begin:.2f}{' unanswered' if taking.unanswered else ''}" for taking in takings]
    return f"{what} taken at {', '.join(taken)}; killed at {', '.join(f'{kill - begin:.2f}' for kill in kills)}"


def evaluations(running: Running) -> float:
    with urllib.request.urlopen(f"{running.url}/metrics", timeout=5) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if "_group_evaluations_total{" in line)


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """A folder whose fsync does not wait for a disk that other tests keep busy: what is killed here is a process."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        yield Path(folder)


@pytest.mark.parametrize("seed", [1])
def test_killed_at_random_moments_it_loses_nothing_and_doubles_nothing_it_knew(
    servers: Servers, memory_folder: Path, seed: int
) -> None:
    chance = random.Random(seed)
    with Fleet() as fleet, FakeWebhook() as webhook, FakeDatadog() as datadog:
        receivers = (webhook, datadog)
        mortal = Mortal(servers, memory_folder, fleet, webhook, datadog)
        until = time.monotonic() + RUN_S
        reaper = threading.Thread(target=mortal.live_and_die, args=(random.Random(seed + 1), until))
        reaper.start()
        names = drive(fleet, receivers, chance, until)
        reaper.join()
        last = mortal.start()
        wait_until(lambda: all(told(receivers, (name, "firing")) for name in names), "every beginning")
        fleet.hot.clear()
        wait_until(lambda: all(told(receivers, (name, "resolved")) for name in names), "every end")
        seen = evaluations(last)
        wait_until(lambda: evaluations(last) > seen + 3, "three more evaluations")
        assert last.interrupt() == 0
        for receiver in receivers:
            taken: dict[Told, list[Taking]] = {}
            for what, taking in tellings(receiver.takings):
                taken.setdefault(what, []).append(taking)
            assert set(taken) == {(name, state) for name in names for state in ("firing", "resolved")}
            for what, takings in taken.items():
                assert unexplained(takings, mortal.kills) == [], _story(what, takings, mortal.kills)
        assert len(names) >= 3, "there was something to tell"
        assert len(mortal.kills) >= 4
