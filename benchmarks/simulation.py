"""What it costs to make the fleet: ticks of large fleets, the first after a start, and a week of the usual one.

Processor time, of all threads: other work on the machine is not to be measured.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from exporter.simulation.fleet import make_fleet, shipped_roles
from exporter.simulation.incidents import IncidentLog
from exporter.simulation.scenarios import shipped_scenarios
from exporter.simulation.simulator import Simulator

DAY_MS = 86_400_000
TICK_MS = 15_000
START_MS = 1_795_392_000_000  # 2026-11-23, a Monday
TICKS = 41  # ten minutes: two blocks of five minutes begin in it


def figures() -> Iterator[Figure]:
    """With failures at random, as an exporter has them."""
    yield from _ticks(20, None, None, 1.0)
    yield from _ticks(1_000, 50.0, 50.0, None)
    yield from _ticks(20_000, 300.0, None, None)
    yield _week()
    yield _backfill()


def _simulator(servers: int) -> Simulator:
    fleet = make_fleet(servers)
    log = IncidentLog(fleet, shipped_roles(), shipped_scenarios(), rate=1.0)
    return Simulator(fleet, seed=1, incidents=log)


def _ticks(servers: int, typical: float | None, worst: float | None, first: float | None) -> Iterator[Figure]:
    simulator = _simulator(servers)
    taken = []
    for tick in range(TICKS):
        started = time.process_time()
        simulator.at(START_MS + tick * TICK_MS)
        taken.append((time.process_time() - started) * 1e3)
    yield Figure(f"{servers} servers: the first tick after a start", taken[0] / 1e3, "s", first)
    yield Figure(f"{servers} servers: a tick, mean", statistics.fmean(taken[1:]), "ms", typical)
    yield Figure(f"{servers} servers: the longest tick", max(taken[1:]), "ms", worst)


def _week() -> Figure:
    simulator = _simulator(20)
    started = time.process_time()
    for _ in simulator.ticks(START_MS + TICK_MS, START_MS + 7 * DAY_MS):
        pass
    return Figure("making seven days of 20 servers", time.process_time() - started, "s", 60.0)


def _backfill() -> Figure:
    """The command as it is given: made, sealed, brought to the disk, and tiers made of it."""
    command = [sys.executable, "-m", "exporter", "backfill", "--for", "7d", "--fleet.servers", "20"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Figure("seven days of 20 servers backfilled, in SQLite", taken, "s", 60.0)
