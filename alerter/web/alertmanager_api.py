"""Alertmanager's API v2 as far as its own tool uses it: silences, alerts, groups, receivers and status.

Source: prometheus/alertmanager, api/v2/openapi.yaml.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from alerter.decisions.inhibition import Known
from alerter.decisions.routing import PolicyOf
from alerter.matchers import all_match, parse_matcher
from alerter.model import Alert, AlertState
from alerter.state.silences import NoSuchSilenceError, Silence, SilenceMatcher, Silences
from alerter.web import api
from alerter.web.web import answer
from exporter.model import Labels, Matcher, compile_regex

_STANDING_BY = "another alerter leads: silences are made and ended there"
_TRUE = ("1", "t", "true", "True", "TRUE", "T")


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """What the handlers show and may do. `inhibited` gives the labels of the alerts that another one covers.

    `receivers`: how each of them is told of an alert, by the name that routes call it.
    """

    silences: Silences
    known: Callable[[], Sequence[Known]]
    inhibited: Callable[[], set[Labels]]
    receivers: Mapping[str, PolicyOf]
    changed: Callable[[], None]
    now: Callable[[], float]
    started_at: float
    config: str
    standing_by: Callable[[], bool] = lambda: False


def routes(site: Alertmanager) -> list[web.RouteDef]:
    """What is served under /api/v2."""

    async def status(_: web.Request) -> web.Response:
        return answer(200, _status(site))

    async def receivers(_: web.Request) -> web.Response:
        return answer(200, [{"name": name} for name in site.receivers])

    async def alerts(request: web.Request) -> web.Response:
        try:
            return answer(200, _alerts(site, request))
        except ValueError as err:
            return answer(400, str(err))

    async def groups(request: web.Request) -> web.Response:
        try:
            return answer(200, _groups(site, request))
        except ValueError as err:
            return answer(400, str(err))

    async def silences(request: web.Request) -> web.Response:
        try:
            wanted = [parse_matcher(text) for text in request.query.getall("filter", [])]
        except ValueError as err:
            return answer(400, str(err))
        found = [each for each in site.silences.all() if _has(each, wanted)]
        order = {"active": 0, "pending": 1, "expired": 2}
        found.sort(key=lambda each: (order[each.status(site.now())], each.ends_at))
        return answer(200, [silence_json(each, site.now()) for each in found])

    async def silence(request: web.Request) -> web.Response:
        try:
            return answer(200, silence_json(site.silences.get(request.match_info["id"]), site.now()))
        except NoSuchSilenceError as err:
            return answer(404, str(err))

    async def add(request: web.Request) -> web.Response:
        if site.standing_by():
            return answer(503, _STANDING_BY)
        if request.content_type != "application/json":  # a foreign page can send a form, but not this
            return answer(415, "a silence is JSON: Content-Type must be application/json")
        try:
            key = site.silences.put(_silence(await request.read(), site.now()))
        except NoSuchSilenceError as err:
            return answer(404, str(err))
        except ValueError as err:
            return answer(400, str(err))
        site.changed()
        return answer(200, {"silenceID": key})

    async def expire(request: web.Request) -> web.Response:
        if site.standing_by():
            return answer(503, _STANDING_BY)
        try:
            site.silences.expire(request.match_info["id"])
        except NoSuchSilenceError as err:
            return answer(404, str(err))
        except ValueError as err:
            return answer(500, str(err))
        site.changed()
        return answer(200, {})

    return [
        web.get("/api/v2/status", status),
        web.get("/api/v2/receivers", receivers),
        web.get("/api/v2/alerts", alerts),
        web.get("/api/v2/alerts/groups", groups),
        web.get("/api/v2/silences", silences),
        web.post("/api/v2/silences", add),
        web.get("/api/v2/silence/{id}", silence),
        web.delete("/api/v2/silence/{id}", expire),
    ]


def _status(site: Alertmanager) -> dict[str, Any]:
    return {
        "cluster": {"status": "disabled", "peers": []},
        "config": {"original": site.config},
        "uptime": api.rfc3339(site.started_at),
        "versionInfo": dict.fromkeys(("branch", "buildDate", "buildUser", "goVersion", "revision"), "")
        | {"version": "0.25.0"},
    }


# -- alerts -------------------------------------------------------------------------------------


def _alerts(site: Alertmanager, request: web.Request) -> list[dict[str, Any]]:
    matchers = [parse_matcher(text) for text in request.query.getall("filter", [])]
    wanted = {name: request.query.get(name, "true") in _TRUE for name in ("active", "silenced", "inhibited")}
    told = _told(site, request)
    covered, silences = site.inhibited(), site.silences.active()
    shown = []
    for alert in _firing(site, matchers):
        receivers = [name for name, policy_of in told.items() if policy_of(alert.labels) is not None]
        if not receivers:
            continue
        silenced_by = site.silences.silenced_by(alert.labels, silences)
        inhibited_by = ["another alert"] if alert.labels in covered else []
        shown.append(_alert_json(site.now(), alert, receivers, silenced_by, inhibited_by))
    return [each for each in shown if _is_wanted(each["status"], wanted)]


def _told(site: Alertmanager, request: web.Request) -> dict[str, PolicyOf]:
    """The receivers that are asked for, all by default. Raises ValueError for a regex that is none."""
    wanted = request.query.get("receiver", "")
    matches = compile_regex(wanted).fullmatch if wanted else None
    return {name: policy_of for name, policy_of in site.receivers.items() if matches is None or matches(name)}


def _firing(site: Alertmanager, matchers: Sequence[Matcher]) -> list[Alert]:
    firing = {
        each.alert.labels: each.alert
        for each in site.known()
        if each.alert.state is AlertState.FIRING and all_match(matchers, each.alert.label)
    }
    return [firing[labels] for labels in sorted(firing)]


def _is_wanted(status: Mapping[str, Any], wanted: Mapping[str, bool]) -> bool:
    if status["state"] == "active":
        return wanted["active"]
    return (wanted["silenced"] or not status["silencedBy"]) and (wanted["inhibited"] or not status["inhibitedBy"])


def _alert_json(
    now: float, alert: Alert, receivers: Sequence[str], silenced_by: Sequence[str], inhibited_by: Sequence[str]
) -> dict[str, Any]:
    assert alert.fired_at is not None
    return {
        "annotations": dict(alert.annotations),
        "endsAt": api.rfc3339(now + 300),
        "fingerprint": alert.fingerprint,
        "receivers": [{"name": name} for name in receivers],
        "startsAt": api.rfc3339(alert.fired_at),
        "status": {
            "inhibitedBy": inhibited_by,
            "silencedBy": silenced_by,
            "state": "suppressed" if silenced_by or inhibited_by else "active",
        },
        "updatedAt": api.rfc3339(now),
        "generatorURL": alert.generator_url,
        "labels": dict(alert.labels),
    }


def _groups(site: Alertmanager, request: web.Request) -> list[dict[str, Any]]:
    """By receiver and the labels it groups by."""
    groups: dict[tuple[str, Labels], list[dict[str, Any]]] = {}
    for shown in _alerts(site, request):
        labels = tuple(sorted(shown["labels"].items()))
        for name in (receiver["name"] for receiver in shown["receivers"]):
            policy = site.receivers[name](labels)
            if policy is not None:
                groups.setdefault((name, policy.group_of(labels)), []).append(shown)
    return [
        {"alerts": found, "labels": dict(labels), "receiver": {"name": name}}
        for (name, labels), found in sorted(groups.items(), key=lambda item: item[0])
    ]


# -- silences -----------------------------------------------------------------------------------


def silence_json(silence: Silence, now: float) -> dict[str, Any]:
    """One silence."""
    return {
        "id": silence.id,
        "status": {"state": silence.status(now)},
        "updatedAt": api.rfc3339(silence.updated_at),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": api.rfc3339(silence.ends_at),
        "matchers": [
            {
                "isEqual": each.type in ("=", "=~"),
                "isRegex": each.type in ("=~", "!~"),
                "name": each.name,
                "value": each.value,
            }
            for each in silence.matchers
        ],
        "startsAt": api.rfc3339(silence.starts_at),
    }


def _has(silence: Silence, wanted: Sequence[Matcher]) -> bool:
    """Whether the silence has a matcher for each filter, as amtool means it: on the matchers' values."""
    values = {each.name: each.value for each in silence.matchers}
    return all_match(wanted, values)


