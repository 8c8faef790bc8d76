"""The same machine as node_exporter sees it: exact where nothing moves, between two readings of ours where it does."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.host.machine import Host
from tests.host.machines import T_MS, Values, values
from tests.servers import Servers

_LINE = re.compile(r"^(?P<name>node_\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
# ours by theirs; what both read from the kernel within one moment
COUNTERS = {
    "cpu_context_switches_total": "node_context_switches_total",
    "disk_read_bytes_total": "node_disk_read_bytes_total",
    "disk_write_bytes_total": "node_disk_written_bytes_total",
    "disk_read_ops_total": "node_disk_reads_completed_total",
    "disk_write_ops_total": "node_disk_writes_completed_total",
    "network_receive_bytes_total": "node_network_receive_bytes_total",
    "network_transmit_bytes_total": "node_network_transmit_bytes_total",
    "network_receive_packets_total": "node_network_receive_packets_total",
    "network_transmit_packets_total": "node_network_transmit_packets_total",
    "network_receive_errors_total": "node_network_receive_errs_total",
    "network_transmit_drops_total": "node_network_transmit_drop_total",
}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[str]:
    with Servers(tmp_path) as servers:
        yield servers.node_exporter().url


def scraped(url: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Values of node_exporter's families with their labels."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
        text = response.read().decode()
    out: dict[str, list[tuple[dict[str, str], float]]] = {}
    for match in _LINE.finditer(text):
        out.setdefault(match["name"], []).append((dict(_LABEL.findall(match["labels"] or "")), float(match["value"])))
    return out


def by_label(samples: list[tuple[dict[str, str], float]], label: str) -> Values:
    return {((labels[label],) if label in labels else ()): value for labels, value in samples}


def test_counters_of_node_exporter_lie_between_two_of_our_readings(node: str) -> None:
    host = Host()
    before = values(host.at(T_MS))
    theirs = scraped(node)
    after = values(host.at(T_MS))
    for name, other in COUNTERS.items():
        said = by_label(theirs[other], "device")
        assert name not in before or set(before[name]) <= set(said), name
        for key, value in before.get(name, {}).items():
            assert value <= said[key] <= after[name][key], (name, key)


def test_what_stands_still_is_the_same(node: str) -> None:
    ours, theirs = values(Host().at(T_MS)), scraped(node)
    assert ours["memory_total_bytes"][()] == theirs["node_memory_MemTotal_bytes"][0][1]
    assert ours["boot_time_seconds"][()] == pytest.approx(theirs["node_boot_time_seconds"][0][1], abs=2)
    cores = {labels["cpu"] for labels, _ in theirs["node_cpu_seconds_total"]}
    assert {core for (core,) in ours["cpu_usage_percent"]} == cores
    swap = theirs["node_memory_SwapTotal_bytes"][0][1] - theirs["node_memory_SwapFree_bytes"][0][1]
    assert ours["swap_used_bytes"][()] == pytest.approx(swap, abs=16 << 20)


def test_what_moves_is_within_a_tolerance(node: str) -> None:
    ours, theirs = values(Host().at(T_MS)), scraped(node)
    total = ours["memory_total_bytes"][()]
    assert ours["memory_available_bytes"][()] == pytest.approx(
        theirs["node_memory_MemAvailable_bytes"][0][1], abs=total / 20
    )
    assert ours["cpu_load_average_15m"][()] == pytest.approx(theirs["node_load15"][0][1], abs=0.2)
    size = by_label(theirs["node_filesystem_size_bytes"], "mountpoint")
    free = by_label(theirs["node_filesystem_free_bytes"], "mountpoint")
    available = by_label(theirs["node_filesystem_avail_bytes"], "mountpoint")
    for mount, percent in ours["disk_usage_percent"].items():
        used = size[mount] - free[mount]
        assert percent == pytest.approx(100 * used / (used + available[mount]), abs=0.5)


def test_a_core_was_as_busy_as_node_exporter_counts(node: str) -> None:
    host = Host()
    before = modes(node)
    host.at(T_MS)
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        pass
    ours = values(host.at(T_MS))["cpu_usage_percent"]
    after = modes(node)
    for (core,), percent in ours.items():
        spent = {mode: after[core][mode] - before[core][mode] for mode in after[core]}
        theirs = 100 * (1 - (spent["idle"] + spent["iowait"]) / sum(spent.values()))
        assert percent == pytest.approx(theirs, abs=15)  # their second is a scrape longer than ours
    assert sum(ours.values()) > 50


def modes(url: str) -> dict[str, dict[str, float]]:
    """Seconds by core and mode, as node_exporter counts them."""
    out: dict[str, dict[str, float]] = {}
    for labels, value in scraped(url)["node_cpu_seconds_total"]:
        out.setdefault(labels["cpu"], {})[labels["mode"]] = value
    return out
