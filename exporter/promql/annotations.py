"""Warnings and infos: what is odd about a query or its data without being an error.

Equal ones are told once. Source: prometheus/util/annotations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from exporter.promql.ast import Span
from exporter.promql.errors import line_column
from exporter.promql.gotext import format_g, quote

_MONOTONICITY = (
    "PromQL info: input to histogram_quantile needed to be fixed for monotonicity "
    "(see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
)


@dataclass(frozen=True, slots=True)
class Fix:
    """Buckets that were raised so that counts never fall: where, by how much, how often, when (Unix ms)."""

    min_bucket: float
    max_bucket: float
    max_difference: float
    count: int
    first_ms: int
    last_ms: int

    def merged(self, other: Fix) -> Fix:
        """Both as one."""
        return Fix(
            min(self.min_bucket, other.min_bucket),
            max(self.max_bucket, other.max_bucket),
            max(self.max_difference, other.max_difference),
            self.count + other.count,
            min(self.first_ms, other.first_ms),
            max(self.last_ms, other.last_ms),
        )

    def __str__(self) -> str:
        buckets = f"from buckets {format_g(self.min_bucket)} to {format_g(self.max_bucket)}"
        difference = f"with a max diff of {self.max_difference:.2g}"
        times = f"from {_rfc3339(self.first_ms)} to {_rfc3339(self.last_ms)}"
        return f"{buckets}, {difference}, over {self.count} samples {times}"


@dataclass(frozen=True, slots=True)
class _Note:
    text: str
    span: Span
    fix: Fix | None = None

    def at(self, query: str) -> str:
        detail = f", {self.fix}" if self.fix is not None else ""
        return f"{self.text}{detail} ({line_column(query, self.span.start)})"


class Annotations:
    """What is to be told about one query."""

    def __init__(self) -> None:
        self._warnings: dict[str, _Note] = {}
        self._infos: dict[str, _Note] = {}

    def warnings(self, query: str) -> tuple[str, ...]:
        """The warnings, each with its place in the query."""
        return tuple(note.at(query) for note in self._warnings.values())

    def infos(self, query: str) -> tuple[str, ...]:
        """The infos, each with its place in the query."""
        return tuple(note.at(query) for note in self._infos.values())

    def _warn(self, text: str, span: Span) -> None:
        text = f"PromQL warning: {text}"
        self._warnings[text] = _Note(text, span)

    def _inform(self, text: str, span: Span) -> None:
        text = f"PromQL info: {text}"
        self._infos[text] = _Note(text, span)

    def invalid_quantile(self, quantile: float, span: Span) -> None:
        """A quantile outside [0, 1], or NaN."""
        self._warn(f"quantile value should be between 0 and 1, got {format_g(quantile)}", span)

    def bad_bucket_label(self, metric: str, value: str, span: Span) -> None:
        """A classic histogram's `le` that is not a number."""
        text = f'bucket label "le" is missing or has a malformed value of {quote(value)}'
        self._warn(text + _for_metric(metric), span)

    def sort_in_range_query(self, span: Span) -> None:
        """A range query's answer is ordered by labels, whatever sort() says."""
        self._warn("sort is ineffective for range queries since results are always ordered by labels", span)

    def possible_non_counter(self, metric: str, span: Span) -> None:
        """rate() or increase() over what is not named like a counter."""
        reason = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket"
        self._inform(f"{reason}: {quote(metric)}", span)

    def incompatible_types(self, op: str, span: Span) -> None:
        """An operator that floats do not have."""
        shown = f"float {op} float"
        self._inform(f"incompatible sample types encountered for binary operator {quote(op)}: {shown}", span)

    def no_native_histograms(self, function: str, span: Span) -> None:
        """A function that has nothing to work on here. Prometheus has no such warning."""
        self._warn(f"{function}() gives nothing: native histograms are not supported", span)

    def forced_monotonicity(self, metric: str, span: Span, fix: Fix) -> None:
        """histogram_quantile() over bucket counts that fall."""
        text = _MONOTONICITY + _for_metric(metric)
        earlier = self._infos.get(text)
        note = _Note(text, span, fix)
        if earlier is not None and earlier.fix is not None:
            note = replace(earlier, fix=earlier.fix.merged(fix))
        self._infos[text] = note


def _for_metric(metric: str) -> str:
    return f" for metric name {quote(metric)}" if metric else ""


def _rfc3339(t_ms: int) -> str:
    seconds = int(math.copysign(abs(t_ms) // 1000, t_ms))
    return f"{np.datetime64(seconds, 's')}Z"  # of any year, which datetime is not
