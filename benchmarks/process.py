"""An exporter process with scratch files, as a user starts it."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

METRICS = "/api/prometheus/metrics"


@dataclass(frozen=True, slots=True)
class Exporter:
    """A running exporter: where it listens, and how long it took until its first page."""

    port: int
    process: subprocess.Popen[bytes]
    first_page_s: float

    def resident_mb(self) -> float:
        """Resident memory in megabytes (1e6 bytes)."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6

    def cpu_s(self) -> float:
        """Processor time used so far, in seconds."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def get(self, path: str) -> bytes:
        """The body of a GET. Raises RuntimeError if the status is not 200."""
        status, body = self._answer(path)
        if status != http.client.OK:
            raise RuntimeError(f"GET {path}: {status}")
        return body

    def status(self, path: str) -> int:
        """The status of a GET."""
        return self._answer(path)[0]

    def _answer(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


@contextmanager
def exporter(folder: Path, *flags: str, asked: str = METRICS) -> Iterator[Exporter]:
    """Starts one and waits for its first page: of metrics, or the one that is asked for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "exporter", "--web.listen-address", f"127.0.0.1:{port}"),
        *("--storage.url", f"sqlite:///{folder / 'samples.db'}"),
        *("--inventory.url", f"sqlite:///{folder / 'inventory.db'}"),
        *("--log.level", "warning", *flags),
    ]
    started = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ})
    try:
        yield Exporter(port, process, _first_page(process, port, started, asked))
    finally:
        process.terminate()
        process.wait(20)


def _first_page(process: subprocess.Popen[bytes], port: int, started: float, asked: str) -> float:
    probe = Exporter(port, process, 0.0)
    while process.poll() is None and time.perf_counter() - started < 60:
        try:
            if probe.get(asked):
                return time.perf_counter() - started
        except (OSError, RuntimeError):
            time.sleep(0.005)
    raise RuntimeError("the exporter did not answer")
