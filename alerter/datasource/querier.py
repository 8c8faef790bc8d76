"""The Prometheus HTTP API as its client: instant and range queries that end, whatever the server does.

A server may answer rubbish, HTML, half a JSON, a redirect loop or nothing: each is a QueryError in one line.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import orjson
from yarl import URL

from alerter.decisions.evaluation import Element
from exporter.model import Labels

MAX_ANSWER_BYTES = 256 << 20
_MAX_REDIRECTS = 5
_EXCERPT = 80
T = TypeVar("T")

Query = Callable[[str, float], Coroutine[Any, Any, list[Element]]]
"""An instant query: the vector of an expression at a time in Unix seconds. Raises QueryError."""


class QueryError(Exception):
    """A query has no answer. `reachable` says whether the server answered in the API's own shape."""

    def __init__(self, message: str, *, reachable: bool = False) -> None:
        super().__init__(message)
        self.reachable = reachable


@dataclass(frozen=True, slots=True)
class RangeSeries:
    """One series of a range query: its labels and (Unix seconds, value) pairs in order."""

    labels: Labels
    points: tuple[tuple[float, float], ...]


@dataclass(slots=True)
class QuerierStats:
    """Counters since the start."""

    queries: int = 0
    failures: int = 0


class Querier:
    """One Prometheus HTTP API. Use it as an async context manager; `timeout_s` bounds every query as a whole."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._base = url.rstrip("/")
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self.stats = QuerierStats()

    @property
    def shown_url(self) -> str:
        """The URL without a password."""
        parts = urlsplit(self._base)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    async def __aenter__(self) -> Querier:
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        connector = aiohttp.TCPConnector(limit=16)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def instant(self, expr: str, t: float) -> list[Element]:
        """The vector that an expression is at `t` (Unix seconds); a scalar is one element without labels."""
        return await self._ask("/api/v1/query", {"query": expr, "time": _seconds(t)}, _vector)

    async def range(self, expr: str, start: float, end: float, step_s: float) -> list[RangeSeries]:
        """An expression at start, start + step, … up to end."""
        form = {"query": expr, "start": _seconds(start), "end": _seconds(end), "step": _seconds(step_s)}
        # VictoriaMetrics would move start and end to multiples of the step; others do not know the parameter
        return await self._ask("/api/v1/query_range", {**form, "nocache": "1"}, _matrix)

    async def samples(self, selector: str, t: float, range_s: float) -> list[RangeSeries]:
        """The samples of a selector in the time before `t`."""
        query = f"{selector}[{max(1, round(range_s * 1_000))}ms]"
        return await self._ask("/api/v1/query", {"query": query, "time": _seconds(t)}, _matrix)

    async def label_values(self, name: str) -> list[str]:
        """The values of a label."""
        return await self._ask(f"/api/v1/label/{name}/values", None, lambda data: [str(value) for value in data])

    async def metric_types(self) -> dict[str, str]:
        """The types of metrics by name, as far as they are known and all targets agree; those that cannot tell: {}."""
        try:
            return await self._ask("/api/v1/metadata", None, _types)
        except QueryError as err:
            if err.reachable:
                return {}
            raise

    async def _ask(self, path: str, form: Mapping[str, str] | None, read: Callable[[Any], T]) -> T:
        """What `read` makes of the answer's data. Raises QueryError."""
        self.stats.queries += 1
        try:
            status, body = await self._exchange(path, form)
            return _understood(_data(status, body), read)
        except QueryError:
            self.stats.failures += 1
            raise
        except TimeoutError:
            self.stats.failures += 1
            raise QueryError(f"no answer within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ssl.SSLError, ValueError) as err:
            self.stats.failures += 1
            raise QueryError(_reason(err).replace(self._base, self.shown_url)) from None

    async def _exchange(self, path: str, form: Mapping[str, str] | None) -> tuple[int, bytes]:
        assert self._session is not None, "use it as an async context manager"
        method = "GET" if form is None else "POST"
        # encoded=False would undo the %-escapes of a base path that a user wrote on purpose
        url = URL(self._base + path, encoded=True)
        async with (
            asyncio.timeout(self._timeout_s),
            self._session.request(method, url, data=form, max_redirects=_MAX_REDIRECTS) as response,
        ):
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise QueryError(f"answer longer than {MAX_ANSWER_BYTES >> 20} MiB")
            return response.status, bytes(body)


def _seconds(t: float) -> str:
    return f"{t:.3f}".rstrip("0").rstrip(".")


def _data(status: int, body: bytes) -> Any:
    """The `data` of the envelope, or the QueryError that says why there is none."""
    try:
        envelope = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise QueryError(f"HTTP {status}, not JSON: {_excerpt(body)}") from None
    if not isinstance(envelope, dict) or "status" not in envelope:
        raise QueryError(f"HTTP {status}, not the Prometheus API: {_excerpt(body)}")
    if envelope["status"] == "success" and "data" in envelope:
        return envelope["data"]
    message = envelope.get("error") or f"HTTP {status} without an error message"
    raise QueryError(str(message), reachable=True)


def _understood(data: Any, read: Callable[[Any], T]) -> T:
    try:
        return read(data)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as err:
        raise QueryError(f"answer not understood: {type(err).__name__}: {' '.join(str(err).split())}") from None


def _matrix(data: Any) -> list[RangeSeries]:
    if data["resultType"] != "matrix":
        raise QueryError(f"answered with a {data['resultType']}, not a matrix", reachable=True)
    return [_range_series(item) for item in data["result"]]


def _vector(data: Any) -> list[Element]:
    kind, result = data["resultType"], data["result"]
    if kind == "vector":
        return [Element(_labels(item["metric"]), _sample(item)) for item in result]
    if kind == "scalar":
        return [Element((), float(result[1]))]
    raise QueryError("rule result is not a vector or scalar", reachable=True)


def _types(data: Any) -> dict[str, str]:
    types = {str(name): {str(each["type"]) for each in entries} for name, entries in data.items()}
    return {name: found.pop() for name, found in types.items() if len(found) == 1}


def _sample(item: Mapping[str, Any]) -> float:
    """A float sample's value; a native histogram has none and counts as 0, as in Prometheus."""
    return float(item["value"][1]) if "value" in item else 0.0


def _range_series(item: Mapping[str, Any]) -> RangeSeries:
    points = [(float(t), float(value)) for t, value in item.get("values", ())]
    points += [(float(t), 0.0) for t, _ in item.get("histograms", ())]
    return RangeSeries(_labels(item["metric"]), tuple(sorted(points, key=lambda point: point[0])))


def _labels(metric: Mapping[str, Any]) -> Labels:
    return tuple(sorted((str(name), str(value)) for name, value in metric.items() if value))


def _excerpt(body: bytes) -> str:
    text = " ".join(body[: 4 * _EXCERPT].decode("utf-8", "replace").split())
    return repr(text[:_EXCERPT] + ("…" if len(text) > _EXCERPT else "")) if text else "empty answer"


def _reason(err: Exception) -> str:
    if isinstance(err, aiohttp.TooManyRedirects):
        return f"more than {_MAX_REDIRECTS} redirects"
    if isinstance(err, aiohttp.ClientConnectorError):
        return f"cannot connect to {err.host}:{err.port}: {_system_reason(err.os_error)}"
    text = " ".join(str(err).split())
    return f"{type(err).__name__}: {text}" if text else type(err).__name__


def _system_reason(err: OSError) -> str:
    return os.strerror(err.errno) if err.errno and err.errno > 0 else str(err.strerror or err)


def split_steps(start: float, end: float, step_s: float, most: int) -> Sequence[tuple[float, float]]:
    """[start, end] in pieces of at most `most` steps, for servers that bound the points of an answer."""
    count = int((end - start) / step_s + 1e-9) + 1
    return [
        (start + first * step_s, start + min(first + most, count) * step_s - step_s) for first in range(0, count, most)
    ]
