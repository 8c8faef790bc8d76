"""Query results as the JSON of the Prometheus HTTP API.

JSON is what a range query spends its time on. So a row is one call that writes all its floats, cut at the commas,
and joined again with texts prepared once for all rows: `],[1700000000,"`.
Source: prometheus/web/api/v1/json_codec.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import compress
from typing import TYPE_CHECKING

import orjson

from exporter.model import Labels, format_value
from exporter.promql.answer import Matrix, RangeVector, Scalar, String, Value, Vector
from exporter.web.floats import texts

if TYPE_CHECKING:
    from exporter.model import Mask, Samples, Times


def seconds(t_ms: int) -> bytes:
    """Unix seconds, the shortest text with at most three decimals."""
    whole, rest = divmod(abs(t_ms), 1000)
    fraction = f".{rest:03d}".rstrip("0") if rest else ""
    return f"{'-' if t_ms < 0 else ''}{whole}{fraction}".encode()


def metric(labels: Labels) -> bytes:
    """A label set as a JSON object."""
    return orjson.dumps(dict(labels))


def point(t_ms: int, text: str) -> bytes:
    """`[t,"text"]`: a scalar or a string."""
    return b"[%b,%b]" % (seconds(t_ms), orjson.dumps(text))


def scalar(t_ms: int, value: float) -> bytes:
    """`[t,"1.5"]`."""
    return point(t_ms, format_value(value))


def vector(labels: Sequence[Labels], t_ms: int, values: Samples) -> bytes:
    """labels: n label sets. values: shape (n,). One sample for each at one time."""
    opening = b'{"metric":'
    middle = b',"value":[%b,"' % seconds(t_ms)
    rows = [opening + metric(of) + middle + text + b'"]}' for of, text in zip(labels, texts(values), strict=True)]
    return b"[" + b",".join(rows) + b"]"


def matrix(series: Matrix) -> bytes:
    """Rows over one time axis."""
    whole = _Rows(_gaps(series.t_ms))
    rows = []
    for i, labels in enumerate(series.labels):
        present = None if series.present is None else series.present[i]
        if present is None or present.all():
            rows.append(whole.row(labels, series.values[i]))
        else:
            rows.append(whole.at(present).row(labels, series.values[i][present]))
    return b"[" + b",".join(rows) + b"]"


def range_vector(series: RangeVector) -> bytes:
    """Rows that have their times each, which many of them share."""
    shared: dict[bytes, _Rows] = {}
    rows = []
    for labels, t_ms, values in series.series():
        key = t_ms.tobytes()
        if key not in shared:
            shared[key] = _Rows(_gaps(t_ms))
        rows.append(shared[key].row(labels, values))
    return b"[" + b",".join(rows) + b"]"


def _gaps(t_ms: Times) -> list[bytes]:
    """What stands before each value: `[t,"`, with what closes the value before it."""
    return [b'"],[%b,"' % seconds(t) for t in t_ms.tolist()]


class _Rows:
    """Rows over one time axis: what stands around the values is put in its place once, and stays there.

    For m values that is m texts `"],[t,"`, each closing the value before it, and the row's end.
    """

    def __init__(self, gaps: list[bytes]) -> None:
        self._gaps = gaps
        self._parts = [b""] * (2 * len(gaps)) + [b'"]]}']
        self._parts[:-1:2] = gaps

    def at(self, present: Mask) -> _Rows:
        """Rows over those of the times that are present."""
        return _Rows(list(compress(self._gaps, present.tolist())))

    def row(self, labels: Labels, values: Samples) -> bytes:
        """A series. values: shape (m,), m > 0."""
        parts = self._parts
        parts[0] = b'{"metric":' + metric(labels) + b',"values":[' + self._gaps[0][3:]
        parts[1::2] = texts(values)
        return b"".join(parts)


def result(value: Value) -> tuple[str, bytes]:
    """The type of a result and its JSON."""
    match value:
        case Scalar(t_ms, number):
            return "scalar", scalar(t_ms, number)
        case String(t_ms, text):
            return "string", point(t_ms, text)
        case Vector(t_ms, labels, values):
            return "vector", vector(labels, t_ms, values)
        case Matrix():
            return "matrix", matrix(value)
        case RangeVector():
            return "matrix", range_vector(value)


def first(value: Value, most: int) -> Value | None:
    """The first `most` series of a value; None where it has no more anyway."""
    if not most or isinstance(value, Scalar | String) or len(value.labels) <= most:
        return None
    if isinstance(value, RangeVector):
        return replace(value, labels=value.labels[:most], points=value.points[:most])
    cut = replace(value, labels=value.labels[:most], values=value.values[:most])
    if isinstance(cut, Matrix) and cut.present is not None:
        return replace(cut, present=cut.present[:most])
    return cut


def success(data: bytes, warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> bytes:
    """The envelope of an answer."""
    notes = b"".join(
        b',"%b":%b' % (name, orjson.dumps(list(texts_)))
        for name, texts_ in ((b"warnings", warnings), (b"infos", infos))
        if texts_
    )
    return b'{"status":"success","data":' + data + notes + b"}"


def failure(error_type: str, message: str) -> bytes:
    """The envelope of an error."""
    return orjson.dumps({"status": "error", "errorType": error_type, "error": message})


def query_data(result_type: str, result: bytes, stats: Mapping[str, object] | None = None) -> bytes:
    """`{"resultType":…,"result":…}`, with the statistics if they were asked for."""
    tail = b"" if stats is None else b',"stats":' + orjson.dumps(stats)
    return b'{"resultType":"%b","result":%b%b}' % (result_type.encode(), result, tail)
