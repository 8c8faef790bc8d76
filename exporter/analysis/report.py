"""The report as JSON: servers, anomalies, incidents, forecasts, each in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from exporter.analysis import advice
from exporter.analysis.anomalies import Anomaly
from exporter.analysis.forecast import Forecast
from exporter.analysis.incidents import Incident, Incidents
from exporter.analysis.status import Fleet

LANGUAGES = ("en", "ko")
_WORDS = set(LANGUAGES)
_RECENT, _EVIDENCE = 10, 50


def build(
    t_s: float,
    fleet: Fleet,
    odd: Sequence[Anomaly],
    health: Mapping[str, int],
    incidents: Incidents,
    forecasts: Sequence[Forecast],
    series: tuple[int, int],
) -> Mapping[str, object]:
    """health: score by server. series: how many are watched, and how many are not for being too many."""
    oddest: dict[str, float] = {}
    for found in odd:
        oddest[found.server] = max(found.score, oddest.get(found.server, 0.0))
    return {
        "generated": rfc3339(t_s),
        "series_watched": series[0],
        "series_unwatched": series[1],
        "servers": [
            {
                "server": status.reading.id,
                "status": status.health.value,
                "reason": status.reason,
                "anomaly_score": round(oddest.get(status.reading.id, 0.0), 3),
                "health_score": health[status.reading.id],
            }
            for status in fleet.servers
        ],
        "anomalies": [anomaly(found) for found in odd],
        "incidents": [incident(found) for found in incidents.open()],
        "recent_incidents": [incident(found) for found in incidents.recent()[:_RECENT]],
        "forecasts": [forecast(found) for found in forecasts],
    }


def anomaly(found: Anomaly) -> dict[str, object]:
    """One odd measure."""
    return {
        "server": found.server,
        "metric": found.metric,
        "score": round(found.score, 3),
        "confidence": 0.99 if found.certain else round(0.7 * found.score, 3),
        "value": round(found.value, 3),
        "expected": [round(edge, 3) for edge in found.expected],
        "direction": found.direction,
        "since": rfc3339(found.since),
        "text": advice.evidence(found),
        "recommendation": advice.recommendation(found.metric, found.direction),
    }


def incident(found: Incident) -> dict[str, object]:
    """One incident."""
    root = found.root
    cause, recommendation = advice.cause(root, found.evidence)
    return {
        "id": found.id,
        "title": advice.title(root.server, root.metric, root.direction),
        "servers": list(found.servers),
        "started": rfc3339(found.started),
        "ended": None if found.ended is None else rfc3339(found.ended),
        "score": round(found.score, 3),
        "confidence": round(found.confidence, 3),
        "direction": root.direction,
        "root": {"server": root.server, "metric": root.metric},
        "cause": cause,
        "evidence": [anomaly(odd) for odd in found.evidence[:_EVIDENCE]],
        "evidence_count": len(found.evidence),
        "recommendation": recommendation,
    }


def forecast(found: Forecast) -> dict[str, object]:
    """One resource that runs out."""
    return {
        "server": found.server,
        "metric": found.metric,
        "mount": found.mount,
        "now": found.now,
        "per_hour": found.per_hour,
        "seconds_to_full": found.seconds_to_full,
        "confidence": found.fit,
        "recommendation": advice.runs_out(found.metric, found.mount, found.seconds_to_full / 3600),
    }


def rfc3339(t_s: float) -> str:
    """`2025-05-31T10:00:00Z`."""
    return datetime.fromtimestamp(t_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def in_language(part: object, language: str) -> object:
    """A report, or a part of one, with words in one language in place of all."""
    if isinstance(part, Mapping):
        if part.keys() == _WORDS:
            return part[language]
        return {name: in_language(value, language) for name, value in part.items()}
    if isinstance(part, list):
        return [in_language(entry, language) for entry in part]
    return part
