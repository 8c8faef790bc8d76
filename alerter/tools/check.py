"""`check`: every mistake of every rule file at once, each with its line and a caret."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TextIO

from alerter.config import Config
from alerter.datasource.expansion import LANGUAGE
from alerter.rules import rulefile
from alerter.rules.rules import Mistake, RuleFile
from alerter.tools.lints import lint, missing
from exporter.duration import parse_duration
from exporter.model import METRIC_NAME

_WIDTH = 160


def check(files: Sequence[str], config: Config, out: TextIO, names: Collection[str] | None = None) -> int:
    """Say what is wrong with the files, and what is suspicious; 0 if nothing is wrong, 1 otherwise.

    `names`: the metrics of the datasource; None asks nothing about them.
    """
    interval_s = config.evaluation.seconds("interval")
    read = [rulefile.read(path, LANGUAGE, interval_s) for path in files]
    absent = {} if names is None else missing([file for file in read if not file.mistakes], names)
    for file in read:
        if not file.mistakes:
            print(f"{file.path}: {_size(file)}", file=out)
        lines = _lines(file.path)
        warnings = [_at_its_rule(warning, lines) for warning in ([] if file.mistakes else lint(file))]
        warnings += [_at_its_metric(warning, metric, lines) for warning, metric in absent.get(file.path, ())]
        for mistake in file.mistakes or sorted(warnings, key=lambda each: (each.line, each.column)):
            print("\n".join(shown(mistake, lines)), file=out)
    count = sum(len(file.mistakes) for file in read)
    if count:
        print(f"{count} mistake{'s' if count > 1 else ''}", file=out)
    return 1 if count else 0


def _at_its_rule(warning: Mistake, lines: Sequence[str]) -> Mistake:
    line = lines[warning.line - 1]
    return dataclasses.replace(warning, column=len(line) - len(line.lstrip()) + 1)


def _at_its_metric(warning: Mistake, metric: str, lines: Sequence[str]) -> Mistake:
    """Where the metric's name stands, from the rule's own line on."""
    name = re.compile(rf"(?<![\w:]){re.escape(metric)}(?![\w:])")
    for number, line in enumerate(lines[warning.line - 1 :], warning.line):
        if (found := name.search(line)) is not None:
            return dataclasses.replace(warning, line=number, column=found.start() + 1)
    return _at_its_rule(warning, lines)


async def metric_names(config: Config) -> Sequence[str]:
    """The metrics that the datasource has. Raises QueryError."""
    from alerter.datasource.querier import Querier

    async with Querier(config.datasource.url, parse_duration(config.datasource.timeout) / 1_000) as querier:
        return await querier.label_values(METRIC_NAME)


def _size(file: RuleFile) -> str:
    rules = sum(len(group.rules) for group in file.groups)
    return f"{rules} rules in {len(file.groups)} groups, no mistake"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def shown(mistake: Mistake, lines: Sequence[str]) -> list[str]:
    """A mistake, the line it is in and a caret under its column."""
    said = [str(mistake)]
    if 0 < mistake.line <= len(lines):
        line = lines[mistake.line - 1]
        start = max(0, mistake.column - _WIDTH // 2) if len(line) > _WIDTH else 0
        excerpt = line[start : start + _WIDTH].replace("\t", " ")
        said.append(f"    {excerpt}")
        if mistake.column:
            said.append("    " + " " * (mistake.column - 1 - start) + "^")
    return said
