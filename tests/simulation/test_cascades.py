"""The shipped cascades in numbers: what happens where, how strongly, and how long after the root was at its worst."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from exporter.simulation.fleet import make_fleet
from exporter.simulation.recording import Recording, record
from exporter.simulation.scenarios import shipped_scenarios
from tests.simulation.fleets import HOUR_MS, MONDAY_MS, a_log, a_simulator

Floats = NDArray[np.float64]
Read = Callable[[Recording, str], Floats]


def cpu(day: Recording, server: str) -> Floats:
    mean: Floats = day.of("openmanager_cpu_usage_percent", server).mean(axis=0)
    return mean


def memory(day: Recording, server: str) -> Floats:
    (percent,) = day.of("openmanager_memory_usage_percent", server)
    return np.asarray(percent, dtype=np.float64)


def disk(day: Recording, server: str) -> Floats:
    fullest: Floats = day.of("openmanager_disk_usage_percent", server).max(axis=0)
    return fullest


def latency(day: Recording, server: str) -> Floats:
    """Mean seconds of each tick's requests, from the histogram."""
    total = np.diff(day.of("openmanager_http_request_latency_seconds_sum", server)[0], prepend=np.nan)
    count = np.diff(day.of("openmanager_http_request_latency_seconds_count", server)[0], prepend=np.nan)
    return np.asarray(total / count, dtype=np.float64)


def network(day: Recording, server: str) -> Floats:
    gains: Floats = np.diff(day.total("openmanager_network_transmit_bytes_total", server), prepend=np.nan)
    return gains


@dataclass(frozen=True, slots=True)
class Step:
    """What a cascade says: at the root, or so many seconds after it on a role, a level or a gain (capped at `most`)."""

    scenario: str
    read: Read
    role: str
    after_s: int = 0
    to: float = 0.0
    gain: float = 1.0
    most: float = np.inf


ROOTS = (
    Step("database-disk-cascade", disk, "database", to=95),
    Step("api-overload-cascade", cpu, "api", to=85),
    Step("storage-full-cascade", disk, "storage", to=95),
    Step("worker-memory-cascade", memory, "k8s-worker", to=90),
    Step("web-overload-cascade", cpu, "web", to=80),
    Step("control-memory-cascade", memory, "k8s-control", to=88),
)
CONSEQUENCES = (
    Step("database-disk-cascade", latency, "web", 30, to=8),
    Step("database-disk-cascade", latency, "web", 45, to=12),
    Step("database-disk-cascade", cpu, "cache", 60, to=85),
    Step("api-overload-cascade", cpu, "database", 15, gain=1.4, most=99.4),
    Step("api-overload-cascade", memory, "database", 30, gain=1.3, most=99.6),
    Step("storage-full-cascade", latency, "database", 20, gain=2.5),
    Step("worker-memory-cascade", cpu, "k8s-control", 10, gain=1.3),
    Step("worker-memory-cascade", latency, "api", 25, gain=1.8),
    Step("web-overload-cascade", network, "api", gain=1.6),
    Step("web-overload-cascade", memory, "cache", gain=1.4, most=99.6),
    Step("control-memory-cascade", cpu, "k8s-worker", gain=1.5, most=99.4),
    Step("control-memory-cascade", latency, "api", gain=3),
)


@pytest.fixture(scope="module")
def runs() -> dict[str, tuple[int, Recording, Recording]]:
    """Each cascade at eleven in the morning: when its root is at its worst, the hour without and with it."""
    found = {}
    start = MONDAY_MS + 11 * HOUR_MS
    quiet = record(a_simulator(seed=9).ticks(start - 120_000, start + HOUR_MS // 4))
    for name in {step.scenario for step in (*ROOTS, *CONSEQUENCES)}:
        log = a_log()
        incident = log.inject(name, now_ms=start)
        hurt = record(a_simulator(seed=9, log=log).ticks(start - 120_000, start + HOUR_MS // 4))
        onset = shipped_scenarios()[name].phases[0]
        found[name] = (incident.start_ms + onset.duration_ms, quiet, hurt)
    return found


def touched(step: Step, quiet: Recording, hurt: Recording) -> list[str]:
    """The servers of a role where something is different."""
    names = [server.name for server in make_fleet(20) if server.role == step.role]
    return [name for name in names if not np.array_equal(step.read(quiet, name), step.read(hurt, name), equal_nan=True)]


@pytest.mark.parametrize("step", ROOTS, ids=lambda step: step.scenario)
def test_the_root_of_a_cascade_passes_its_threshold(
    runs: dict[str, tuple[int, Recording, Recording]], step: Step
) -> None:
    full_ms, quiet, hurt = runs[step.scenario]
    roots = touched(step, quiet, hurt)
    assert len(roots) == (4 if step.role == "web" else 1)
    peak = (hurt.t_ms >= full_ms) & (hurt.t_ms < full_ms + 300_000)
    for name in roots:
        assert (step.read(hurt, name)[peak] >= step.to).all()


@pytest.mark.parametrize("step", CONSEQUENCES, ids=lambda step: f"{step.scenario}-{step.role}-{step.after_s}s")
def test_a_consequence_comes_as_late_and_as_strongly_as_it_is_said(
    runs: dict[str, tuple[int, Recording, Recording]], step: Step
) -> None:
    full_ms, quiet, hurt = runs[step.scenario]
    begin_ms = full_ms - shipped_scenarios()[step.scenario].phases[0].duration_ms
    names = touched(step, quiet, hurt)
    assert names == [server.name for server in make_fleet(20) if server.role == step.role]
    # when it is felt at all, and when in full: a level that is reached in two steps begins with the first
    before = hurt.t_ms <= begin_ms + min(step.after_s, 30 if step.to else 60) * 1000
    first = int(np.flatnonzero(hurt.t_ms >= full_ms + step.after_s * 1000)[0])
    here = slice(first, first + (1 if step.to == 8 else 20))
    for name in names:
        calm, felt = step.read(quiet, name), step.read(hurt, name)
        assert np.array_equal(calm[before], felt[before], equal_nan=True), name
        wanted = np.maximum(calm[here], step.to) if step.to else np.minimum(calm[here] * step.gain, step.most)
        if step.read is latency:  # from a histogram: right in the mean over some ticks
            assert felt[here].mean() == pytest.approx(wanted.mean(), rel=0.15), name
        else:
            assert felt[here] == pytest.approx(wanted, rel=0.02), name
