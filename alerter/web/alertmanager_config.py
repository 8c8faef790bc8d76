"""The delivery settings as Alertmanager would write them, for its own tools to read: routes, inhibitions, times.

A route of Alertmanager's has one receiver. One of ours that has several is shown with their names joined, and so is
the root, because what no route matches goes to everybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from alerter.config import Config, MuteTime, Route
from exporter.duration import parse_duration

_BESIDES = "# Besides, a critical alert covers the warning of the same rule group beneath it.\n"
_WAITS = ("group_wait", "group_interval", "repeat_interval")


def written(config: Config, receivers: Sequence[str]) -> str:
    """YAML that Alertmanager's tools can load. `receivers` as routes call them."""
    everyone = _joined(receivers)
    routes = [_route(route) for route in config.routes]
    names = dict.fromkeys([everyone, *(route["receiver"] for route in routes), *receivers])
    delivery = config.delivery
    root: dict[str, Any] = {"receiver": everyone, "group_by": list(delivery.group_by), **_waits(delivery)}
    if routes:
        root["routes"] = routes
    tree: dict[str, Any] = {"route": root, "receivers": [{"name": name} for name in names]}
    if config.delivery.inhibit:
        tree["inhibit_rules"] = [
            {"source_matchers": list(rule.source), "target_matchers": list(rule.target), "equal": list(rule.equal)}
            for rule in config.delivery.inhibit
        ]
    if config.mute_times:
        tree["time_intervals"] = [
            {"name": name, "time_intervals": [_interval(each) for each in times]}
            for name, times in config.mute_times.items()
        ]
    return _BESIDES + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def _joined(receivers: Sequence[str]) -> str:
    return ",".join(receivers) or "none"


def _waits(source: object) -> dict[str, str]:
    """Those that are given; Alertmanager refuses an interval of zero."""
    found = {name: getattr(source, name) for name in _WAITS}
    return {
        name: text
        for name, text in found.items()
        if text is not None and (name == "group_wait" or parse_duration(text) > 0)
    }


def _route(route: Route) -> dict[str, Any]:
    shown: dict[str, Any] = {"receiver": _joined(route.receivers), "matchers": list(route.matchers)}
    if route.group_by is not None:
        shown["group_by"] = list(route.group_by)
    shown |= _waits(route)
    if route.goes_on:
        shown["continue"] = True
    for name, times in (("mute_time_intervals", route.mute_times), ("active_time_intervals", route.active_times)):
        if times:
            shown[name] = list(times)
    return shown


def _interval(time: MuteTime) -> Mapping[str, Any]:
    lists = ("times", "weekdays", "days_of_month", "months", "years")
    shown: dict[str, Any] = {name: list(getattr(time, name)) for name in lists if getattr(time, name)}
    return {**shown, "location": time.location}
