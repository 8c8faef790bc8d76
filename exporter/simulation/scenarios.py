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
schedule: {random: 0.2}                          # or at: "02:30", or every: 6h; without one only who asks for it
expect: {alerts: [CriticalCPUUsage]}
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from exporter.duration import parse_duration
from exporter.simulation.documents import Document, DocumentError, Mistake, shown_path
from exporter.simulation.documents import Path as DocumentPath
from exporter.simulation.effects import Kind
from exporter.simulation.faults import FAULTS

_NAME = "^[a-z][a-z0-9-]{0,62}$"
# what a JSON schema can say of a duration and a moment; the whole rule is in the code
_DURATION = "^(0|(?=[0-9])([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$"
_Duration = Annotated[str, Meta(extra_json_schema={"pattern": _DURATION})]
_Fault = Annotated[str, Meta(pattern=f"^({'|'.join(FAULTS)})$")]
_Moment = Annotated[
    str, Meta(extra_json_schema={"pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^[0-9]{4}-[0-9]{2}-[0-9]{2}T.+"})
]


class ScenarioError(ValueError):
    """A file of a scenario cannot be used. A line for each mistake: file, line, column, value and rule."""

    def __init__(self, place: str, mistakes: Collection[Mistake]) -> None:
        super().__init__("\n".join(mistake.at(place) for mistake in mistakes))

    @classmethod
    def of_lines(cls, lines: Collection[str]) -> ScenarioError:
        """One for several files."""
        error = cls("", ())
        error.args = ("\n".join(lines),)
        return error


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Phase(_Strict, frozen=True):
    """A stretch of an incident; `level` is reached at its end, in a straight line from the one before."""

    name: Annotated[str, Meta(pattern="^(pre|onset|peak|sustained|recovery)$")]
    duration: _Duration
    level: Annotated[float, Meta(ge=0, le=1)]

    def __post_init__(self) -> None:
        _checked("duration", self.duration)

    @property
    def duration_ms(self) -> int:
        return parse_duration(self.duration)


class Root(_Strict, frozen=True):
    """Where it starts, when nobody names a server, and with which fault."""

    fault: _Fault
    server: str | None = None
    role: str | None = None
    label: dict[str, str] | None = None
    percent: Annotated[float, Meta(gt=0, le=100)] | None = None
    params: dict[str, float | str] = {}

    def __post_init__(self) -> None:
        FAULTS[self.fault].check(self.params)


class Consequence(_Strict, frozen=True):
    """What happens on the servers of a role some time after the start."""

    role: str
    after: _Duration = "0s"
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


_CLOCK = re.compile("([01][0-9]|2[0-3]):[0-5][0-9]")


class Schedule(_Strict, frozen=True):
    """When it happens by itself. Invariant: exactly one of the three is set.

    at: RFC 3339 moments, and times of day (`02:30`, every day in the fleet's time zone). every: at the multiples of a
    duration. random: how often a day it is to be expected on each server it can start on.
    """

    at: _Moment | tuple[_Moment, ...] | None = None
    every: _Duration | None = None
    random: Annotated[float, Meta(gt=0, le=24)] | None = None

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.at, self.every, self.random)) != 1:
            raise ValueError("must have one of at, every, random")
        for moment in self.moments:
            if not _CLOCK.fullmatch(moment):
                _instant_ms(moment)
        if self.every is not None:
            _checked("every", self.every)
            if parse_duration(self.every) < 60_000:
                raise ValueError(f"every: {self.every!r}: must be at least 1m")

    @property
    def moments(self) -> tuple[str, ...]:
        return (self.at,) if isinstance(self.at, str) else self.at or ()

    @property
    def clock_times(self) -> tuple[tuple[int, int], ...]:
        """Hours and minutes of the times of day."""
        return tuple((int(m[:2]), int(m[3:])) for m in self.moments if _CLOCK.fullmatch(m))

    @property
    def instants_ms(self) -> tuple[int, ...]:
        """The moments, Unix ms."""
        return tuple(_instant_ms(moment) for moment in self.moments if not _CLOCK.fullmatch(moment))


def _instant_ms(text: str) -> int:
    try:
        moment = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"at: {text!r}: must be a time of day such as 02:30, or as 2026-11-24T02:30:00Z")
    return round(moment.timestamp() * 1000)


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
    schedule: Schedule | None = None
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
        document = Document(text, place)
        scenario = document.convert(Scenario)
    except DocumentError as err:
        raise ScenarioError(place, err.mistakes) from None
    known = ", ".join(roles)
    if wrong := [
        document.mistake(path, f"{shown_path(path)}: {role!r}: must be one of {known}")
        for path, role in _roles_of(scenario)
        if roles and role not in roles
    ]:
        raise ScenarioError(place, wrong)
    return scenario


def _roles_of(scenario: Scenario) -> Iterator[tuple[DocumentPath, str]]:
    if scenario.root.role is not None:
        yield ("root", "role"), scenario.root.role
    for number, consequence in enumerate(scenario.propagate.effects):
        yield ("propagate", "effects", number, "role"), consequence.role


def shipped_scenarios() -> Mapping[str, Scenario]:
    """The scenarios that come with the program, by name."""
    folder = resources.files("exporter.simulation").joinpath("scenarios")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    scenarios = [parse_scenario(file.read_text(encoding="utf-8"), file.name) for file in files]
    return {scenario.name: scenario for scenario in scenarios}


def read_scenario(file: Path, roles: Collection[str] = ()) -> Scenario:
    """The scenario in a file. Raises ScenarioError."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as err:
        raise ScenarioError(str(file), [Mistake(0, 0, err.strerror or type(err).__name__)]) from None
    except UnicodeDecodeError as err:
        raise ScenarioError(str(file), [Mistake(0, 0, f"byte {err.start}: not UTF-8 text")]) from None
    return parse_scenario(text, str(file), roles)


def scenarios_in(folder: Path, roles: Collection[str] = ()) -> Mapping[str, Scenario]:
    """The shipped scenarios, with those of a folder's *.yaml and *.yml added or put in their place.

    Raises ScenarioError with every mistake of every file, and for two files of one name.
    """
    if not folder.is_dir():
        raise ScenarioError(str(folder), [Mistake(0, 0, "must be a folder of YAML files")])
    found: dict[str, tuple[Path, Scenario]] = {}
    wrong: list[str] = []
    for file in sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml")):
        try:
            scenario = read_scenario(file, roles)
        except ScenarioError as err:
            wrong.append(str(err))
            continue
        if before := found.get(scenario.name):
            wrong.append(Mistake(0, 0, f"name: {scenario.name!r}: is that of {before[0].name} too").at(str(file)))
        found[scenario.name] = (file, scenario)
    if wrong:
        raise ScenarioError.of_lines(wrong)
    return {**shipped_scenarios(), **{name: scenario for name, (_, scenario) in found.items()}}


def schema() -> dict[str, Any]:
    """The JSON schema of a scenario file, as `scenario.schema.json` holds it for editors and other tools."""
    found = msgspec.json.schema(Scenario)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "OpenManager failure scenario",
        "$ref": found["$ref"],
        "$defs": found["$defs"],
    }
