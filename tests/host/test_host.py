"""The machine it runs on, in the fleet's catalogue: against psutil, against laws, and where a platform lacks things."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import catalogue
from exporter.host.machine import Host, server_name
from exporter.model import Family, MetricType
from exporter.simulation.fleet import make_fleet
from exporter.simulation.simulator import Simulator
from tests.host.machines import T_MS, answering, machine, raising, values

Times = namedtuple("Times", "user system idle iowait guest")
Partition = namedtuple("Partition", "device mountpoint fstype opts")
Usage = namedtuple("Usage", "total used free percent")
Disk = namedtuple("Disk", "read_count write_count read_bytes write_bytes")
Memory = namedtuple("Memory", "total available")


def test_names_types_and_labels_are_those_of_a_simulated_server() -> None:
    simulated = Simulator(make_fleet(1), seed=1).at(T_MS).columns
    known = {column.index.metric: (column.index.family, column.index.label_names) for column in simulated}
    own = {item for item in vars(catalogue).values() if isinstance(item, Family)}
    columns = Host(services={}).at(T_MS).columns
    assert len({column.index.metric for column in columns}) == len(columns)
    for column in columns:
        assert column.index.family in own
        assert (column.index.family, column.index.label_names) == known[column.index.metric]


def test_this_machine_shows_all_but_what_a_fleet_has() -> None:
    shown = {column.index.metric for column in Host().at(T_MS).columns}
    assert shown >= {
        f"openmanager_{name}"
        for name in (
            *("cpu_usage_percent", "cpu_load_average_1m", "cpu_load_average_5m", "cpu_load_average_15m"),
            *("cpu_context_switches_total", "memory_usage_percent", "memory_used_bytes", "memory_total_bytes"),
            *("memory_available_bytes", "swap_used_bytes", "disk_usage_percent", "boot_time_seconds", "server_info"),
        )
    }
    assert not any("http" in name or "incident" in name or "service" in name for name in shown)


def test_every_series_is_of_the_server_that_was_named() -> None:
    snapshot = Host("db-7", "staging").at(T_MS)
    assert snapshot.t_ms == T_MS
    assert {row[0] for column in snapshot.columns for row in column.index.rows} == {"db-7"}
    assert {column.index.rows[0][0] for column in Host().at(T_MS).columns} == {server_name(socket.gethostname())}
    assert values(snapshot)["server_info"] == {("host", "staging", "false"): 1.0}


@pytest.mark.parametrize(
    ("hostname", "name"),
    [
        ("web-01", "web-01"),
        ("web-01.eu.example.com", "web-01"),
        ("Kim's Mac.local", "Kim-s-Mac"),
        ("10.0.0.5", "10.0.0.5"),
        ("", "host"),
        (".local", "host"),
        ("서버-1", "서버-1"),
    ],
)
def test_a_server_is_named_after_the_host_without_its_domain(hostname: str, name: str) -> None:
    assert server_name(hostname) == name


def test_series_are_the_same_object_from_tick_to_tick() -> None:
    host = Host()
    first, second = host.at(T_MS), host.at(T_MS + 15_000)
    for a, b in zip(first.columns, second.columns, strict=True):
        assert a.index is b.index


def test_a_disk_that_is_plugged_in_is_a_new_index_for_the_disks_alone() -> None:
    one, two = {"sda": Disk(1, 1, 1, 1)}, {"sda": Disk(1, 1, 1, 1), "sdb": Disk(0, 0, 0, 0)}
    host = Host(psutil=machine(disk_io_counters=answering(one, two)))
    first, second = host.at(T_MS), host.at(T_MS)
    changed = [b.index.metric for a, b in zip(first.columns, second.columns, strict=True) if a.index is not b.index]
    assert len(changed) == 4
    assert all("_disk_" in metric for metric in changed)


def test_memory_is_what_the_system_says_and_adds_up() -> None:
    seen = values(Host().at(T_MS))
    total, used = seen["memory_total_bytes"][()], seen["memory_used_bytes"][()]
    assert total == psutil.virtual_memory().total
    assert used + seen["memory_available_bytes"][()] == total
    assert seen["memory_usage_percent"][()] == pytest.approx(100.0 * used / total, abs=0.01)


@given(st.integers(1, 2**50).flatmap(lambda total: st.tuples(st.just(total), st.integers(0, total))))
def test_used_and_available_are_all_memory(said: tuple[int, int]) -> None:
    seen = values(Host(psutil=machine(virtual_memory=answering(Memory(*said)))).at(T_MS))
    assert seen["memory_used_bytes"][()] + seen["memory_available_bytes"][()] == seen["memory_total_bytes"][()]
    assert 0 <= seen["memory_usage_percent"][()] <= 100


def test_counters_lie_between_what_the_system_says_before_and_after() -> None:
    host, counted = Host(), ("bytes_recv", "bytes_sent", "packets_recv", "packets_sent")
    before, switches = psutil.net_io_counters(pernic=True), psutil.cpu_stats().ctx_switches
    seen = values(host.at(T_MS))
    after = psutil.net_io_counters(pernic=True)
    assert switches <= seen["cpu_context_switches_total"][()] <= psutil.cpu_stats().ctx_switches
    names = ("receive_bytes", "transmit_bytes", "receive_packets", "transmit_packets")
    for name, field in zip(names, counted, strict=True):
        for (interface,), value in seen.get(f"network_{name}_total", {}).items():
            assert getattr(before[interface], field) <= value <= getattr(after[interface], field)


def test_counters_never_fall_and_move_when_there_is_work(tmp_path: Path) -> None:
    host = Host()
    before = host.at(T_MS)
    for turn in range(20):
        (tmp_path / "file").write_bytes(b"x" * 100_000)
        after = host.at(T_MS + turn)
        for a, b in zip(before.columns, after.columns, strict=True):
            if a.index.family.type is MetricType.COUNTER:
                assert (b.values >= a.values).all()
        before = after
    (switches,) = [c.values[0] for c in before.columns if c.index.metric == "openmanager_cpu_context_switches_total"]
    assert switches > 0


def test_counters_of_32_bits_go_on_where_they_would_start_again() -> None:
    asked: list[object] = []

    def disks(**how: object) -> dict[str, Any]:
        asked.append(how["nowrap"])
        return {}

    Host(psutil=machine(disk_io_counters=disks, net_io_counters=disks)).at(T_MS)
    assert asked == [True, True]


def test_usage_is_since_boot_at_first_and_since_the_last_tick_then() -> None:
    boot, later = Times(30, 10, 50, 10, 5), Times(33, 10, 57, 10, 5)
    host = Host(psutil=machine(cpu_times=answering([boot, boot], [later, boot], [later, boot])))
    assert values(host.at(T_MS))["cpu_usage_percent"] == {("0",): 40.0, ("1",): 40.0}
    # 3 of 10 s for the first core; no time has passed for the second: the last value stands
    assert values(host.at(T_MS))["cpu_usage_percent"] == {("0",): 30.0, ("1",): 40.0}
    assert values(host.at(T_MS))["cpu_usage_percent"] == {("0",): 30.0, ("1",): 40.0}


def test_a_core_that_was_plugged_in_is_measured_since_boot() -> None:
    boot, later = Times(40, 0, 60, 0, 0), Times(140, 0, 60, 0, 0)
    host = Host(psutil=machine(cpu_times=answering([boot], [later, boot])))
    host.at(T_MS)
    assert values(host.at(T_MS))["cpu_usage_percent"] == {("0",): 70.0, ("1",): 40.0}


seconds = st.builds(Times, *[st.floats(0, 1e9)] * 5)


@given(st.lists(seconds, min_size=2, max_size=4))
def test_usage_is_a_percentage_even_where_the_kernel_takes_time_back(times: list[Any]) -> None:
    host = Host(psutil=machine(cpu_times=answering(*[[core] for core in times])))
    for _ in times:
        (busy,) = values(host.at(T_MS))["cpu_usage_percent"].values()
        assert 0 <= busy <= 100


def test_each_file_system_is_there_once_and_none_is_an_image_or_a_file(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.touch()
    for name in ("data", "data-again", "snap", "cd"):
        (tmp_path / name).mkdir()
    data, again, snap, cd = (tmp_path / name for name in ("data", "data-again", "snap", "cd"))
    parts = [
        Partition("/dev/sdb1", str(again), "ext4", ""),
        Partition("/dev/sdb1", str(data), "ext4", ""),
        Partition("/dev/sda1", str(hosts), "ext4", ""),
        Partition("/dev/loop3", str(snap), "ext4", ""),
        Partition("/dev/sr0", str(cd), "iso9660", ""),
    ]
    seen = values(Host(psutil=machine(disk_partitions=answering(parts))).at(T_MS))
    assert set(seen["disk_usage_percent"]) == {("/",), (str(data),)}


def test_space_is_shared_out_as_df_has_it() -> None:
    # 5 of 100 are root's alone
    host = Host(psutil=machine(disk_partitions=answering([]), disk_usage=answering(Usage(100, 19, 76, 20.0))))
    assert values(host.at(T_MS))["disk_usage_percent"] == {("/",): 20.0}
    real = values(Host().at(T_MS))["disk_usage_percent"]["/",]
    assert real == pytest.approx(psutil.disk_usage("/").percent, abs=0.1)


def test_a_file_system_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    def usage(path: str) -> Any:
        if path != "/":
            raise PermissionError(13, "Permission denied")
        return psutil.disk_usage(path)

    parts = [Partition("/dev/sdb1", str(tmp_path), "ext4", "")]
    host = Host(psutil=machine(disk_partitions=answering(parts), disk_usage=usage))
    assert set(values(host.at(T_MS))["disk_usage_percent"]) == {("/",)}


def test_a_mount_that_cannot_be_looked_at_hides_no_other() -> None:
    parts = [Partition("/dev/sdb1", "/" + "x" * 5000, "ext4", "")]  # no system has names as long
    host = Host(psutil=machine(disk_partitions=answering(parts)))
    assert set(values(host.at(T_MS))["disk_usage_percent"]) == {("/",)}


@pytest.mark.parametrize(
    ("devices", "disks"),
    [
        ("sda sda1 sda2 sdaa sdaa1 sdb", "sda sdaa sdb"),
        ("nvme0n1 nvme0n1p1 nvme0n1p12 nvme1n1", "nvme0n1 nvme1n1"),
        ("mmcblk0 mmcblk0p1 mmcblk0boot0", "mmcblk0 mmcblk0boot0"),
        ("vda loop0 loop10 ram0 zram0 dm-0 md0 md127p1 sr0 fd0 nbd0 zd0", "vda"),
        ("xvda1 xvdb", "xvda1 xvdb"),  # machines whose hypervisor hands out a partition without its disk
        ("PhysicalDrive0 PhysicalDrive1 PhysicalDrive10", "PhysicalDrive0 PhysicalDrive1 PhysicalDrive10"),
        ("disk0 disk1 disk10", "disk0 disk1 disk10"),
    ],
)
def test_disks_are_whole_and_physical(devices: str, disks: str) -> None:
    said = {device: Disk(1, 2, 3, 4) for device in devices.split()}
    seen = values(Host(psutil=machine(disk_io_counters=answering(said))).at(T_MS))
    assert {device for (device,) in seen["disk_read_bytes_total"]} == set(disks.split())
    assert {name: set(seen[f"disk_{name}_total"].values()) for name in ("read_ops", "write_ops", "read_bytes")} == {
        "read_ops": {1.0},
        "write_ops": {2.0},
        "read_bytes": {3.0},
    }


def test_what_the_machine_tells_itself_is_no_network() -> None:
    said = psutil.net_io_counters(pernic=True)
    other = next(iter(said.values()))
    renamed = {"lo": other, "lo0": other, "Loopback Pseudo-Interface 1": other, "eth0": other, "lora0": other}
    seen = values(Host(psutil=machine(net_io_counters=answering(renamed))).at(T_MS))
    assert set(seen["network_receive_bytes_total"]) == {("eth0",), ("lora0",)}


@pytest.mark.parametrize("platform", ["MACOS", "BSD"])
def test_drops_that_a_platform_does_not_count_are_absent_not_zero(platform: str) -> None:
    said = {"eth0": next(iter(psutil.net_io_counters(pernic=True).values()))}
    there = machine(net_io_counters=answering(said), **{platform: True})
    seen = values(Host(psutil=there).at(T_MS))
    assert "network_receive_errors_total" in seen
    assert "network_transmit_drops_total" not in seen
    assert "network_transmit_drops_total" in values(Host(psutil=machine(net_io_counters=answering(said))).at(T_MS))


def test_boot_time_stands_still_while_the_clock_is_adjusted_and_moves_when_it_is_set() -> None:
    host = Host(psutil=machine(boot_time=answering(1000.0, 1001.0, 999.0, 87_400.0)))
    assert [values(host.at(T_MS))["boot_time_seconds"][()] for _ in range(4)] == [1000.0, 1000.0, 1000.0, 87_400.0]


@pytest.mark.parametrize(
    ("function", "lost"),
    [
        ("cpu_times", {"cpu_usage_percent"}),
        ("getloadavg", {"cpu_load_average_1m", "cpu_load_average_5m", "cpu_load_average_15m"}),
        ("cpu_stats", {"cpu_context_switches_total"}),
        ("virtual_memory", {f"memory_{x}" for x in ("usage_percent", "used_bytes", "total_bytes", "available_bytes")}),
        ("swap_memory", {"swap_used_bytes"}),
        ("disk_partitions", {"disk_usage_percent"}),
        ("disk_usage", {"disk_usage_percent"}),
        ("disk_io_counters", {f"disk_{x}_total" for x in ("read_bytes", "write_bytes", "read_ops", "write_ops")}),
        (
            "net_io_counters",
            {f"network_{way}_{x}_total" for way in ("receive", "transmit") for x in ("bytes", "packets")}
            | {"network_receive_errors_total", "network_transmit_drops_total"},
        ),
        ("boot_time", {"boot_time_seconds"}),
    ],
)
@pytest.mark.parametrize("error", [PermissionError(13, "no"), NotImplementedError(), FileNotFoundError(2, "/proc")])
def test_what_cannot_be_read_is_absent_and_nothing_else_is(function: str, lost: set[str], error: Exception) -> None:
    said = {"disk_io_counters": answering({"sda": Disk(1, 1, 1, 1)})}
    there = values(Host(psutil=machine(**said)).at(T_MS))
    left = values(Host(psutil=machine(**{**said, function: raising(error)})).at(T_MS))
    assert set(there) - set(left) == lost


def test_what_cannot_be_read_is_said_once_and_again_after_it_could_be(caplog: pytest.LogCaptureFixture) -> None:
    state = {"ok": False}

    def swap() -> Any:
        if not state["ok"]:
            raise PermissionError(13, "Permission denied")
        return psutil.swap_memory()

    host = Host(psutil=machine(swap_memory=swap))
    with caplog.at_level(logging.WARNING):
        for ok in (False, False, True, False, False):
            state["ok"] = ok
            assert ("swap_used_bytes" in values(host.at(T_MS))) is ok
    assert [record.getMessage().partition(" err=")[0] for record in caplog.records] == [
        "not readable here, left out group=swap"
    ] * 2
    assert not any(record.exc_info for record in caplog.records)


def test_an_error_nobody_expects_fails_no_tick_and_is_told_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        seen = values(Host(psutil=machine(cpu_stats=raising(ZeroDivisionError("odd")))).at(T_MS))
    assert "cpu_context_switches_total" not in seen
    assert len(seen) > 5
    assert [bool(record.exc_info) for record in caplog.records] == [True]


def test_a_machine_without_disks_and_networks_has_no_such_families() -> None:
    nothing = machine(disk_io_counters=answering({}), net_io_counters=answering({}))
    assert not any(
        name.startswith(("disk_read", "disk_write", "network")) for name in values(Host(psutil=nothing).at(T_MS))
    )


def test_without_proc_there_is_still_a_snapshot() -> None:
    code = (
        "import psutil; psutil.PROCFS_PATH = '/nonexistent'\n"
        "from exporter.host.machine import Host\n"
        "print(*[column.index.metric for _ in range(2) for column in Host('x').at(0).columns])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"openmanager_server_info", "openmanager_cpu_load_average_1m"} <= set(said)
    assert "openmanager_memory_total_bytes" not in said


def test_a_tick_takes_less_than_ten_milliseconds() -> None:
    host = Host()
    took = []
    for _ in range(20):
        start = time.thread_time()  # its own work, whatever else the machine does
        host.at(T_MS)
        took.append(time.thread_time() - start)
    assert sorted(took)[10] < 0.010
