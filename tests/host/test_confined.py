"""The machine as nobody sees it, and as it is seen from within a container's namespaces."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.host.machine import Host
from tests.host.machines import T_MS, Machine, answering, values
from tests.host.test_host import Partition
from tests.servers import binary

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65_534
# loads everything, then becomes nobody: the interpreter itself may lie where only its owner may look
LOOK = f"""
import json, os, psutil, sys
from exporter.host.machine import Host
from exporter.host.services import ProcessCheck
from tests.host.machines import values
hosts = [Host("x", root=root, services={{"init": ProcessCheck("no-such"), "me": ProcessCheck(psutil.Process().name())}})
         for root in sys.argv[1:]]
if os.getuid() == 0:
    os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
for host in hosts:
    seen = values(host.at(0))
    seen["disk_usage_percent"] = sorted(mount for mount, in seen["disk_usage_percent"])
    seen["service_up"] = {{name: value for (name,), value in seen["service_up"].items()}}
    print(json.dumps({{name: value if isinstance(value, (list, dict)) and name in
        ("disk_usage_percent", "service_up") else len(value) for name, value in seen.items()}}))
"""


def looked(*roots: str, through: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """What nobody sees at some roots: how many series each metric has; mounts, and services with their state."""
    command = [*through, sys.executable, "-c", LOOK, *roots]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_nobody_sees_the_machine_as_its_owner_does() -> None:
    (seen,) = looked("/")
    own = {name: len(series) for name, series in values(Host("x").at(T_MS)).items()}
    assert own.keys() <= seen.keys()
    assert {name: seen[name] for name in own if name != "disk_usage_percent"} == {
        name: count for name, count in own.items() if name != "disk_usage_percent"
    }
    assert "/" in seen["disk_usage_percent"]
    assert seen["service_up"] == {"init": 0.0, "me": 1.0}


@pytest.fixture
def host() -> Iterator[Path]:
    """A folder that nobody may look into."""
    with tempfile.TemporaryDirectory(prefix="host-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def namespace(host: Path) -> tuple[str, ...]:
    """A command that runs another one in a container's namespaces: /proc is hidden, the machine's / is at `host`."""
    script = f'mount -o remount,hidepid=2 /proc && mount --rbind / {host} && "$@"; exit $?'
    command = (binary("unshare"), "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh")
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"namespaces are not permitted here: {tried.stderr.strip()}")
    return command


def test_from_within_a_container_a_service_that_is_hidden_is_absent(namespace: tuple[str, ...], host: Path) -> None:
    inside, through = looked("/", str(host), through=namespace)
    assert inside["service_up"] == {"me": 1.0}
    assert through["disk_usage_percent"][0] == "/"
    assert not any(mount.startswith(str(host)) for mount in through["disk_usage_percent"])
    assert inside["cpu_usage_percent"] == through["cpu_usage_percent"] > 0


def test_with_a_root_only_what_is_below_it_is_shown_and_under_its_own_name(tmp_path: Path) -> None:
    host, other = tmp_path / "host", tmp_path / "host-not"
    for folder in (host / "data", host / "proc", other):
        folder.mkdir(parents=True)
    (host / "proc" / "stat").touch()
    parts = [
        Partition("/dev/sda1", str(host), "ext4", ""),
        Partition("/dev/sdb1", str(host / "data"), "ext4", ""),
        Partition("/dev/sdc1", str(other), "ext4", ""),
    ]
    machine = Machine(disk_partitions=answering(parts))
    seen = values(Host(root=str(host), psutil=machine).at(T_MS))
    assert set(seen["disk_usage_percent"]) == {("/",), ("/data",)}
    assert str(host / "proc") == machine.PROCFS_PATH
