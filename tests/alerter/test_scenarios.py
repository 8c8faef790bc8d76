"""Every alert scenario, state by state and text by text, on a real Prometheus that holds its samples."""

from __future__ import annotations

import asyncio
import datetime
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from alerter.config import Config, Datasource, Web
from alerter.datasource.expansion import LANGUAGE, RuleTemplates
from alerter.datasource.querier import Querier
from alerter.datasource.remote_write import RemoteWriter
from alerter.decisions.evaluation import Element
from alerter.decisions.sends import sends
from alerter.rules import rulefile
from alerter.tools.backtest import Backtest, Step
from alerter.tools.past import backtest
from tests.alerter.scenarios import STALE, Scenario, load
from tests.conftest import SHARED
from tests.servers import Servers

BASE = 1_700_000_000 - 1_700_000_000 % 3_600
NAMES = sorted(path.stem for path in (SHARED / "alert-scenarios").glob("*.yml"))


async def _fill(url: str, scenario: Scenario) -> None:
    async with RemoteWriter(f"{url}/api/v1/write", 10) as writer:
        for step in range(max(len(values) for _, values in scenario.series)):
            at = [(labels, values[step]) for labels, values in scenario.series if step < len(values)]
            samples = [Element(labels, value) for labels, value in at if isinstance(value, float)]
            ended = [labels for labels, value in at if value == STALE]
            if samples or ended:
                await writer.write(samples, ended, BASE + step * scenario.interval_s)


@pytest.fixture(params=NAMES)
def scenario(request: pytest.FixtureRequest, shared: Path) -> Scenario:
    return load(shared / "alert-scenarios" / f"{request.param}.yml")


@pytest.fixture
def past(scenario: Scenario, servers: Servers) -> str:
    url = servers.prometheus("{}", "--web.enable-remote-write-receiver").url
    asyncio.run(_fill(url, scenario))
    return url


def _settings(scenario: Scenario, url: str, folder: Path) -> Config:
    rules = folder / "rules.yml"
    rules.write_text(yaml.safe_dump(scenario.rules, allow_unicode=True), encoding="utf-8")
    return msgspec.structs.replace(
        Config(),
        rules=(str(rules),),
        datasource=Datasource(url=url),
        external_labels=scenario.external_labels,
        web=Web(external_url=scenario.external_url),
    )


def _end(scenario: Scenario) -> float:
    return float(BASE + scenario.expected["timeline"][-1]["t"])


def _alerts(shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(shown, key=lambda alert: json.dumps(alert["labels"], sort_keys=True))


def _seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp() - BASE


async def test_backtest_lines_equal_what_prometheus_computed(scenario: Scenario, past: str, tmp_path: Path) -> None:
    out = io.StringIO()
    config = _settings(scenario, past, tmp_path)
    assert await backtest(config, BASE, _end(scenario), "jsonl", out, io.StringIO()) == 0
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["t"] - BASE for line in lines] == [step["t"] for step in scenario.expected["timeline"]]
    for line, expected in zip(lines, scenario.expected["timeline"], strict=True):
        for alert in line["alerts"]:
            alert["activeAt"] = _seconds(alert["activeAt"])
            alert.pop("keepFiringSince", None)  # 2.42 does not show it
        assert _alerts(line["alerts"]) == _alerts(expected["alerts"]), f"at {expected['t']}"
        assert line["errors"] == expected["errors"]


async def test_what_an_alertmanager_would_be_sent_equals_what_prometheus_sent(
    scenario: Scenario, past: str, tmp_path: Path
) -> None:
    config = _settings(scenario, past, tmp_path)
    groups = rulefile.load(config.rules, LANGUAGE, 15)
    async with Querier(past, 10) as querier:
        templates = partial(
            RuleTemplates, external_labels=scenario.external_labels, external_url=scenario.external_url, timeout_s=10
        )
        walk = Backtest(groups, querier, templates, BASE, _end(scenario))
        sent: dict[str, dict[Any, float]] = {}
        index = 0
        async for step in walk.walk():
            found = _sent(walk, step, sent, scenario.interval_s)
            assert _alerts(found) == _alerts(scenario.expected["timeline"][index]["sends"]), f"at {step.t - BASE}"
            index += 1
    assert index == scenario.expected["evals"]


def _sent(walk: Backtest, step: Step, sent: dict[str, dict[Any, float]], interval_s: float) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for key, state in walk.states():
        due, sent[key] = sends(state, sent.get(key, {}), step.t, resend_delay_s=60, interval_s=interval_s)
        shown += [
            {
                "labels": dict(each.alert.labels),
                "annotations": dict(each.alert.annotations),
                "status": "firing" if each.alert.resolved_at is None else "resolved",
                "startsAt": each.starts_at - BASE,
                "endsAt": each.ends_at - BASE,
            }
            for each in due
        ]
    return shown