def _silence(body: bytes, now: float) -> Silence:
    """A silence that was posted. Raises ValueError."""
    try:
        raw = orjson.loads(body)
        matchers = tuple(_matcher(each) for each in raw["matchers"])
        return Silence(
            id=str(raw.get("id") or ""),
            matchers=matchers,
            starts_at=_instant(raw["startsAt"]),
            ends_at=_instant(raw["endsAt"]),
            updated_at=now,
            created_by=str(raw["createdBy"]),
            comment=str(raw["comment"]),
        )
    except orjson.JSONDecodeError as err:
        raise ValueError(f"parsing silence body failed: {err}") from None
    except KeyError as err:
        raise ValueError(f"silence.{err.args[0]} in body is required") from None
    except (TypeError, AttributeError):
        raise ValueError("a silence is an object with matchers, startsAt, endsAt, createdBy and comment") from None


def _matcher(raw: Mapping[str, Any]) -> SilenceMatcher:
    equal, regex = raw.get("isEqual", True), raw.get("isRegex", False)
    kind = ("=~" if equal else "!~") if regex else ("=" if equal else "!=")
    return SilenceMatcher(str(raw["name"]), str(raw["value"]), kind)


def _instant(text: str) -> float:
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r}: a time needs its zone")
    return moment.timestamp()
