"""The command `backtest`: rule files, a datasource and a span of time in, a report out."""

from __future__ import annotations

from functools import partial
from typing import TextIO

from alerter.config import Config
from alerter.datasource.expansion import LANGUAGE, RuleTemplates, graph_link
from alerter.datasource.querier import Querier
from alerter.rules import rulefile
from alerter.rules.rulepaths import rule_paths
from alerter.tools.backtest import Backtest
from alerter.tools.backtest_report import Report, step_line
from alerter.tools.progress import Progress
from exporter.duration import parse_duration


async def backtest(config: Config, start: float, end: float, form: str, out: TextIO, progress: TextIO) -> int:
    """Write the report; 0. Raises RuleFileError, QueryError, and ValueError for a span that ends before it starts."""
    if end < start:
        raise ValueError("--end: is before --start")
    groups = rulefile.load(rule_paths(config.rules), LANGUAGE, config.evaluation.seconds("interval"))
    timeout_s = parse_duration(config.datasource.timeout) / 1_000
    report = Report(groups, start, end)
    shown = Progress(progress, start, end)
    async with Querier(config.datasource.url, timeout_s) as querier:
        templates = partial(
            RuleTemplates,
            external_labels=config.external_labels,
            external_url=config.web.external_url.rstrip("/"),
            timeout_s=timeout_s + 1,
        )
        link = partial(graph_link, config.web.link)
        async for step in Backtest(groups, querier, templates, start, end, link=link).walk():
            report.add(step)
            shown.at(step.t)
            if form == "jsonl":
                print(step_line(step), file=out)
    shown.end()
    if form != "jsonl":
        print(report.as_json() if form == "json" else report.as_text(), file=out)
    return 0
