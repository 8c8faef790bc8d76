"""What there is to know of alerts besides themselves: the limit each rule names, silences, what was resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from exporter.model import Matcher, MatchType
from exporter.promql.ast import Binary, Expr, without_parens
from exporter.promql.constant import constant
from exporter.promql.errors import ParseError
from exporter.promql.parser import parse
from exporter.web.alerter import Alerter

_RESOLVED_FOR_S = 3600.0
_MOST_RESOLVED = 50
_MIRRORED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}
_KINDS = {
    (True, False): MatchType.EQUAL,
    (False, False): MatchType.NOT_EQUAL,
    (True, True): MatchType.REGEX,
    (False, True): MatchType.NOT_REGEX,
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence that holds now; `ends_at` is RFC 3339."""

    id: str
    matchers: tuple[Matcher, ...]
    ends_at: str
    comment: str
    created_by: str

    def covers(self, labels: Mapping[str, str]) -> bool:
        """Whether it keeps an alert with these labels quiet."""
        return all(matcher.matches(labels.get(matcher.name, "")) for matcher in self.matchers)

    def as_json(self) -> dict[str, object]:
        """For a page: matchers as text."""
        return {
            "id": self.id,
            "matchers": [f'{matcher.name}{matcher.type.value}"{matcher.value}"' for matcher in self.matchers],
            "ends_at": self.ends_at,
            "comment": self.comment,
            "created_by": self.created_by,
        }


@dataclass(frozen=True, slots=True)
class Resolved:
    """An alert that fired and no longer does; `resolved_at` is RFC 3339, `value` its last."""

    labels: Mapping[str, str]
    resolved_at: str
    value: str

    def as_json(self) -> dict[str, object]:
        """As the Prometheus API shows alerts, with `resolvedAt`."""
        return {"labels": self.labels, "state": "resolved", "resolvedAt": self.resolved_at, "value": self.value}


@dataclass(frozen=True, slots=True)
class Details:
    """`limits`: by alert name, `> 80`. `resolved`: of the last hour, newest first, at most 50."""

    limits: Mapping[str, str] = field(default_factory=dict)
    silences: tuple[Silence, ...] = ()
    resolved: tuple[Resolved, ...] = ()


class _Rule(msgspec.Struct):
    name: str
    query: str
    type: str


class _Group(msgspec.Struct):
    rules: list[_Rule]


class _Groups(msgspec.Struct):
    groups: list[_Group]


class _Step(msgspec.Struct):
    time: str
    kind: str
    what: str
    labels: dict[str, str]
    value: str = ""


class _Enveloped(msgspec.Struct, Generic[T]):
    data: T


class _Matcher(msgspec.Struct):
    name: str
    value: str
    isEqual: bool = True  # the API's name
    isRegex: bool = False


class _SilenceStatus(msgspec.Struct):
    state: str


class _Silence(msgspec.Struct):
    id: str
    matchers: list[_Matcher]
    endsAt: str  # the API's name
    status: _SilenceStatus
    comment: str = ""
    createdBy: str = ""


async def ask(alerter: Alerter, now: float) -> Details:
    """The details as the alerter tells them now, Unix seconds. Raises AlerterAway while it cannot be reached.

    What it does not tell is left out: a Prometheus in its place has neither silences nor a history.
    """
    rules = await _told(alerter, _Enveloped[_Groups], "/api/v1/rules", ("type", "alert"), ("exclude_alerts", "true"))
    silences = await _told(alerter, list[_Silence], "/api/v2/silences")
    since = ("start", f"{now - _RESOLVED_FOR_S:.3f}")
    steps = await _told(
        alerter, _Enveloped[list[_Step]], "/api/v1/history", since, ("limit", "1000"), ("q", "resolved")
    )
    return Details(
        _limits(rules.data) if rules else {},
        tuple(_silence(each) for each in silences or () if each.status.state == "active"),
        _resolved(steps.data) if steps else (),
    )


async def _told(alerter: Alerter, of: type[T], path: str, *query: tuple[str, str]) -> T | None:
    """An answer of this shape; None for every other."""
    answer = await alerter.get(path, query)
    if answer.status != 200:
        return None
    try:
        return msgspec.json.decode(answer.body, type=of)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _limits(told: _Groups) -> dict[str, str]:
    rules = [rule for group in told.groups for rule in group.rules if rule.type == "alerting"]
    return {rule.name: limit for rule in rules if (limit := limit_of(rule.query))}


def limit_of(query: str) -> str:
    """What the value of a rule's alerts is held against, `> 80`; "" where that is not a number."""
    try:
        return _limit(parse(query))
    except ParseError:
        return ""


def _limit(expr: Expr) -> str:
    plain = without_parens(expr)
    if not isinstance(plain, Binary):
        return ""
    if plain.op in ("and", "unless"):  # the value is the left side's
        return _limit(plain.left)
    if plain.op not in _MIRRORED:
        return ""
    left, right = constant(plain.left), constant(plain.right)
    if right is not None:
        return f"{plain.op} {right:g}"
    return "" if left is None else f"{_MIRRORED[plain.op]} {left:g}"


def _silence(told: _Silence) -> Silence:
    matchers = tuple(Matcher(_KINDS[each.isEqual, each.isRegex], each.name, each.value) for each in told.matchers)
    return Silence(told.id, matchers, told.endsAt, told.comment, told.createdBy)


def _resolved(told: list[_Step]) -> tuple[Resolved, ...]:
    steps = [step for step in told if step.kind == "transition" and step.what == "resolved"]
    return tuple(Resolved(step.labels, step.time, step.value) for step in steps[:_MOST_RESOLVED])
