"""Whether services run: real listeners, real processes, and process tables that hide them."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from exporter.config import Config
from exporter.config import Host as HostConfig
from exporter.config import Inventory as InventoryConfig
from exporter.host.machine import Host
from exporter.host.services import ProcessCheck, ServiceCheck, TcpCheck, accepting, connected, parse_check
from exporter.source import open_source
from tests.host.machines import T_MS, machine, values
from tests.servers import Servers, wait_until


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with Servers(tmp_path) as running:
        yield running


def up(host: Host) -> dict[str, float]:
    return {service: value for (service,), value in values(host.at(T_MS)).get("service_up", {}).items()}


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("process:nginx", ProcessCheck("nginx")),
        ("process:nginx: master", ProcessCheck("nginx: master")),
        ("tcp:6379", TcpCheck(6379)),
        ("tcp:localhost:6379", TcpCheck(6379)),
        ("tcp:10.0.0.7:5432", TcpCheck(5432, "10.0.0.7")),
        ("tcp:[::1]:5432", TcpCheck(5432, "::1")),
    ],
)
def test_a_check_names_a_process_or_a_port(text: str, check: ServiceCheck) -> None:
    assert parse_check(text) == check


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        *[(text, "must be process:NAME, tcp:PORT or tcp:ADDRESS:PORT") for text in ("", "nginx", "process:", "tcp:")],
        *[(f"tcp:{port}", "with a port from 1 to 65535") for port in ("0", "65536", "-1", "x", "٣")],
        ("udp:53", "must be process:NAME"),
        ("tcp:db.example.com:5432", "address 'db.example.com': must be an IP address or localhost"),
    ],
)
def test_any_other_check_is_refused_with_the_rule(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        parse_check(text)


def test_settings_name_the_service_whose_check_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"service 'redis': check 'port 6379': must be process:NAME"):
        HostConfig(services={"redis": "port 6379"})


def test_settings_reach_the_machine(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        services = {"here": f"tcp:{listening.getsockname()[1]}"}
        inventory = InventoryConfig(url=f"sqlite:///{tmp_path}/inventory.db")
        config = Config(source="host", inventory=inventory, host=HostConfig(server="mine", services=services))
        with open_source(config) as source:
            assert source.register.servers()["mine"].services == ("here",)
            (column,) = [c for c in source.maker.at(T_MS).columns if c.index.metric == "openmanager_service_up"]
    assert (column.index.rows, list(column.values)) == ((("mine", "here"),), [1.0])


def test_a_server_is_up_while_it_listens(servers: Servers) -> None:
    redis = servers.redis()
    host = Host(services={"redis": TcpCheck(redis.port)})
    assert up(host) == {"redis": 1.0}
    redis.kill()
    assert up(host) == {"redis": 0.0}
    servers.redis(port=redis.port)
    assert up(host) == {"redis": 1.0}


def test_a_service_on_ipv6_is_found_and_a_bound_port_that_does_not_listen_is_none() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        checks = {"bound": TcpCheck(bound.getsockname()[1])}
        assert up(Host(services=checks)) == {"bound": 0.0}
    if socket.has_dualstack_ipv6():
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
            port = listening.getsockname()[1]
            assert up(Host(services={"six": TcpCheck(port, "::1"), "four": TcpCheck(port)})) == {
                "six": 1.0,
                "four": 0.0,
            }


@contextlib.contextmanager
def silent() -> Iterator[TcpCheck]:
    """A port that answers nobody: its queue is full."""
    with contextlib.ExitStack() as opened:
        listening = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            caller = opened.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listening.getsockname())
        yield TcpCheck(listening.getsockname()[1])


def test_ports_that_never_answer_cost_a_tick_one_patience_together() -> None:
    with silent() as one, silent() as two, silent() as three, socket.create_server(("127.0.0.1", 0)) as listening:
        alive = TcpCheck(listening.getsockname()[1])
        start = time.monotonic()
        found = accepting([one, two, three, alive], 0.2)
        took_s = time.monotonic() - start
    assert found == {one: False, two: False, three: False, alive: True}
    assert 0.2 <= took_s < 0.5


def test_a_port_that_answers_counts_however_late_the_answer_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        check = TcpCheck(listening.getsockname()[1])
        assert accepting([check], 0.0) == {check: True}


def test_a_port_that_calls_itself_accepts_nothing() -> None:
    """Loopback gives a caller any free port, and so now and then the one it calls."""
    with socket.socket() as alone:
        alone.bind(("127.0.0.1", 0))
        alone.connect(alone.getsockname())
        assert not connected(alone)


@pytest.fixture
def sleeper(tmp_path: Path) -> str:
    """A program with a name of its own; longer than the 15 characters that the kernel keeps."""
    path = tmp_path / f"sleeper-{tmp_path.parent.name[-8:]}-{tmp_path.name}"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", path)
    return str(path)


def test_a_process_is_up_while_one_of_its_name_lives(sleeper: str) -> None:
    name = Path(sleeper).name
    host = Host(services={"sleeper": ProcessCheck(name), "same": ProcessCheck(name), "other": ProcessCheck("no-such")})
    assert up(host) == {"sleeper": 0.0, "same": 0.0, "other": 0.0}
    with subprocess.Popen([sleeper, "60"]) as process:
        wait_until(lambda: up(host)["sleeper"] == 1.0, "the process to be seen")
        assert up(host) == {"sleeper": 1.0, "same": 1.0, "other": 0.0}
        process.kill()
        zombie = psutil.Process(process.pid)
        wait_until(lambda: zombie.status() == psutil.STATUS_ZOMBIE, "the process to end")
        assert up(host)["sleeper"] == 0.0  # though nobody has waited for it yet
    with subprocess.Popen([sleeper, "60"]) as process:
        wait_until(lambda: up(host)["sleeper"] == 1.0, "the next process to be seen")
        process.kill()
    assert up(host)["sleeper"] == 0.0


def test_the_process_table_is_read_only_for_what_is_not_known_to_run(sleeper: str) -> None:
    reads: list[int] = []

    def table() -> Iterator[psutil.Process]:
        reads.append(1)
        return psutil.process_iter()

    with subprocess.Popen([sleeper, "60"]) as process:
        wait_until(lambda: psutil.Process(process.pid).name() == Path(sleeper).name, "the program to run")
        host = Host(services={"sleeper": ProcessCheck(Path(sleeper).name)}, psutil=machine(process_iter=table))
        assert [up(host)["sleeper"] for _ in range(3)] == [1.0] * 3
        assert len(reads) == 1
        process.kill()
    assert up(host)["sleeper"] == 0.0
    assert len(reads) == 2


def test_a_service_nobody_may_know_of_is_absent_not_down(sleeper: str) -> None:
    """As with /proc mounted hidepid=2: only one's own processes are listed."""
    with subprocess.Popen([sleeper, "60"]) as process:
        wait_until(lambda: psutil.Process(process.pid).name() == Path(sleeper).name, "the program to run")
        own = psutil.Process(process.pid)
        there = machine(process_iter=lambda: iter([own]), POSIX=True)
        checks = {"own": ProcessCheck(own.name()), "hidden": ProcessCheck("postgres")}
        assert up(Host(services=checks, psutil=there)) == {"own": 1.0}
        process.kill()
