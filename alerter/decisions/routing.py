"""Which alerts a receiver is told, how, and when not: the first route that matches decides.

A route that says `continue` lets the next ones decide too; where several send an alert to the same receiver, the
first of them says how. An alert that no route matches goes to every receiver.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from alerter.decisions.dispatch import Policy
from alerter.decisions.inhibition import Known
from alerter.decisions.mute_times import Interval
from alerter.matchers import all_match
from exporter.model import Labels, Matcher

_MOST_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Route:
    """Alerts that match go to these receivers. `mute` and `active`: intervals in which, and out of which, they wait."""

    matchers: tuple[Matcher, ...]
    receivers: frozenset[str]
    policy: Policy
    goes_on: bool = False
    mute: tuple[Interval, ...] = ()
    active: tuple[Interval, ...] | None = None

    def muted(self, now: float) -> bool:
        """Whether nothing is told by this route now."""
        if any(interval.holds(now) for interval in self.mute):
            return True
        return self.active is not None and not any(interval.holds(now) for interval in self.active)


class Routing:
    """The routes as one receiver sees them; `fixed` is a policy that no route changes."""

    def __init__(self, routes: Sequence[Route], receiver: str, default: Policy, fixed: Policy | None = None) -> None:
        self._routes = routes
        self._receiver = receiver
        self._everything = Route((), frozenset(), default)
        self._fixed = fixed
        self._known: dict[Labels, Route | None] = {}

    def policy(self, labels: Labels) -> Policy | None:
        """How an alert is told; None if it is not."""
        route = self._route(labels)
        return None if route is None else self._fixed or route.policy

    def muted(self, known: Iterable[Known], now: float) -> Collection[Labels]:
        """The labels of the alerts that wait for another time."""
        quiet = {id(route) for route in self._routes if route.muted(now)}
        return {each.alert.labels for each in known if id(self._route(each.alert.labels)) in quiet} if quiet else ()

    def _route(self, labels: Labels) -> Route | None:
        if not self._routes:
            return self._everything
        if labels not in self._known:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[labels] = self._found(labels)
        return self._known[labels]

    def _found(self, labels: Labels) -> Route | None:
        by_name, matched = dict(labels), False
        for route in self._routes:
            if not all_match(route.matchers, by_name):
                continue
            if self._receiver in route.receivers:
                return route
            matched = True
            if not route.goes_on:
                break
        return None if matched else self._everything


PolicyOf = Callable[[Labels], Policy | None]
