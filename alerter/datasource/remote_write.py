"""Remote write 1.0: a protobuf WriteRequest in a snappy block.

    WriteRequest { repeated TimeSeries timeseries = 1 }
    TimeSeries   { repeated Label labels = 1; repeated Sample samples = 2 }
    Label        { string name = 1; string value = 2 }
    Sample       { double value = 1; int64 timestamp = 2 }      milliseconds

The block holds literals only: valid snappy that any reader takes, and these requests are small.
Source: prometheus.io/docs/specs/prw; google/snappy, format_description.txt.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable, Sequence
from types import TracebackType

import aiohttp

from alerter.datasource.querier import QueryError
from alerter.decisions.evaluation import Element
from exporter.model import STALE_NAN_BITS, Labels

_LITERAL = 1 << 16
_STALE = struct.pack("<Q", STALE_NAN_BITS)
_HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _series(labels: Labels, value: bytes, t_ms: int) -> bytes:
    pairs = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, text.encode("utf-8", "replace"))) for name, text in labels
    )
    sample = b"\x09" + value + b"\x10" + _varint(t_ms)
    return _field(1, pairs + _field(2, sample))


def snappy_block(raw: bytes) -> bytes:
    """`raw` as a snappy block of literals."""
    parts = [_varint(len(raw))]
    for start in range(0, len(raw), _LITERAL):
        piece = raw[start : start + _LITERAL]
        parts += [bytes((61 << 2,)), struct.pack("<H", len(piece) - 1), piece]
    return b"".join(parts)


def write_request(series: Iterable[Element], ended: Iterable[Labels], t: float) -> bytes:
    """One sample of each series at `t` (Unix seconds), and a stale marker for each that ended."""
    t_ms = round(t * 1_000)
    parts = [_series(each.labels, struct.pack("<d", each.value), t_ms) for each in series]
    parts += [_series(labels, _STALE, t_ms) for labels in ended]
    return b"".join(parts)


class RemoteWriter:
    """Writes to one URL. Use it as an async context manager."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> RemoteWriter:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._timeout_s))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def write(self, series: Sequence[Element], ended: Sequence[Labels], t: float) -> None:
        """Returns once the samples were accepted. Raises QueryError."""
        assert self._session is not None, "use it as an async context manager"
        body = snappy_block(write_request(series, ended, t))
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.post(self._url, data=body, headers=_HEADERS, allow_redirects=False) as response,
            ):
                if response.status // 100 != 2:
                    said = (await response.content.read(200)).decode("utf-8", "replace")
                    raise QueryError(f"remote write: HTTP {response.status}: {' '.join(said.split())}", reachable=True)
        except TimeoutError:
            raise QueryError(f"remote write: no answer within {self._timeout_s:g} s", reachable=True) from None
        except (aiohttp.ClientError, OSError) as err:
            raise QueryError(f"remote write: {type(err).__name__}: {err}", reachable=True) from None
