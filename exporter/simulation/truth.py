"""The truth about an incident: when, where it started, and every metric that it moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from exporter import catalogue as cat
from exporter.duration import format_duration
from exporter.model import Family
from exporter.simulation.effects import Kind
from exporter.simulation.faults import FAULTS, METRICS
from exporter.simulation.incident import Incident
from exporter.simulation.plans import Plan
from exporter.simulation.scenarios import Scenario

_LOADS = (cat.LOAD_1M, cat.LOAD_5M, cat.LOAD_15M)
_LATENCY = (cat.REQUEST_LATENCY, cat.REQUEST_DURATION)
_CPU = (cat.CPU_USAGE, *_LOADS, *_LATENCY)
_DISK = (cat.DISK_READ_BYTES, cat.DISK_WRITE_BYTES, cat.DISK_READ_OPS, cat.DISK_WRITE_OPS)
_NETWORK = (cat.RECEIVE_BYTES, cat.TRANSMIT_BYTES, cat.RECEIVE_PACKETS, cat.TRANSMIT_PACKETS)
_RARE = (cat.RECEIVE_ERRORS, cat.TRANSMIT_DROPS)
_MEMORY = (cat.MEMORY_USAGE, cat.MEMORY_USED, cat.MEMORY_AVAILABLE, cat.SWAP_USED)
_TRAFFIC = (cat.REQUESTS, *_LATENCY, *_NETWORK)
_ALL = tuple(value for value in vars(cat).values() if isinstance(value, Family) and value is not cat.INCIDENT_ACTIVE)

MOVED: Mapping[Kind, Sequence[Family]] = {
    Kind.CPU_TO: _CPU,
    Kind.CPU_TIMES: _CPU,
    Kind.DEMAND_TIMES: (*_CPU, cat.CONTEXT_SWITCHES, *_TRAFFIC, *_DISK),
    Kind.LATENCY_TIMES: _LATENCY,
    Kind.LATENCY_TO: _LATENCY,
    Kind.MEMORY_TO: _MEMORY,
    Kind.MEMORY_TIMES: _MEMORY,
    Kind.DISK_TO: (cat.DISK_USAGE,),
    Kind.DISK_IO_TIMES: _DISK,
    Kind.NETWORK_TIMES: _NETWORK,
    Kind.ERRORS: (cat.REQUESTS, *_LATENCY),
    Kind.LOSS: _RARE,
    Kind.SERVICE_DOWN: (cat.SERVICE_UP, *_TRAFFIC),
    Kind.DOWN: _ALL,
    Kind.CRASH: _ALL,
    Kind.CLOCK_SKEW: (cat.BOOT_TIME,),
    Kind.SCRAPE_DOWN: _ALL,
    Kind.SCRAPE_SLOW: _ALL,
    Kind.SCRAPE_TRUNCATED: _ALL,
    Kind.SCRAPE_GAP: _ALL,
    Kind.STUCK: _ALL,
    Kind.CHURN: (*_NETWORK, *_RARE),
}
"""The families that each kind of effect moves."""


def described(incident: Incident, scenario: Scenario, plans: Sequence[Plan]) -> dict[str, Any]:
    """An incident JSON-ready: start, peak and end in Unix seconds, root server and metric, what it affects."""
    roots = [plan for plan in plans if plan.server in incident.targets]
    peak = incident.start_ms + int(roots[0].at_ms[int(np.argmax(roots[0].level))])
    return {
        "id": incident.id,
        "type": incident.scenario,
        "scenario": incident.scenario,
        "fault": scenario.root.fault,
        "targets": list(incident.targets),
        "start": incident.start_ms / 1000,
        "peak": min(peak, incident.end_ms) / 1000,
        "end": incident.end_ms / 1000,
        "duration": format_duration(incident.end_ms - incident.start_ms),
        "intensity": incident.intensity,
        "cleared": incident.cleared_ms is not None and not incident.leased,
        "root": {"server": roots[0].server, "metric": roots[0].metric or FAULTS[scenario.root.fault].metric},
        "affected": _affected(plans),
        "expect": {"alerts": list(scenario.expect.alerts), "affected": list(scenario.expect.affected)},
    }


def _affected(plans: Sequence[Plan]) -> list[dict[str, Any]]:
    by_server: dict[str, list[Plan]] = {}
    for plan in plans:
        by_server.setdefault(plan.server, []).append(plan)
    return [
        {
            "server": server,
            "effects": sorted({plan.kind.value for plan in mine}),
            "metrics": _metrics(mine),
            "start": min(plan.start_ms for plan in mine) / 1000,
            "end": max(plan.end_ms for plan in mine) / 1000,
        }
        for server, mine in sorted(by_server.items())
    ]


def _metrics(plans: Sequence[Plan]) -> list[str]:
    """In the order of the catalogue."""
    moved = {
        name for plan in plans for name in ([plan.metric] if plan.metric else [of.name for of in MOVED[plan.kind]])
    }
    return [name for name in METRICS if name in moved]
