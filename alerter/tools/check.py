"""`check`: every mistake of every rule file at once, each with its line and a caret."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from alerter.config import Config
from alerter.datasource.expansion import LANGUAGE
from alerter.rules import rulefile
from alerter.rules.rules import Mistake, RuleFile
from alerter.tools.lints import Suspicion, lint, missing
from exporter.duration import parse_duration
from exporter.model import METRIC_NAME

_WIDTH = 160


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a datasource has: the names of its metrics, and the types it knows of them."""

    names: Collection[str]
    types: Mapping[str, str]


def check(files: Sequence[str], config: Config, out: TextIO, metrics: Metrics | None = None) -> int:
    """Say what is wrong with the files, and what is suspicious; 0 if nothing is wrong, 1 otherwise.

    `metrics`: those of the datasource; None asks nothing about them.
    """
    interval_s = config.evaluation.seconds("interval")
    read = [rulefile.read(path, LANGUAGE, interval_s) for path in files]
    good = [file for file in read if not file.mistakes]
    absent = {} if metrics is None else missing(good, metrics.names)
    suspicions = 0
    for file in read:
        lines = _lines(file.path)
        found: Sequence[Mistake] = file.mistakes
        if not found:
            print(f"{file.path}: {_size(file)}", file=out)
            suspicious = [*lint(file, interval_s, metrics.types if metrics else {}), *absent.get(file.path, ())]
            found = sorted((_placed(each, lines) for each in suspicious), key=lambda each: (each.line, each.column))
            suspicions += len(found)
        for mistake in found:
            print("\n".join(shown(mistake, lines)), file=out)
    count = sum(len(file.mistakes) for file in read)
    if count or suspicions:
        said = [_counted(number, word) for number, word in ((count, "mistake"), (suspicions, "warning")) if number]
        print(", ".join(said), file=out)
    return 1 if count else 0


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number > 1 else ''}"


def _placed(suspicion: Suspicion, lines: Sequence[str]) -> Mistake:
    """The warning where what it is about stands, from the rule's own line on; at the rule where it is not found."""
    warning = suspicion.warning
    first = lines[warning.line - 1]
    indent = len(first) - len(first.lstrip())
    if suspicion.about:
        word = _word(suspicion.about)
        for number, line in enumerate(lines[warning.line - 1 :], warning.line):
            if number > warning.line and line.lstrip().startswith("- ") and len(line) - len(line.lstrip()) <= indent:
                break  # the next rule
            start = indent if number > warning.line or "{" in first else len(first)
            if (found := word.search(line, start if number == warning.line else 0)) is not None:
                return dataclasses.replace(warning, line=number, column=found.start() + 1)
    return dataclasses.replace(warning, column=indent + 1)


def _word(text: str) -> re.Pattern[str]:
    """Finds a text that is not a part of a longer name."""
    before = r"(?<![\w:])" if re.match(r"\w", text) else ""
    after = r"(?!\w|:\w)" if re.search(r"\w$", text) else ""
    return re.compile(before + re.escape(text) + after)


async def metrics_of(config: Config) -> Metrics:
    """The metrics that the datasource has. Raises QueryError."""
    from alerter.datasource.querier import Querier

    async with Querier(config.datasource.url, parse_duration(config.datasource.timeout) / 1_000) as querier:
        return Metrics(frozenset(await querier.label_values(METRIC_NAME)), await querier.metric_types())


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
