"""The metrics of a server: names, types, HELP texts and label names, whoever makes their values."""

from __future__ import annotations

from exporter.model import Family, MetricType

_GAUGE, _COUNTER = MetricType.GAUGE, MetricType.COUNTER


def _family(name: str, kind: MetricType, text: str) -> Family:
    return Family(f"openmanager_{name}", kind, text)


CPU_USAGE = _family("cpu_usage_percent", _GAUGE, "Share of the last interval in which the core was busy, in percent.")
LOAD_1M = _family("cpu_load_average_1m", _GAUGE, "Threads running or waiting, averaged over 1 minute.")
LOAD_5M = _family("cpu_load_average_5m", _GAUGE, "Threads running or waiting, averaged over 5 minutes.")
LOAD_15M = _family("cpu_load_average_15m", _GAUGE, "Threads running or waiting, averaged over 15 minutes.")
CONTEXT_SWITCHES = _family("cpu_context_switches_total", _COUNTER, "Context switches since boot.")
MEMORY_USAGE = _family("memory_usage_percent", _GAUGE, "Memory in use, in percent of all memory.")
MEMORY_USED = _family("memory_used_bytes", _GAUGE, "Memory in use: all that is not available.")
MEMORY_TOTAL = _family("memory_total_bytes", _GAUGE, "All memory.")
MEMORY_AVAILABLE = _family("memory_available_bytes", _GAUGE, "Memory that can be had without swapping.")
SWAP_USED = _family("swap_used_bytes", _GAUGE, "Swap space in use.")
DISK_USAGE = _family("disk_usage_percent", _GAUGE, "Space in use on the file system, in percent.")
DISK_READ_BYTES = _family("disk_read_bytes_total", _COUNTER, "Bytes read from the device since boot.")
DISK_WRITE_BYTES = _family("disk_write_bytes_total", _COUNTER, "Bytes written to the device since boot.")
DISK_READ_OPS = _family("disk_read_ops_total", _COUNTER, "Read operations completed by the device since boot.")
DISK_WRITE_OPS = _family("disk_write_ops_total", _COUNTER, "Write operations completed by the device since boot.")
RECEIVE_BYTES = _family("network_receive_bytes_total", _COUNTER, "Bytes received by the interface since boot.")
TRANSMIT_BYTES = _family("network_transmit_bytes_total", _COUNTER, "Bytes sent by the interface since boot.")
RECEIVE_PACKETS = _family("network_receive_packets_total", _COUNTER, "Packets received by the interface since boot.")
TRANSMIT_PACKETS = _family("network_transmit_packets_total", _COUNTER, "Packets sent by the interface since boot.")
RECEIVE_ERRORS = _family("network_receive_errors_total", _COUNTER, "Packets received damaged since boot.")
TRANSMIT_DROPS = _family("network_transmit_drops_total", _COUNTER, "Outgoing packets dropped since boot.")
SERVICE_UP = _family("service_up", _GAUGE, "Whether the service runs: 1 or 0.")
REQUEST_DURATION = _family(
    "http_request_duration_seconds", _GAUGE, "Mean time to answer the requests of the last interval."
)
REQUESTS = _family("http_requests_total", _COUNTER, "Requests answered since boot.")
REQUEST_LATENCY = _family("http_request_latency_seconds", MetricType.HISTOGRAM, "Time to answer a request, since boot.")
BOOT_TIME = _family("boot_time_seconds", _GAUGE, "When the server was booted, in Unix seconds.")
SERVER_INFO = _family("server_info", _GAUGE, "What the server is: always 1, the labels tell.")
INCIDENT_ACTIVE = _family("sim_incident_active", _GAUGE, "1 while a simulated incident affects the server.")
ANOMALY_SCORE = _family("anomaly_score", _GAUGE, "How odd a measure of the server is, from 0 to 1.")
HEALTH_SCORE = _family("health_score", _GAUGE, "How well the server is, from 0 to 100.")
ANALYSED_INCIDENT = _family(
    "incident_active", _GAUGE, "1 while the analysis sees an incident with this server and measure as its root."
)

JUDGEMENTS = frozenset(family.name for family in (ANOMALY_SCORE, HEALTH_SCORE, ANALYSED_INCIDENT))
"""What is said of a server by the analysis: a server with nothing but these is silent."""
