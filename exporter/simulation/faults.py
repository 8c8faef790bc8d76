"""The faults a scenario can start with: each is a table of effects on the server where it happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter import catalogue
from exporter.model import Family
from exporter.simulation.effects import Kind

METRICS = tuple(value.name for value in vars(catalogue).values() if isinstance(value, Family))


@dataclass(frozen=True, slots=True)
class Fault:
    """What a fault does. metric: what shows it first.

    effects: for each kind its value, or the name of the parameter that holds it. params: names and defaults.
    of_metric: whether the parameter `metric` names the one that it is about, instead of all.
    """

    metric: str
    effects: Mapping[Kind, float | str]
    params: Mapping[str, float] = field(default_factory=dict)
    of_metric: bool = False

    def values(self, given: Mapping[str, float | str]) -> dict[Kind, float]:
        """The value of each effect with these parameters."""
        known = {**self.params, **{name: float(value) for name, value in given.items() if name in self.params}}
        return {kind: known[value] if isinstance(value, str) else value for kind, value in self.effects.items()}

    def check(self, given: Mapping[str, float | str]) -> None:
        """Raises ValueError: parameter, value and rule."""
        known = (*self.params, *(("metric",) if self.of_metric else ()))
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"params.{name}: unknown key; known are {', '.join(known) or 'none'}")
            if name == "metric" and value not in METRICS:
                raise ValueError(f"params.metric: {value!r}: must be a metric of the fleet such as {METRICS[0]}")
            if name != "metric" and (isinstance(value, str) or not 0 <= value <= 1e6):
                raise ValueError(f"params.{name}: {_shown(value)}: must be a number from 0 to 1000000")


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
    "clock_skew": Fault("openmanager_boot_time_seconds", {Kind.CLOCK_SKEW: "seconds"}, {"seconds": 90.0}),
    "scrape_down": Fault("up", {Kind.SCRAPE_DOWN: 1.0}),
    "scrape_slow": Fault("scrape_duration_seconds", {Kind.SCRAPE_SLOW: "seconds"}, {"seconds": 12.0}),
    "scrape_truncated": Fault("up", {Kind.SCRAPE_TRUNCATED: "percent"}, {"percent": 50.0}),
    "scrape_gap": Fault("up", {Kind.SCRAPE_GAP: "part"}, {"part": 0.4}),
    "stuck_value": Fault("openmanager_cpu_usage_percent", {Kind.STUCK: 1.0}, of_metric=True),
    "label_churn": Fault("openmanager_network_receive_bytes_total", {Kind.CHURN: "interfaces"}, {"interfaces": 12.0}),
    "errors": Fault("openmanager_http_requests_total", {Kind.ERRORS: "errors"}, {"errors": 0.3}),
    "traffic_surge": Fault("openmanager_http_requests_total", {Kind.DEMAND_TIMES: "demand"}, {"demand": 2.5}),
}


def _shown(value: float | str) -> str:
    return repr(value) if isinstance(value, str) else f"{value:g}"
