"""SIGKILL at any moment: what the writing process was told is kept is there, once, bit for bit."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

from exporter.storage.database import Database
from exporter.storage.open import open_store
from tests.storage.fleet import START_MS, STEP_MS, Fleet, everything

CHILD = """
import sys
from exporter.storage.database import Database
from exporter.storage.open import open_store
from tests.storage.fleet import STEP_MS, Fleet

url, first = sys.argv[1], int(sys.argv[2])
fleet = Fleet()
while fleet.t_ms < first:
    fleet.tick()
database = Database(open_store(url))
while True:
    tick = fleet.tick()
    database.append(tick)
    if (tick.t_ms // STEP_MS) % 3 == 0:
        assert database.flush()
        print(tick.t_ms, flush=True)
"""
TICKS = 150  # each child gets past the end of a log, the fourth past that of a window


def _killed_after(url: str, first_ms: int, seconds: float) -> int:
    """Let a child write from this tick on, kill it, and return the last tick it knew to be kept."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, url, str(first_ms)], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    )
    assert child.stdout is not None
    kept = [int(child.stdout.readline())]
    while kept[-1] < first_ms + TICKS * STEP_MS:
        kept.append(int(child.stdout.readline()))
    time.sleep(seconds)
    child.kill()
    rest = child.stdout.read()
    child.wait()
    return [*kept, *map(int, rest[: rest.rfind("\n") + 1].split())][-1]


def test_a_process_killed_again_and_again_loses_nothing_that_was_kept(lasting_url: str) -> None:
    random = np.random.default_rng(8)
    first_ms = START_MS
    for _ in range(5):
        kept_ms = _killed_after(lasting_url, first_ms, float(random.uniform(0, 0.3)))
        database = Database(open_store(lasting_url))
        fleet = Fleet()
        latest = database.latest()
        assert latest is not None
        assert latest.t_ms >= kept_ms
        while fleet.t_ms <= latest.t_ms:
            fleet.tick()
        assert everything(database) == fleet.said
        assert database.stats().quarantined == 0
        database.close()
        first_ms = latest.t_ms + STEP_MS
