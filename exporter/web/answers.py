"""Query results as the JSON of the Prometheus HTTP API.

JSON is what a range query spends its time on. So a row is one call that writes all its floats, cut at the commas,
and joined again with texts prepared once for all rows: `],[1700000000,"`.
Source: prometheus/web/api/v1/json_codec.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from typing import TYPE_CHECKING

import orjson

from exporter.model import Labels
from exporter.promql.answer import Matrix, RangeVector, Scalar, String, Value, Vector
from exporter.promql.gotext import format_f
from exporter.web.floats import texts

if TYPE_CHECKING:
    from exporter.model import Mask, Samples, Times

_PIECE_BYTES = 1 << 19


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


def _vector(value: Vector) -> Iterator[bytes]:
    opening = b'{"metric":'
    middle = b',"value":[%b,"' % seconds(value.t_ms)
    for labels, text in zip(value.labels, texts(value.values), strict=True):
        yield opening + metric(labels) + middle + text + b'"]}'


def _matrix(value: Matrix) -> Iterator[bytes]:
    """Rows over one time axis."""
    whole = _Rows(_gaps(value.t_ms))
    for i, labels in enumerate(value.labels):
        present = None if value.present is None else value.present[i]
        if present is None or present.all():
            yield whole.row(labels, value.values[i])
        else:
            yield whole.at(present).row(labels, value.values[i][present])


def _range_vector(value: RangeVector) -> Iterator[bytes]:
    """Rows that have their times each, which many of them share."""
    shared: dict[bytes, _Rows] = {}
    for labels, t_ms, values in value.series():
        key = t_ms.tobytes()
        if key not in shared:
            shared[key] = _Rows(_gaps(t_ms))
        yield shared[key].row(labels, values)


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


def answer(
    value: Value, stats: Mapping[str, object] | None, warnings: Sequence[str], infos: Sequence[str]
) -> Iterator[bytes]:
    """The answer to a query with its envelope, in pieces of about half a megabyte.

    A large one is sent while it is made, and is never in memory as a whole. stats: where they were asked for.
    """
    opening = b'{"status":"success","data":{"resultType":"%b","result":'
    closing = (b"" if stats is None else b',"stats":' + orjson.dumps(stats)) + b"}" + _notes(warnings, infos) + b"}"
    match value:
        case Scalar(t_ms, number):
            yield opening % b"scalar" + point(t_ms, format_f(number)) + closing
        case String(t_ms, text):
            yield opening % b"string" + point(t_ms, text) + closing
        case Vector():
            yield from _in_pieces(_vector(value), opening % b"vector", closing)
        case Matrix():
            yield from _in_pieces(_matrix(value), opening % b"matrix", closing)
        case RangeVector():
            yield from _in_pieces(_range_vector(value), opening % b"matrix", closing)


def _in_pieces(rows: Iterator[bytes], opening: bytes, closing: bytes) -> Iterator[bytes]:
    """The rows as a JSON array between `opening` and `closing`."""
    parts, size, separator = [opening, b"["], 0, b""
    for row in rows:
        parts += (separator, row)
        size, separator = size + len(row), b","
        if size >= _PIECE_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join((*parts, b"]", closing))


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
    return b'{"status":"success","data":' + data + _notes(warnings, infos) + b"}"


def _notes(warnings: Sequence[str], infos: Sequence[str]) -> bytes:
    return b"".join(
        b',"%b":%b' % (name, orjson.dumps(list(notes)))
        for name, notes in ((b"warnings", warnings), (b"infos", infos))
        if notes
    )


def failure(error_type: str, message: str) -> bytes:
    """The envelope of an error."""
    return orjson.dumps({"status": "error", "errorType": error_type, "error": message})
