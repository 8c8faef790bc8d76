"""History as OpenMetrics text with timestamps: whole series out, batches of series in.

Source: the OpenMetrics specification 1.0, "Text format". Exemplars are passed over when reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exporter.model import METRIC_NAME, Family, Labels, MetricType, SeriesSet, format_value, make_labels

if TYPE_CHECKING:
    from exporter.model import Samples, Times

_SUFFIXES = {
    MetricType.HISTOGRAM: ("_bucket", "_count", "_sum"),
    MetricType.SUMMARY: ("_count", "_sum", ""),
}
_PLAIN_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'\s*(?:([a-zA-Z_][a-zA-Z0-9_]*)|"((?:[^"\\]|\\.)*)")\s*(?:=\s*"((?:[^"\\]|\\.)*)")?\s*(,|$)')
_SERIES = re.compile(rb'[^{\s]*(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "\\": "\\", '"': '"'}
_TYPES = {kind.value: kind for kind in MetricType} | {
    "unknown": MetricType.UNKNOWN,
    "gaugehistogram": MetricType.UNKNOWN,
}


_Open = tuple[list[bytes], list[bytes], list[int]]
"""Values, times and line numbers of one series."""
_MAX_S = 1e12  # beyond the year 30000


class OpenMetricsError(ValueError):
    """Text that is not OpenMetrics. The message begins with the line's number."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some series with some of their samples, in the order of the text, and the families seen so far."""

    series: tuple[SeriesSet, ...]
    families: Mapping[str, Family]
    samples: int
    bytes_read: int


def header(family: Family) -> str:
    """The lines that introduce a family."""
    name = family.name.removesuffix("_total") if family.type is MetricType.COUNTER else family.name
    name = name.removesuffix("_info") if family.type is MetricType.INFO else name
    lines = [f"# TYPE {name} {family.type.value}"]
    if family.unit:
        lines.append(f"# UNIT {name} {family.unit}")
    if family.help:
        lines.append(f"# HELP {name} {_escape(family.help)}")
    return "\n".join(lines) + "\n"


def metrics_of(family: Family) -> tuple[str, ...]:
    """The metric names that belong to a family."""
    return tuple(family.name + suffix for suffix in _SUFFIXES.get(family.type, ("",)))


