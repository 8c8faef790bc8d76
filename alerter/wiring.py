"""What the settings say, as the plain values that the rooms take."""

from __future__ import annotations

from pathlib import Path

from alerter.config import Config
from alerter.config import Route as RouteConfig
from alerter.datasource.expansion import LANGUAGE
from alerter.decisions.dispatch import Policy
from alerter.decisions.inhibition import InhibitRule, built_in
from alerter.decisions.mute_times import Interval
from alerter.decisions.routing import Route
from alerter.matchers import parse_matcher
from alerter.rules import rulefile
from alerter.rules.rulepaths import rule_paths
from alerter.rules.rules import Group
from alerter.state.state import Keeper, StoreError
from exporter.access import Access, WebConfigError
from exporter.access import load as load_access


class StartError(Exception):
    """It cannot run with these settings. The message is one line."""


def read_rules(config: Config) -> tuple[Group, ...]:
    """The groups of all rule files. Raises RuleFileError."""
    return rulefile.load(rule_paths(config.rules), LANGUAGE, config.evaluation.seconds("interval"))


def keeper(url: str, name: str) -> Keeper:
    """Where the alerter of this name keeps its state. Raises StoreError for an unusable file; Redis connects later."""
    if url.startswith("sqlite:///"):
        from alerter.state.sqlite_state import SqliteKeeper

        return SqliteKeeper(Path(url.removeprefix("sqlite:///")))
    from alerter.state.redis_state import RedisKeeper

    try:
        return RedisKeeper(url, name)
    except ValueError:  # its words may hold the password
        raise StoreError("state.url: not a usable Redis URL") from None


def policies(config: Config) -> Policy:
    """How alerts become messages, from the settings."""
    delivery = config.delivery
    return Policy(
        group_by=delivery.group_by,
        detail_labels=delivery.detail_labels,
        group_wait_s=delivery.seconds("group_wait"),
        group_interval_s=delivery.seconds("group_interval"),
        repeat_interval_s=delivery.seconds("repeat_interval"),
    )


def inhibit_rules(config: Config) -> list[InhibitRule]:
    """The built-in inhibition and those of the settings. Raises StartError for a matcher that is none."""
    rules = [built_in(config.delivery.detail_labels, config.delivery.seconds("inhibit_linger"))]
    try:
        for rule in config.delivery.inhibit:
            source, target = (tuple(map(parse_matcher, texts)) for texts in (rule.source, rule.target))
            rules.append(InhibitRule(source, target, rule.equal))
    except ValueError as err:
        raise StartError(f"delivery.inhibit: {err}") from None
    return rules


def access(config: Config) -> Access:
    """Who may reach the alerter. Raises StartError for a file that cannot be used."""
    if not config.web.config.file:
        return Access()
    try:
        return load_access(Path(config.web.config.file))
    except WebConfigError as err:
        raise StartError(f"web.config.file: {err}") from None


def routes(config: Config) -> list[Route]:
    """Who is told what, in the order of the settings."""
    default = policies(config)
    return [_route(route, default, config) for route in config.routes]


def _route(route: RouteConfig, default: Policy, config: Config) -> Route:
    policy = Policy(
        group_by=default.group_by if route.group_by is None else route.group_by,
        detail_labels=default.detail_labels,
        group_wait_s=route.seconds("group_wait", default.group_wait_s),
        group_interval_s=route.seconds("group_interval", default.group_interval_s),
        repeat_interval_s=route.seconds("repeat_interval", default.repeat_interval_s),
    )
    return Route(
        tuple(map(parse_matcher, route.matchers)),
        frozenset(route.receivers),
        policy,
        route.goes_on,
        _intervals(route.mute_times, config),
        _intervals(route.active_times, config) if route.active_times else None,
    )


def _intervals(names: tuple[str, ...], config: Config) -> tuple[Interval, ...]:
    return tuple(written.interval for name in names for written in config.mute_times[name])
