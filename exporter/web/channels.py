"""What the stream's four channels say, however large the fleet: the whole while it is small, else the worst of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import orjson

from exporter.web.alerts import ActiveAlert, Alerts
from exporter.web.fleet_view import streamed
from exporter.web.live import Live

MOST = 1_000
"""Entries of one list in a message."""

_STATES = {"firing": 0, "pending": 1}
_SEVERITIES = {"critical": 0, "warning": 1}


class Channels:
    """The sources of the hub. Data of the same tick and the same alerts is made once."""

    def __init__(
        self,
        live: Live,
        alerts: Alerts,
        *,
        status: Callable[[], Mapping[str, object]],
        analysis: Callable[[], Mapping[str, object] | None],
    ) -> None:
        self._live = live
        self._alerts = alerts
        self._analysis = analysis
        self._metrics: tuple[object, object, orjson.Fragment] | None = None
        self.sources: Mapping[str, Callable[[], object]] = {
            "server-metrics": self.server_metrics,
            "system-status": status,
            "ai-analysis": self.ai_analysis,
            "alerts": self.alerts,
        }

    def server_metrics(self) -> object:
        """Servers and summary; of a large fleet the servers that need attention most, and how many are left out."""
        if self._live.snapshot() is None:
            return None
        fleet, counts = self._live.fleet(), self._alerts.per_server()
        if self._metrics is None or self._metrics[0] is not fleet or self._metrics[1] is not counts:
            data = streamed(fleet, counts, self._live.latency(), MOST)
            self._metrics = fleet, counts, orjson.Fragment(orjson.dumps(data))
        return self._metrics[2]

    def ai_analysis(self) -> object:
        """The latest report, each list of it cut."""
        report = self._analysis()
        return None if report is None else {name: _cut(part) for name, part in report.items()}

    def alerts(self) -> object:
        """Active alerts, the worst first, each with the limit of its rule and what silences it; then what belongs."""
        details = self._alerts.details
        shown = sorted(self._alerts.active, key=_urgency)[:MOST]
        return {
            "alerts": [self._shown(alert) for alert in shown],
            "total": len(self._alerts.active),
            "resolved": [each.as_json() for each in details.resolved],
            "silences": [silence.as_json() for silence in details.silences[:MOST]],
            "alerter": {"up": self._alerts.up, "error": self._alerts.away or ""},
        }

    def _shown(self, alert: ActiveAlert) -> dict[str, object]:
        details = self._alerts.details
        silenced_by = [silence.id for silence in details.silences if silence.covers(alert.labels)]
        limit = details.limits.get(alert.labels.get("alertname", ""), "")
        return {**alert.as_json(), "limit": limit, "silenced_by": silenced_by}


def _cut(part: object) -> object:
    return part[:MOST] if isinstance(part, Sequence) and not isinstance(part, str) else part


def _urgency(alert: ActiveAlert) -> tuple[int, int]:
    return _STATES.get(alert.state, 2), _SEVERITIES.get(alert.labels.get("severity", ""), 2)
