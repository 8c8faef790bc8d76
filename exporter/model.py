"""The words every room uses: label sets, matchers, families, snapshots and sets of series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:  # numpy costs 14 MB; the alerter uses these words without it
    import numpy as np
    from numpy.typing import NDArray

    Times = NDArray[np.int64]
    Samples = NDArray[np.float64]
    Mask = NDArray[np.bool_]

METRIC_NAME = "__name__"

# The one NaN that says "this series ended here". Source: prometheus/model/value, StaleNaN.
STALE_NAN_BITS = 0x7FF0000000000002

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""A label set: pairs sorted by name, `__name__` among them, no empty value. Hashable."""


def make_labels(pairs: Mapping[str, str]) -> Labels:
    """The label set of a mapping; labels with an empty value do not exist and are dropped."""
    return tuple(sorted((name, value) for name, value in pairs.items() if value))


class MatchType(StrEnum):
    """How a matcher compares."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


def compile_regex(pattern: str) -> Any:
    """A compiled RE2 pattern, `.` matching newlines too, as Prometheus 3 compiles its matchers.

    Linear in the text whatever the pattern. Raises ValueError saying what is wrong with it.
    """
    known = _short_regex if len(pattern) <= _SHORT_PATTERN else _long_regex
    return known(pattern)


def _compiled(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    options.never_capture = False
    try:
        return re2.compile(pattern, options)
    except re2.error as err:
        raise ValueError(_re2_message(err, pattern)) from err


def _re2_message(err: Exception, pattern: str) -> str:
    reason = err.args[0] if err.args else "cannot be compiled"
    text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    return f"error parsing regexp: {text}" if text else f"error parsing regexp: `{pattern}`"


_SHORT_PATTERN = 1024  # characters; a compiled long one may take megabytes
_short_regex = lru_cache(maxsize=1024)(_compiled)
_long_regex = lru_cache(maxsize=16)(_compiled)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; a label that is absent has the value "".

    Regexes are anchored at both ends.
    """

    type: MatchType
    name: str
    value: str

    def matches(self, value: str) -> bool:
        """Whether a label with this value satisfies the condition."""
        if self.type is MatchType.EQUAL:
            return value == self.value
        if self.type is MatchType.NOT_EQUAL:
            return value != self.value
        found = compile_regex(self.value).fullmatch(value) is not None
        return found if self.type is MatchType.REGEX else not found


class MetricType(StrEnum):
    """A family's type as the text format writes it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"
    INFO = "info"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Family:
    """What is true of a metric whatever its labels. A counter's name ends in `_total`."""

    name: str
    type: MetricType
    help: str
    unit: str = ""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class SeriesIndex:
    """The series of one metric name: which labels they have, and a row of values for each.

    `metric` is the family's name, or that with `_bucket`, `_sum`, `_count`.
    `rows[i][j]` is series i's value of `label_names[j]`; "" means the label is absent.
    Identity is its version: a tick with the same series carries the very same object, so
    what was built from it (text prefixes, label sets) still holds.
    """

    family: Family
    metric: str
    label_names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def labels(self, i: int) -> Labels:
        """Series i's label set."""
        pairs = dict(zip(self.label_names, self.rows[i], strict=True))
        pairs[METRIC_NAME] = self.metric
        return make_labels(pairs)


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observation behind a bucket, as OpenMetrics carries it. `t_s` is Unix seconds."""

    labels: Labels
    value: float
    t_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One value for each series of an index. values: shape (len(index.rows),), float64.

    `exemplars` maps a row's number to its exemplar.
    """

    index: SeriesIndex
    values: Samples
    exemplars: Mapping[int, Exemplar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Everything the fleet says at one instant. `t_ms` is Unix milliseconds.

    Columns of one family stand together; each metric name occurs once.
    aside: by server, what those say whose page comes too late or not whole for it to be among the columns.
    """

    t_ms: int
    columns: tuple[Column, ...]
    aside: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class SeriesSet:
    """n series over one shared time axis of m instants.

    labels: n label sets. t_ms: shape (m,), increasing. values: shape (n, m).
    present: shape (n, m), False where a series has no sample; None when none is missing.
    A stale marker is a sample: present, with the bits of STALE_NAN_BITS.
    widths_ms: shape (m,), how much time each instant stands for where samples have been aggregated, those of
    (t - width, t] into one at t, and 0 where they have not; None when none have.
    counts: shape (n, m), of how many samples each value is the sum; None where each is one sample's, or no sum.
    """

    labels: Sequence[Labels]
    t_ms: Times
    values: Samples
    present: Mask | None = None
    widths_ms: Times | None = None
    counts: Samples | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Above `warning` is a warning, above `critical` is critical; None: as for every server."""

    warning: float | None = None
    critical: float | None = None


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Somebody works on a server in [start_ms, end_ms), Unix ms: its alerts are expected."""

    start_ms: int
    end_ms: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """One machine of the fleet as the inventory knows it. `name` is its id and its `server` label.

    mount: where its main disk is mounted. thresholds: by "cpu", "memory", "disk" in percent, "response" in seconds.
    """

    name: str
    role: str
    environment: str
    cores: int
    memory_bytes: int
    disk_bytes: int
    mount: str = "/"
    services: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    thresholds: Mapping[str, Limits] = field(default_factory=dict)
    notes: str = ""
    maintenance: tuple[Maintenance, ...] = ()


class Wanted(StrEnum):
    """What of aggregated samples is asked for: a function over a range needs more than the last of them."""

    LAST = "last"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    """With `counts`, so that there is a mean."""
    GROWTH = "growth"
    """Of a counter: the last, raised by whatever resets have taken, so that differences are the true growth."""


class Queryable(Protocol):
    """Where samples are asked for. Matchers are all to hold; times are inclusive Unix ms."""

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesSet]:
        """The matching samples. No label set occurs twice in an answer, series without a sample do
        not occur. Regular series share a SeriesSet; each irregular one is a set of its own."""
        ...

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        """The label sets that `select` would answer with (it may include some with no sample
        near the edges of the range). No matcher at all means every series."""
        ...

    def families(self) -> Mapping[str, Family]:
        """Type, help and unit by family name."""
        ...


@runtime_checkable
class Tiered(Protocol):
    """A Queryable that keeps aggregates of old samples."""

    def select_wanted(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, wanted: Wanted) -> list[SeriesSet]:
        """As `select`, of the finest tier that goes back to `start_ms` and of finer ones after its end.

        Where aggregates come first, up to two from before `start_ms` are with them, as those reach into the range.
        """
        ...


def format_value(value: float) -> str:
    """A float as Prometheus' API and text format write it: shortest that reads back equal.

    `+Inf`, `-Inf`, `NaN`, `-0`; exponents below 1e-6 and from 1e21 on; no trailing `.0`.
    Source: prometheus/util/jsonutil, MarshalFloat.
    """
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    magnitude = abs(value)
    text = repr(value)
    if magnitude and (magnitude < 1e-6 or magnitude >= 1e21):
        mantissa, _, exponent = text.partition("e")
        return f"{mantissa.removesuffix('.0')}e{exponent}"
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")
