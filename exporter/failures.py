"""The fleet's failures as the web room asks for them: the incident log, on this process's clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from exporter.duration import format_duration
from exporter.inventory.database import InventoryUnavailable
from exporter.simulation.incidents import IncidentConflict, IncidentLog
from exporter.simulation.scrapes import WELL
from exporter.web.control import Injection, Taken, Unkept
from exporter.web.scrape_faults import PageFault


class SimulatedFailures:
    """Injects into an incident log and reports from it. `now` gives Unix seconds."""

    def __init__(self, incidents: IncidentLog, now: Callable[[], float]) -> None:
        self._incidents = incidents
        self._now = now

    def types(self) -> Sequence[Mapping[str, object]]:
        """The scenarios, each by its `type`, described."""
        return [{"type": scenario["name"], **scenario} for scenario in self._incidents.available()]

    def active(self) -> Sequence[Mapping[str, object]]:
        """What goes on now or begins with the next tick."""
        return [self._incidents.record(incident) for incident in self._incidents.active(self._now_ms())]

    def inject(self, injection: Injection) -> tuple[Mapping[str, object], bool]:
        """Lets it begin with the next tick; and whether it is new. Raises ValueError naming what exists, and Taken."""
        known = self._incidents.find(injection.id) is not None
        try:
            incident = self._incidents.inject(
                injection.type,
                injection.targets,
                now_ms=self._now_ms(),
                duration=_text(injection.duration_s),
                ttl=_text(injection.ttl_s),
                intensity=injection.intensity,
                id=injection.id,
            )
        except IncidentConflict as err:
            raise Taken(str(err)) from None
        except InventoryUnavailable as err:
            raise Unkept(str(err)) from None
        return self._incidents.record(incident), not known

    def clear(self, failure_id: str) -> Mapping[str, object] | None:
        """Ends it at the next tick; None if there is none with this id."""
        try:
            incident = self._incidents.clear(failure_id, now_ms=self._now_ms())
        except KeyError:
            return None
        except InventoryUnavailable as err:
            raise Unkept(str(err)) from None
        return self._incidents.record(incident)

    def truth(self, start_s: float, end_s: float) -> Sequence[Mapping[str, object]]:
        """What was simulated between two times, Unix seconds."""
        return self._incidents.truth(round(start_s * 1000), round(end_s * 1000))

    def page_fault(self, server: str, t_ms: int) -> PageFault | None:
        """How the page of a server comes at the tick of a time, None if it comes well."""
        scrape = self._incidents.scrapes(t_ms).get(server, WELL)
        return None if scrape == WELL else PageFault(scrape.off, scrape.failing, scrape.delay_s, scrape.part)

    def _now_ms(self) -> int:
        return round(self._now() * 1000)


def _text(seconds: float | None) -> str | None:
    return None if seconds is None else format_duration(round(seconds * 1000))
