"""Real servers for tests: started on free loopback ports, waited for, ended by process id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pytest


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def binary(*names: str) -> str:
    """The path of the first of these programs that is installed.

    Missing: the test fails where REQUIRE_SERVICES=1, else it is skipped with the program's name.
    """
    for name in names:
        if path := shutil.which(name) or _debian_postgres(name):
            return path
    message = f"{names[0]} is not installed"
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(message)
    pytest.skip(message)


def _debian_postgres(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else None


def wait_until(true: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Returns once `true()`; fails the test with `what` after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"timed out after {timeout_s:g} s waiting for {what}")
        time.sleep(0.02)


def answers(url: str) -> bool:
    """Whether a GET of the URL is answered with 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return 200 <= int(response.status) < 300
    except (OSError, urllib.error.URLError):
        return False


def connects(port: int) -> bool:
    """Whether something on loopback accepts connections at the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Running:
    """A server that runs: its process, where it listens and where its output goes."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    url: str

    def output(self) -> str:
        """All it has printed so far."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 20.0) -> int:
        """SIGTERM, and wait for its exit code."""
        self.process.terminate()
        return self.process.wait(timeout_s)

    def interrupt(self, timeout_s: float = 20.0) -> int:
        """SIGINT, as Ctrl-C sends it, and wait for its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout_s)


class Servers:
    """Starts servers with scratch files under one folder; leaving the context ends them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[Running] = []
        self._scratch: list[Path] = []

    def __enter__(self) -> Servers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for running in reversed(self._running):
            if running.process.poll() is None:
                running.process.terminate()
        for running in reversed(self._running):
            try:
                running.process.wait(10)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()
        for folder in self._scratch:
            shutil.rmtree(folder, ignore_errors=True)

    def start(
        self,
        command: Sequence[str],
        port: int,
        ready: Callable[[], bool],
        *,
        url: str = "",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout_s: float = 30.0,
    ) -> Running:
        """Start a command and wait until `ready()`; fails with its output if it ends or is not ready in time."""
        log = self.folder / f"{Path(command[0]).name}-{port}-{len(self._running)}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                list(command),
                stdout=sink,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(env or {})},
                cwd=cwd,
            )
        running = Running(process, port, log, url or f"http://127.0.0.1:{port}")
        self._running.append(running)
        deadline = time.monotonic() + timeout_s
        while not ready():
            if process.poll() is not None:
                pytest.fail(f"{command[0]} ended with {process.returncode}:\n{running.output()[-4000:]}")
            if time.monotonic() > deadline:
                pytest.fail(f"{command[0]} was not ready in {timeout_s:g} s:\n{running.output()[-4000:]}")
            time.sleep(0.02)
        return running

    def redis(self, *options: str, port: int | None = None) -> Running:
        """A redis-server without persistence, unless options say otherwise."""
        port = port or free_port()
        folder = self.folder / f"redis-{port}"
        folder.mkdir(exist_ok=True)
        command = [
            binary("redis-server"),
            *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--save", "", "--appendonly", "no", *options),
        ]
        return self.start(command, port, lambda: connects(port), url=f"redis://127.0.0.1:{port}/0")

    def prometheus(self, config: str, *options: str) -> Running:
        """A Prometheus with this configuration text and a scratch TSDB."""
        port = free_port()
        folder = self.folder / f"prometheus-{port}"
        folder.mkdir()
        (folder / "prometheus.yml").write_text(config)
        command = [
            binary("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            *options,
        ]
        url = f"http://127.0.0.1:{port}"
        return self.start(command, port, lambda: answers(f"{url}/-/ready"), url=url)

    def alertmanager(self) -> Running:
        """An Alertmanager by itself that tells nobody."""
        port = free_port()
        folder = self.folder / f"alertmanager-{port}"
        folder.mkdir()
        (folder / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
        command = [
            binary("prometheus-alertmanager", "alertmanager"),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        url = f"http://127.0.0.1:{port}"
        return self.start(command, port, lambda: answers(f"{url}/-/ready"), url=url)

    def postgresql(self) -> Running:
        """A PostgreSQL cluster made for this test; database `postgres`, user `openmanager`, trusted on loopback."""
        port = free_port()
        folder = Path(tempfile.mkdtemp(prefix="postgresql-"))  # pytest's own folders are closed to other users
        self._scratch.append(folder)
        as_user: tuple[str, ...] = ()
        if os.geteuid() == 0:  # postgres refuses to run as root; the package brings the user
            as_user = (binary("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups", "--")
            shutil.chown(folder, "postgres")
        data = str(folder / "data")
        initdb = [
            *as_user,
            binary("initdb"),
            "-D",
            data,
            "-U",
            "openmanager",
            "--auth=trust",
            "-N",
            "-E",
            "UTF8",
        ]
        subprocess.run(initdb, check=True, capture_output=True, cwd="/")
        command = [
            *as_user,
            binary("postgres"),
            *("-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1"),
            *("-c", f"unix_socket_directories={folder}", "-c", "fsync=off"),
        ]
        url = f"postgresql://openmanager@127.0.0.1:{port}/postgres"
        ready = [*as_user, binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        return self.start(
            command,
            port,
            lambda: subprocess.run(ready, check=False, cwd="/").returncode == 0,
            url=url,
            cwd=Path("/"),
        )

    def node_exporter(self, *options: str) -> Running:
        """A node_exporter of this machine, seeing every interface, device and mount."""
        port = free_port()
        command = [
            binary("prometheus-node-exporter", "node_exporter"),
            f"--web.listen-address=127.0.0.1:{port}",
            *("--collector.diskstats.device-exclude=^$", "--collector.filesystem.mount-points-exclude=^$"),
            *options,
        ]
        url = f"http://127.0.0.1:{port}"
        return self.start(command, port, lambda: answers(f"{url}/metrics"), url=url)