def lines(labels: Labels, t_ms: Times, values: Samples) -> str:
    """One series' samples, a line each. t_ms, values: shape (m,)."""
    prefix = _prefix(labels)
    texts = map(format_value, values.tolist())
    seconds = (f"{t // 1000}.{t % 1000:03d}" if t % 1000 else str(t // 1000) for t in t_ms.tolist())
    return "".join(f"{prefix} {text} {at}\n" for text, at in zip(texts, seconds, strict=True))


END = "# EOF\n"


def _prefix(labels: Labels) -> str:
    name = dict(labels)[METRIC_NAME]
    inside = ",".join(f'{_name(label)}="{_escape(value)}"' for label, value in labels if label != METRIC_NAME)
    if _PLAIN_NAME.fullmatch(name):
        return f"{name}{{{inside}}}" if inside else name
    quoted = f'"{_escape(name)}"'
    return f"{{{quoted},{inside}}}" if inside else f"{{{quoted}}}"


def _name(label: str) -> str:
    return label if _PLAIN_NAME.fullmatch(label) and ":" not in label else f'"{_escape(label)}"'


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def read(text: Iterable[bytes], batch_samples: int = 200_000) -> Iterator[Batch]:
    """The samples of lines of text, in batches of about `batch_samples`. Raises OpenMetricsError."""
    reader = _Reader()
    for line in text:
        reader.line(line)
        if reader.samples >= batch_samples:
            yield reader.take()
    reader.end()
    yield reader.take()


class _Reader:
    """What has been read and not yet handed on."""

    def __init__(self) -> None:
        self._number = 0
        self._bytes = 0
        self._ended = False
        self._families: dict[str, Family] = {}
        self._labels: dict[bytes, Labels] = {}
        self._open: dict[bytes, _Open] = {}
        self._last_ms: dict[bytes, int] = {}
        self.samples = 0

    def line(self, line: bytes) -> None:
        self._number += 1
        self._bytes += len(line)
        stripped = line.strip()
        if self._ended and stripped:
            raise self._error("text after # EOF")
        if stripped.startswith(b"#"):
            self._comment(stripped)
        elif stripped:
            self._sample(stripped)

    def _sample(self, line: bytes) -> None:
        if b" # {" in line:  # an exemplar, or a label value that looks like one
            found = _SERIES.match(line)
            end = found.end() if found else 0
            line = line[:end] + line[end:].partition(b" # {")[0]
        else:
            end = line.rfind(b"}") + 1 or line.find(b" ")
        series, rest = line[:end], line[end:].split()
        if end < 1 or len(rest) != 2:
            raise self._error("a sample needs a value and a timestamp in seconds")
        values, times, numbers = self._open.setdefault(series, ([], [], []))
        values.append(rest[0])
        times.append(rest[1])
        numbers.append(self._number)
        self.samples += 1

    def _comment(self, line: bytes) -> None:
        try:
            parts = line.decode().split(" ", 3)
        except UnicodeDecodeError:
            raise self._error("not UTF-8") from None
        if parts[:2] == ["#", "EOF"]:
            self._ended = True
        elif len(parts) >= 3 and parts[1] in ("TYPE", "HELP", "UNIT"):
            self._describe(parts[1], parts[2], parts[3] if len(parts) > 3 else "")

    def _describe(self, what: str, name: str, text: str) -> None:
        known = self._families.get(name, Family(name, MetricType.UNKNOWN, ""))
        if what == "TYPE":
            if text not in _TYPES:
                raise self._error(f"unknown type {text!r}")
            known = Family(name, _TYPES[text], known.help, known.unit)
        elif what == "HELP":
            known = Family(name, known.type, _unescape(text), known.unit)
        else:
            known = Family(name, known.type, known.help, text)
        self._families[name] = known

    def end(self) -> None:
        if not self._ended:
            raise self._error("the text does not end with # EOF: it is not whole")

    def take(self) -> Batch:
        """Everything read since the last call."""
        series = tuple(self._set(name, *found) for name, found in self._open.items())
        batch = Batch(series, self._named_families(), self.samples, self._bytes)
        self._open = {}
        self.samples = 0
        return batch

    def _set(self, series: bytes, values: list[bytes], times: list[bytes], numbers: list[int]) -> SeriesSet:
        seconds = _floats(times, numbers)
        in_range = np.abs(seconds) < _MAX_S
        if not in_range.all():
            at = int(np.argmin(in_range))
            raise OpenMetricsError(f"line {numbers[at]}: {_text(times[at])!r} is not a time")
        t_ms = np.rint(seconds * 1000.0).astype(np.int64)
        grown = np.diff(t_ms, prepend=self._last_ms.get(series, t_ms[0] - 1)) > 0
        if not grown.all():
            at = int(np.argmin(grown))
            raise OpenMetricsError(
                f"line {numbers[at]}: timestamps of {series.decode(errors='replace')} do not increase"
            )
        self._last_ms[series] = int(t_ms[-1])
        return SeriesSet((self._series_labels(series, numbers[0]),), t_ms, _floats(values, numbers)[np.newaxis])

    def _series_labels(self, series: bytes, number: int) -> Labels:
        known = self._labels.get(series)
        if known is None:
            try:
                known = self._labels[series] = _parse_series(series.decode())
            except ValueError as err:
                raise OpenMetricsError(f"line {number}: {err}") from None
        return known

    def _named_families(self) -> dict[str, Family]:
        """Families by the name under which they are kept: a counter's ends in _total."""
        named = (Family(_kept_name(f), f.type, f.help, f.unit) for f in self._families.values())
        return {family.name: family for family in named}

    def _error(self, reason: str) -> OpenMetricsError:
        return OpenMetricsError(f"line {self._number}: {reason}")


def _floats(texts: list[bytes], numbers: list[int]) -> Samples:
    """The numbers of texts that stand in these lines. Raises OpenMetricsError."""
    try:
        return np.array(texts).astype(np.float64)
    except ValueError:
        at = next(at for at, text in enumerate(texts) if not _is_float(text))
        raise OpenMetricsError(f"line {numbers[at]}: {_text(texts[at])!r} is not a number") from None


def _is_float(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _kept_name(family: Family) -> str:
    suffix = {MetricType.COUNTER: "_total", MetricType.INFO: "_info"}.get(family.type, "")
    return family.name if family.name.endswith(suffix) else family.name + suffix


def _parse_series(text: str) -> Labels:
    """`name{a="b"}` or `{"name","a"="b"}` as a label set. Raises ValueError."""
    name, brace, inside = text.partition("{")
    name, pairs = name.strip(), {}
    position, inside = 0, inside.removesuffix("}").strip() if brace else ""
    while position < len(inside):
        match = _LABEL.match(inside, position)
        if match is None:
            raise ValueError(f"cannot read the labels of {text}")
        label = match[1] if match[1] is not None else _unescape(match[2])
        if match[3] is None:
            if match[1] is not None or name:
                raise ValueError(f"label {label} of {text} has no value")
            name = label
        elif label in pairs:
            raise ValueError(f"label {label} occurs twice in {text}")
        else:
            pairs[label] = _unescape(match[3])
        position = match.end()
    if not name or (not _PLAIN_NAME.fullmatch(name) and not text.startswith("{")):
        raise ValueError(f"{text} has no valid metric name")
    return make_labels({**pairs, METRIC_NAME: name})


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[0]), text) if "\\" in text else text
