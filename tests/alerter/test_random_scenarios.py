"""Random scenarios: `backtest` over a Prometheus finds, instant by instant, what promtool finds."""

from __future__ import annotations

import asyncio
import datetime
import io
import json
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
import yaml

from alerter.config import Config, Datasource
from alerter.datasource.remote_write import RemoteWriter
from alerter.decisions.evaluation import Element
from alerter.template.quoting import unquote
from alerter.tools.past import backtest
from alerter.tools.unit_series import STALE, parse_values
from exporter.duration import parse_duration
from exporter.model import METRIC_NAME, Labels, make_labels
from tests.alerter.random_scenarios import STEPS, RandomScenario, scenario
from tests.servers import Servers, binary

BASE = 1_700_000_000 - 1_700_000_000 % 3_600
STEP_S = 15
SEEDS = range(16)
_SET = r'\{(?:[^"{}]|"(?:[^"\\]|\\.)*")*\}'
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)=("(?:[^"\\]|\\.)*")')
Found: TypeAlias = dict[Labels, Any]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Servers(tmp_path_factory.mktemp("prometheus")) as servers:
        yield servers.prometheus("{}", "--web.enable-remote-write-receiver").url


@pytest.mark.parametrize("seed", SEEDS)
def test_every_instant_is_as_promtool_finds_it(seed: int, url: str, tmp_path: Path) -> None:
    drawn, base = scenario(seed), BASE + seed * 3_600
    wanted = promtool(drawn, tmp_path)
    asyncio.run(fill(url, drawn, base))
    config = msgspec.structs.replace(Config(), rules=(str(tmp_path / "rules.yml"),), datasource=Datasource(url=url))
    out = io.StringIO()
    asyncio.run(backtest(config, base, base + (STEPS - 1) * STEP_S, "jsonl", out, io.StringIO()))
    for line in map(json.loads, out.getvalue().splitlines()):
        t = line["t"] - base
        alerts = {make_labels(alert["labels"]): alert for alert in line["alerts"]}
        assert line["errors"] == {}
        assert {labels: alert["state"] for labels, alert in alerts.items()} == wanted["ALERTS"][t], t
        assert {labels: since(alert) - base for labels, alert in alerts.items()} == wanted["ALERTS_FOR_STATE"][t], t
        texts = {labels: alert["annotations"] for labels, alert in alerts.items() if alert["state"] == "firing"}
        assert texts == wanted["texts"][t], t


def since(alert: dict[str, Any]) -> float:
    return datetime.datetime.fromisoformat(alert["activeAt"]).timestamp()


async def fill(url: str, drawn: RandomScenario, base: int) -> None:
    columns = [(labels, list(parse_values(values))) for labels, values in drawn.series]
    async with RemoteWriter(f"{url}/api/v1/write", 10) as writer:
        for step in range(max(len(values) for _, values in columns)):
            here = [(labels, values[step]) for labels, values in columns if step < len(values)]
            at = [(labels, value) for labels, value in here if value is not None]
            samples = [Element(labels, value) for labels, value in at if not is_stale(value)]
            await writer.write(samples, [labels for labels, value in at if is_stale(value)], base + step * STEP_S)


def is_stale(value: float) -> bool:
    return struct.pack("<d", value) == struct.pack("<d", STALE)


def promtool(drawn: RandomScenario, folder: Path) -> dict[str, dict[int, Found]]:
    """By time: the states, the times of ALERTS_FOR_STATE, and the annotations of what fires.

    Every check fails on purpose: so promtool says what it got.
    """
    (folder / "rules.yml").write_text(yaml.safe_dump(drawn.rules, width=10_000))
    times = [f"{step * STEP_S}s" for step in range(STEPS)]
    wrong = [{"exp_labels": {"no": "such"}}]
    test = {
        "interval": f"{STEP_S}s",
        "input_series": [{"series": _series(labels), "values": values} for labels, values in drawn.series],
        "alert_rule_test": [
            {"eval_time": t, "alertname": name, "exp_alerts": wrong} for t in times for name in drawn.alert_names
        ],
        "promql_expr_test": [
            {"expr": expr, "eval_time": t, "exp_samples": [{"labels": "no", "value": 1}]}
            for t in times
            for expr in ("ALERTS", "ALERTS_FOR_STATE")
        ],
    }
    order = [group["name"] for group in drawn.rules["groups"]]  # else it is another one at each run
    file = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{STEP_S}s",
        "group_eval_order": order,
        "tests": [test],
    }
    (folder / "test.yml").write_text(yaml.safe_dump(file, width=10_000))
    command = [binary("promtool"), "test", "rules", str(folder / "test.yml")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "rule: " not in run.stdout + run.stderr, "an evaluation failed"
    return _got(run.stdout + run.stderr)


def _series(labels: Labels) -> str:
    name = dict(labels)[METRIC_NAME]
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in labels if key != METRIC_NAME) + "}"


def _got(said: str) -> dict[str, dict[int, Found]]:
    times = [step * STEP_S for step in range(STEPS)]
    found: dict[str, dict[int, Found]] = {
        what: {t: {} for t in times} for what in ("ALERTS", "ALERTS_FOR_STATE", "texts")
    }
    for block in re.split(r"\n(?=\s+(?:alertname: |expr: \"))", said):
        head = re.match(r'\s*(?:alertname: (?P<alert>\S+)|expr: "(?P<expr>\w+)"), time: (?P<time>\w+),', block)
        if head is None:
            continue
        t, got = parse_duration(head["time"]) // 1_000, block.split("got:", 1)[1]
        if head["alert"]:
            for labels, texts in re.findall(rf"Labels:({_SET})\s*Annotations:({_SET})", got):
                found["texts"][t][make_labels(_pairs(labels))] = _pairs(texts)
            continue
        for labels, value in re.findall(rf"({_SET}) ([-+0-9.E]+)", got):
            pairs = {name: text for name, text in _pairs(labels).items() if name != METRIC_NAME}
            state = pairs.pop("alertstate", None)
            found[head["expr"]][t][make_labels(pairs)] = state or float(value)
    return found


def _pairs(text: str) -> dict[str, str]:
    return {name: unquote(value) or "" for name, value in _PAIR.findall(text)}
