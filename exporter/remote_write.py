"""Prometheus remote write 1.0: a WriteRequest (protobuf, snappy block format) as series and back.

Source: prometheus/prompb, types.proto and remote.proto; the protocol's specification, "Remote-Write 1.0".
protobuf and cramjam (6 MB together) are loaded by the first request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from exporter.model import Family, Labels, MetricType, make_labels

CONTENT_TYPE = "application/x-protobuf"
CONTENT_ENCODING = "snappy"
VERSION = "0.1.0"
MAX_INFLATED_BYTES = 64 << 20

# MetricMetadata.MetricType's numbers.
_TYPES = {
    1: MetricType.COUNTER,
    2: MetricType.GAUGE,
    3: MetricType.HISTOGRAM,
    5: MetricType.SUMMARY,
    6: MetricType.INFO,
}


class RemoteWriteError(ValueError):
    """A request that is not remote write 1.0. The message says why."""


@dataclass(frozen=True, slots=True)
class Written:
    """One series of a request: m samples; times in Unix ms as they came, so not always in order."""

    labels: Labels
    t_ms: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """What a request carries."""

    series: tuple[Written, ...]
    families: tuple[Family, ...] = ()


def decode(body: bytes) -> WriteRequest:
    """The series and families of a request's body. Raises RemoteWriteError.

    Native histograms and exemplars are passed over.
    """
    from google.protobuf.message import DecodeError

    message = _message("WriteRequest")()
    try:
        message.ParseFromString(_inflated(body))
    except DecodeError as err:
        raise RemoteWriteError(f"not a WriteRequest: {err}") from None
    series = tuple(_written(entry) for entry in message.timeseries)
    families = tuple(
        Family(entry.metric_family_name, _TYPES.get(entry.type, MetricType.UNKNOWN), entry.help, entry.unit)
        for entry in message.metadata
        if entry.metric_family_name
    )
    return WriteRequest(series, families)


def encode(series: Iterable[Written]) -> bytes:
    """The body of a request."""
    import cramjam

    message = _message("WriteRequest")()
    for written in series:
        entry = message.timeseries.add()
        for name, value in written.labels:
            entry.labels.add(name=name, value=value)
        for t_ms, sample in zip(written.t_ms, written.values, strict=True):
            entry.samples.add(timestamp=t_ms, value=sample)
    return bytes(cramjam.snappy.compress_raw(message.SerializeToString()))


def _written(entry: Any) -> Written:
    pairs = [(label.name, label.value) for label in entry.labels]
    labels = make_labels(dict(pairs))
    if not any(name == "__name__" for name, _ in labels):
        raise RemoteWriteError(f"a series has no __name__: {dict(pairs)}")
    if len({name for name, _ in pairs}) != len(pairs):
        raise RemoteWriteError(f"a label occurs twice in a series: {pairs}")
    times = [sample.timestamp for sample in entry.samples]
    return Written(labels, times, [sample.value for sample in entry.samples])


def _inflated(body: bytes) -> bytes:
    import cramjam

    if _inflated_length(body) > MAX_INFLATED_BYTES:
        raise RemoteWriteError(f"larger than {MAX_INFLATED_BYTES} bytes inflated")
    try:
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as err:
        raise RemoteWriteError(f"not snappy block format: {err}") from None


def _inflated_length(body: bytes) -> int:
    """The varint that snappy's block format begins with."""
    length = 0
    for position, byte in enumerate(body[:5]):
        length |= (byte & 0x7F) << (7 * position)
        if not byte & 0x80:
            return length
    raise RemoteWriteError("not snappy block format: no length")


@cache
def _message(name: str) -> Any:
    """A message class of the protocol, made from its description."""
    from google.protobuf import descriptor_pool, message_factory

    pool = descriptor_pool.DescriptorPool()
    pool.Add(_description())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"prometheus.{name}"))


def _description() -> Any:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    messages: dict[str, tuple[tuple[str, int, int, str], ...]] = {
        "Label": (("name", 1, Field.TYPE_STRING, ""), ("value", 2, Field.TYPE_STRING, "")),
        "Sample": (("value", 1, Field.TYPE_DOUBLE, ""), ("timestamp", 2, Field.TYPE_INT64, "")),
        "TimeSeries": (
            ("labels", 1, Field.TYPE_MESSAGE, "Label"),
            ("samples", 2, Field.TYPE_MESSAGE, "Sample"),
        ),
        "MetricMetadata": (
            ("type", 1, Field.TYPE_INT32, ""),
            ("metric_family_name", 2, Field.TYPE_STRING, ""),
            ("help", 4, Field.TYPE_STRING, ""),
            ("unit", 5, Field.TYPE_STRING, ""),
        ),
        "WriteRequest": (
            ("timeseries", 1, Field.TYPE_MESSAGE, "TimeSeries"),
            ("metadata", 3, Field.TYPE_MESSAGE, "MetricMetadata"),
        ),
    }
    file = FileDescriptorProto(name="remote_write.proto", package="prometheus", syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            label = Field.LABEL_REPEATED if of else Field.LABEL_OPTIONAL
            message.field.add(name=field, number=number, type=kind, label=label)
            if of:
                message.field[-1].type_name = f".prometheus.{of}"
    return file
