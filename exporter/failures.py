"""The fleet's failures as the web room asks for them: the incident log, on this process's clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from exporter.duration import format_duration
from exporter.simulation.incidents import IncidentLog
from exporter.web.control import Injection


class SimulatedFailures:
    """Injects into an incident log and reports from it. `now` gives Unix seconds."""

    def __init__(self, incidents: IncidentLog, now: Callable[[], float]) -> None:
        self._incidents = incidents
        self._now = now

    def types(self) -> Mapping[str, str]:
        """The scenarios by name, described."""
        return {str(scenario["name"]): str(scenario["description"]) for scenario in self._incidents.available()}

    def active(self) -> Sequence[Mapping[str, object]]:
        """What goes on now or begins with the next tick."""
        return [self._incidents.record(incident) for incident in self._incidents.active(self._now_ms())]

    def inject(self, injection: Injection) -> Mapping[str, object]:
        """Lets it begin with the next tick. Raises ValueError naming what exists."""
        incident = self._incidents.inject(
            injection.type,
            injection.targets,
            now_ms=self._now_ms(),
            duration=format_duration(round(injection.duration_s * 1000)),
            intensity=injection.intensity,
            id=injection.id,
        )
        return self._incidents.record(incident)

    def clear(self, failure_id: str) -> bool:
        """Ends it at the next tick; False if there is none with this id."""
        try:
            self._incidents.clear(failure_id, now_ms=self._now_ms())
        except KeyError:
            return False
        return True

    def truth(self, start_s: float, end_s: float) -> Sequence[Mapping[str, object]]:
        """What was simulated between two times, Unix seconds."""
        return self._incidents.truth(round(start_s * 1000), round(end_s * 1000))

    def _now_ms(self) -> int:
        return round(self._now() * 1000)
