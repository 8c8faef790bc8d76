"""History in: OpenMetrics text with timestamps, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exporter import openmetrics
from exporter.model import METRIC_NAME, Family, Labels, SeriesSet

if TYPE_CHECKING:
    from exporter.model import Samples, Times

Ingest = Callable[[Sequence[SeriesSet], Iterable[Family]], int]


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a text. `too_old`: samples older than the retention, left out."""

    samples: int = 0
    too_old: int = 0
    bytes_read: int = 0


def import_text(text: Iterable[bytes], ingest: Ingest, oldest_ms: int) -> Iterator[Imported]:
    """Takes in the samples not older than `oldest_ms`; yields how much it has been so far, after each batch.

    Raises OpenMetricsError; what came before the mistake has been taken in by then. Doing it all again changes nothing.
    """
    samples = too_old = 0
    for batch in openmetrics.read(text):
        kept, old = _younger(batch.series, oldest_ms)
        too_old += old
        samples += ingest(together(kept), batch.families.values())
        yield Imported(samples, too_old, batch.bytes_read)


def _younger(series: Iterable[SeriesSet], oldest_ms: int) -> tuple[list[SeriesSet], int]:
    kept, old = [], 0
    for each in series:
        begin = int(np.searchsorted(each.t_ms, oldest_ms))
        old += begin
        if begin < len(each.t_ms):
            kept.append(SeriesSet(each.labels, each.t_ms[begin:], each.values[:, begin:]))
    return kept, old


def together(series: Iterable[SeriesSet]) -> list[SeriesSet]:
    """Single series of one metric over the very same times as one set: stored and read as one, not one by one."""
    shared: dict[tuple[str, bytes], tuple[Times, list[Labels], list[Samples]]] = {}
    for each in series:
        key = _metric(each.labels[0]), each.t_ms.tobytes()
        _, labels, values = shared.setdefault(key, (each.t_ms, [], []))
        labels.extend(each.labels)
        values.append(each.values)
    return [SeriesSet(labels, t_ms, np.concatenate(values)) for t_ms, labels, values in shared.values()]


def _metric(labels: Labels) -> str:
    names: Mapping[str, str] = dict(labels)
    return names[METRIC_NAME]
