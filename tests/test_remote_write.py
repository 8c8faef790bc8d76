"""Remote write 1.0, as bytes on the wire."""

from __future__ import annotations

import struct

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import Family, MetricType, make_labels
from exporter.remote_write import MAX_INFLATED_BYTES, RemoteWriteError, Written, decode, encode

UP = make_labels({"__name__": "up", "job": "서버"})
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
LABELS = st.dictionaries(NAMES, NAMES, max_size=4).map(lambda pairs: make_labels({**pairs, "__name__": "m"}))
SAMPLES = st.lists(st.tuples(st.integers(-(2**62), 2**62), st.floats(allow_nan=False)), max_size=5)


@given(st.lists(st.tuples(LABELS, SAMPLES), max_size=5))
def test_what_is_encoded_decodes_to_the_same(
    series: list[tuple[tuple[tuple[str, str], ...], list[tuple[int, float]]]],
) -> None:
    written = tuple(Written(labels, [t for t, _ in samples], [v for _, v in samples]) for labels, samples in series)
    assert decode(encode(written)).series == written


def test_the_stale_marker_keeps_its_bits() -> None:
    stale = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
    (series,) = decode(encode([Written(UP, [1], [stale])])).series
    assert struct.pack("<d", series.values[0]) == struct.pack("<Q", 0x7FF0000000000002)


def test_a_request_written_by_hand_is_read() -> None:
    # TimeSeries{labels: [{__name__ up}], samples: [{1.5 @ 15000}]} and MetricMetadata{COUNTER up "Help." }
    label = b"\x0a\x08__name__\x12\x02up"
    sample = b"\x09" + struct.pack("<d", 1.5) + b"\x10\x98\x75"
    series = b"\x0a" + bytes([len(label)]) + label + b"\x12" + bytes([len(sample)]) + sample
    metadata = b"\x08\x01\x12\x02up\x22\x05Help."
    body = b"\x0a" + bytes([len(series)]) + series + b"\x1a" + bytes([len(metadata)]) + metadata
    request = decode(bytes(cramjam.snappy.compress_raw(body)))
    assert request.series == (Written((("__name__", "up"),), [15_000], [1.5]),)
    assert request.families == (Family("up", MetricType.COUNTER, "Help."),)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no length"),
        (b"\xff\xff\xff\xff\xff", "no length"),
        (b"not snappy at all", "not snappy block format"),
        (b"\xff\xff\xff\xff\x0f", f"larger than {MAX_INFLATED_BYTES} bytes"),
        (bytes(cramjam.snappy.compress_raw(b"\x0a\xff\xff")), "not a WriteRequest"),
        (encode([Written((("job", "a"),), [1], [1.0])]), "has no __name__"),
        (encode([Written((("__name__", "a"), ("x", "1"), ("x", "2")), [1], [1.0])]), "occurs twice"),
    ],
)
def test_rubbish_is_refused_with_a_reason(body: bytes, reason: str) -> None:
    with pytest.raises(RemoteWriteError, match=reason):
        decode(body)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        request = decode(body)
    except RemoteWriteError as err:
        assert str(err)
    else:
        assert all(dict(series.labels)["__name__"] for series in request.series)
