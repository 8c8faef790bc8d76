"""The faults a scenario can start with: each is a table of effects on the server where it happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.simulation.effects import Kind


@dataclass(frozen=True, slots=True)
class Fault:
    """What a fault does. metric: what shows it first.

    effects: for each kind its value, or the name of the parameter that holds it. params: names and defaults.
    """

    metric: str
    effects: Mapping[Kind, float | str]
    params: Mapping[str, float] = field(default_factory=dict)

    def values(self, given: Mapping[str, float]) -> dict[Kind, float]:
        """The value of each effect with these parameters."""
        known = {**self.params, **given}
        return {kind: known[value] if isinstance(value, str) else value for kind, value in self.effects.items()}


FAULTS: Mapping[str, Fault] = {
    "cpu_spike": Fault(
        "openmanager_cpu_usage_percent",
        {Kind.CPU_TO: "percent", Kind.LATENCY_TIMES: "latency"},
        {"percent": 98.5, "latency": 1.2},
    ),
    "memory_leak": Fault(
        "openmanager_memory_usage_percent",
        {Kind.MEMORY_TO: "percent", Kind.CPU_TIMES: "cpu"},
        {"percent": 97.0, "cpu": 1.1},
    ),
    "disk_fill": Fault(
        "openmanager_disk_usage_percent",
        {Kind.DISK_TO: "percent", Kind.DISK_IO_TIMES: "writes"},
        {"percent": 97.0, "writes": 2.0},
    ),
    "slow_disk": Fault(
        "openmanager_http_request_duration_seconds",
        {Kind.LATENCY_TIMES: "latency", Kind.DISK_IO_TIMES: "throughput"},
        {"latency": 6.0, "throughput": 0.3},
    ),
    "net_loss": Fault(
        "openmanager_network_transmit_drops_total",
        {Kind.LOSS: "packets", Kind.LATENCY_TIMES: "latency", Kind.NETWORK_TIMES: "throughput", Kind.ERRORS: "errors"},
        {"packets": 40.0, "latency": 3.0, "throughput": 0.6, "errors": 0.02},
    ),
    "service_down": Fault("openmanager_service_up", {Kind.SERVICE_DOWN: 1.0, Kind.CPU_TIMES: 0.15}),
    "server_down": Fault("up", {Kind.DOWN: 1.0}),
    "crash": Fault("openmanager_boot_time_seconds", {Kind.CRASH: 1.0}),
    "slow_query": Fault(
        "openmanager_http_request_duration_seconds",
        {Kind.LATENCY_TIMES: "latency", Kind.CPU_TIMES: "cpu", Kind.DISK_IO_TIMES: "reads"},
        {"latency": 8.0, "cpu": 1.3, "reads": 4.0},
    ),
    "ddos": Fault(
        "openmanager_http_requests_total",
        {Kind.DEMAND_TIMES: "demand", Kind.ERRORS: "errors", Kind.LATENCY_TIMES: "latency"},
        {"demand": 8.0, "errors": 0.2, "latency": 3.0},
    ),
    "noisy_neighbour": Fault(
        "openmanager_cpu_usage_percent",
        {Kind.CPU_TO: "percent", Kind.LATENCY_TIMES: "latency"},
        {"percent": 88.0, "latency": 2.0},
    ),
    "general_slowdown": Fault(
        "openmanager_http_request_duration_seconds",
        {Kind.LATENCY_TIMES: "latency", Kind.CPU_TIMES: "cpu"},
        {"latency": 4.0, "cpu": 1.15},
    ),
    "errors": Fault("openmanager_http_requests_total", {Kind.ERRORS: "errors"}, {"errors": 0.3}),
    "traffic_surge": Fault("openmanager_http_requests_total", {Kind.DEMAND_TIMES: "demand"}, {"demand": 2.5}),
}
