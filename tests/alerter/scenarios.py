"""Reads alert scenarios: rules, series in promtool's notation, and what Prometheus made of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from exporter.model import METRIC_NAME, Labels

GAP = None
STALE = "stale"
_EXPANDED = re.compile(r"(?P<first>[^x+]+?)(?P<step>[+-][^x+-]+)?x(?P<times>\d+)")


@dataclass(frozen=True)
class Scenario:
    """`series`: a label set and its value at each step: a number, None for a gap, "stale" for a marker."""

    name: str
    interval_s: float
    rules: dict[str, Any]
    external_labels: dict[str, str]
    external_url: str
    series: list[tuple[Labels, list[float | str | None]]]
    expected: dict[str, Any]


def load(path: Path) -> Scenario:
    """One scenario and the file of the same name under `expected`."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    series: list[tuple[Labels, list[float | str | None]]] = []
    for each in raw["series"]:
        labels = {**{k: str(v) for k, v in each["labels"].items()}, METRIC_NAME: each["metric"]}
        values = each["values"]
        written = " ".join(map(str, values)) if isinstance(values, list) else values
        parsed = list(_values(written))
        series.append((tuple(sorted(labels.items())), parsed))
    return Scenario(
        name=path.stem,
        interval_s=float(raw["eval_interval"].removesuffix("s")),
        rules=raw["rules"],
        external_labels=raw.get("external_labels", {}),
        external_url=raw.get("external_url", ""),
        series=series,
        expected=json.loads((path.parent / "expected" / f"{path.stem}.json").read_text(encoding="utf-8")),
    )


def _values(text: str) -> Iterator[float | str | None]:
    """promtool's notation: `1 _ stale`, `_x3`, `12x3` (four times 12) and `80+0.5x12`."""
    for word in text.split():
        if word in ("_", STALE):
            yield GAP if word == "_" else STALE
        elif word.startswith("_x"):
            yield from [GAP] * int(word[2:])
        elif match := _EXPANDED.fullmatch(word):
            first, step = float(match["first"]), float(match["step"] or 0)
            value = first
            for _ in range(int(match["times"]) + 1):
                yield value
                value += step
        else:
            yield float(word)
