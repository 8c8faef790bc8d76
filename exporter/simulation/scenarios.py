"""Failure scenarios: YAML files, checked, with the place of each mistake.

name: cpu-saturation
description: one sentence
phases:
  - {name: onset, duration: 15s, level: 1}      # the level is reached at the end of its phase
  - {name: sustained, duration: 9m, level: 1}
  - {name: recovery, duration: 30s, level: 0}
root: {role: web, fault: cpu_spike, params: {percent: 98.5}}
propagate:
  depth: 1                                       # servers whose role depends on the root's, so many steps away
  effects:                                       # and what happens elsewhere, said one by one
    - {role: database, after: 15s, cpu_times: 1.4}
expect: {alerts: [CriticalCPUUsage]}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import resources
from typing import Annotated

import msgspec
from msgspec import Meta

from exporter.duration import parse_duration
from exporter.simulation.documents import DocumentError, convert, parse_yaml
from exporter.simulation.effects import Kind
from exporter.simulation.faults import FAULTS

_NAME = "^[a-z][a-z0-9-]{0,62}$"


class ScenarioError(ValueError):
    """A scenario cannot be used. One line: place, value and rule."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Phase(_Strict, frozen=True):
    """A stretch of an incident; `level` is reached at its end, in a straight line from the one before."""

    name: Annotated[str, Meta(pattern="^(pre|onset|peak|sustained|recovery)$")]
    duration: str
    level: Annotated[float, Meta(ge=0, le=1)]

    def __post_init__(self) -> None:
        _checked("duration", self.duration)

    @property
    def duration_ms(self) -> int:
        return parse_duration(self.duration)


class Root(_Strict, frozen=True):
    """Where it starts, when nobody names a server, and with which fault."""

    fault: str
    server: str | None = None
    role: str | None = None
    label: dict[str, str] | None = None
    percent: Annotated[float, Meta(gt=0, le=100)] | None = None
    params: dict[str, float] = {}

    def __post_init__(self) -> None:
        if self.fault not in FAULTS:
            raise ValueError(f"fault {self.fault!r}: must be one of {', '.join(FAULTS)}")
        known = FAULTS[self.fault].params
        for name in self.params:
            if name not in known:
                raise ValueError(f"params.{name}: {self.fault} has {', '.join(known) or 'no params'}")


class Consequence(_Strict, frozen=True):
    """What happens on the servers of a role some time after the start."""

    role: str
    after: str = "0s"
    cpu_to: Annotated[float, Meta(ge=0, le=100)] | None = None
    cpu_times: Annotated[float, Meta(ge=0, le=20)] | None = None
    demand_times: Annotated[float, Meta(ge=0, le=50)] | None = None
    latency_times: Annotated[float, Meta(ge=0, le=1000)] | None = None
    latency_to: Annotated[float, Meta(ge=0, le=600)] | None = None
    memory_to: Annotated[float, Meta(ge=0, le=100)] | None = None
    memory_times: Annotated[float, Meta(ge=0, le=20)] | None = None
    network_times: Annotated[float, Meta(ge=0, le=50)] | None = None
    errors: Annotated[float, Meta(ge=0, le=1)] | None = None

    def __post_init__(self) -> None:
        _checked("after", self.after)
        if not self.effects():
            raise ValueError(f"must name at least one of {', '.join(self.__struct_fields__[2:])}")

    def effects(self) -> dict[Kind, float]:
        """The effects that were named."""
        given = {name: getattr(self, name) for name in self.__struct_fields__ if name not in ("role", "after")}
        return {Kind(name): value for name, value in given.items() if value is not None}


class Propagate(_Strict, frozen=True):
    """How it reaches other servers: along the service graph by itself, and by what is said."""

    depth: Annotated[int, Meta(ge=0, le=5)] = 0
    effects: tuple[Consequence, ...] = ()


class Expect(_Strict, frozen=True):
    """What a good set of rules would say, for those who measure rules."""

    alerts: tuple[str, ...] = ()
    affected: tuple[str, ...] = ()


class Scenario(_Strict, frozen=True):
    """One kind of failure."""

    name: Annotated[str, Meta(pattern=_NAME)]
    phases: Annotated[tuple[Phase, ...], Meta(min_length=1)]
    root: Root
    description: str = ""
    propagate: Propagate = Propagate()
    expect: Expect = Expect()

    def __post_init__(self) -> None:
        if self.duration_ms <= 0:
            raise ValueError("phases: must last longer than 0s together")

    @property
    def duration_ms(self) -> int:
        return sum(phase.duration_ms for phase in self.phases)


def _checked(key: str, text: str) -> None:
    try:
        parse_duration(text)
    except ValueError as err:
        raise ValueError(f"{key}: {err}") from None


def parse_scenario(text: str, place: str, roles: Collection[str] = ()) -> Scenario:
    """The scenario in a YAML text; it may name these roles only, if any are given. Raises ScenarioError."""
    try:
        scenario = convert(parse_yaml(text, place), Scenario, place)
    except DocumentError as err:
        raise ScenarioError(str(err)) from None
    named = {"root.role": scenario.root.role}
    for number, consequence in enumerate(scenario.propagate.effects):
        named[f"propagate.effects[{number}].role"] = consequence.role
    for path, role in named.items():
        if roles and role is not None and role not in roles:
            raise ScenarioError(f"{place}: {path}: {role!r}: must be one of {', '.join(roles)}")
    return scenario


def shipped_scenarios() -> Mapping[str, Scenario]:
    """The scenarios that come with the program, by name."""
    folder = resources.files("exporter.simulation").joinpath("scenarios")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    scenarios = [parse_scenario(file.read_text(encoding="utf-8"), file.name) for file in files]
    return {scenario.name: scenario for scenario in scenarios}
