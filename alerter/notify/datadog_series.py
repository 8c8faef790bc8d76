"""Series to Datadog, as gauges. Source: docs.datadoghq.com/api/v1/metrics, Submit metrics."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alerter.notify.datadog_client import DatadogClient, DatadogRefusal
from alerter.notify.datadog_names import metric, tags

OLDEST_S = 3600
NEWEST_S = 600
"""Points further from now are answered with 202 and lost."""
MOST_BYTES = 3_000_000
"""Of one payload before compression; the limit is 3,200,000 after it."""
_TOO_LARGE = 413


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric at a time (Unix seconds); `labels` become tags."""

    metric: str
    labels: Mapping[str, str]
    value: float
    t_s: float


@dataclass(frozen=True, slots=True)
class Counts:
    """Points so far: accepted, and left out because Datadog would lose them."""

    sent: int = 0
    not_finite: int = 0
    out_of_time: int = 0
    unnameable: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a payload."""

    metric: str
    tags: tuple[str, ...]
    points: tuple[tuple[float, float], ...]

    @property
    def size(self) -> int:
        """About how many bytes of JSON it is, never fewer."""
        return 120 + len(json.dumps([self.metric, *self.tags])) + 52 * len(self.points)


class DatadogSeries:
    """Sends points. Sending the same again changes nothing there, so a failed `send` may be repeated whole."""

    def __init__(
        self,
        client: DatadogClient,
        now: Callable[[], float],
        host: str = "openmanager-v5",
        env: str = "production",
    ) -> None:
        self._client = client
        self._now = now
        self._host = host
        self._env = env
        self._counts = Counts()

    def stats(self) -> Counts:
        """The counts so far."""
        return self._counts

    def send(self, points: Iterable[Point]) -> None:
        """Returns once all points that Datadog would keep are accepted. Raises DeliveryError."""
        wanted, left_out = sendable(points, self._now())
        self._count(left_out)
        for payload in payloads(lines(wanted, self._env)):
            self._submit(payload)

    def _submit(self, payload: Sequence[Line]) -> None:
        """Send a payload; one that is refused as too large goes in halves."""
        try:
            self._client.submit_metrics(_request(payload, self._host))
        except DatadogRefusal as err:
            if err.status != _TOO_LARGE or len(payload) == 1:
                raise
        else:
            self._count(Counts(sent=sum(len(line.points) for line in payload)))
            return
        half = len(payload) // 2
        self._submit(payload[:half])
        self._submit(payload[half:])

    def _count(self, more: Counts) -> None:
        known = self._counts
        self._counts = Counts(
            known.sent + more.sent,
            known.not_finite + more.not_finite,
            known.out_of_time + more.out_of_time,
            known.unnameable + more.unnameable,
        )


def sendable(points: Iterable[Point], now_s: float) -> tuple[list[Point], Counts]:
    """The points that Datadog keeps, and how many are none of those, by reason."""
    kept: list[Point] = []
    not_finite = out_of_time = unnameable = 0
    for point in points:
        if not math.isfinite(point.value):
            not_finite += 1
        elif not now_s - OLDEST_S <= point.t_s <= now_s + NEWEST_S:
            out_of_time += 1
        elif not metric(point.metric):
            unnameable += 1
        else:
            kept.append(point)
    return kept, Counts(0, not_finite, out_of_time, unnameable)


def lines(points: Iterable[Point], env: str) -> list[Line]:
    """The points by series: `server` first among the tags, `env` last."""
    found: dict[tuple[str, tuple[str, ...]], list[tuple[float, float]]] = {}
    for point in points:
        named = {name: value for name, value in point.labels.items() if name != "__name__"}
        server = {"server": named.pop("server")} if "server" in named else {}
        key = (metric(point.metric), tuple(tags(server, named, {"env": env})))
        found.setdefault(key, []).append((float(int(point.t_s)), point.value))
    return [Line(name, tagged, tuple(values)) for (name, tagged), values in found.items()]


def payloads(series: Iterable[Line]) -> Iterator[list[Line]]:
    """The series in payloads that are not too large."""
    payload: list[Line] = []
    size = 0
    for line in series:
        if payload and size + line.size > MOST_BYTES:
            yield payload
            payload, size = [], 0
        payload.append(line)
        size += line.size
    if payload:
        yield payload


def _request(payload: Sequence[Line], host: str) -> Any:
    from datadog_api_client.v1.model.metrics_payload import MetricsPayload
    from datadog_api_client.v1.model.point import Point as RequestPoint
    from datadog_api_client.v1.model.series import Series

    make_point: Callable[..., Any] = RequestPoint
    make_series: Callable[..., Any] = Series
    make_payload: Callable[..., Any] = MetricsPayload
    return make_payload(
        series=[
            make_series(
                metric=line.metric,
                type="gauge",
                points=[make_point([t, value]) for t, value in line.points],
                host=host,
                tags=list(line.tags),
            )
            for line in payload
        ]
    )
