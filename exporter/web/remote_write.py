"""Remote write 1.0 in: recording rules, ALERTS and test data from other processes.

Source: prometheus.io/docs/specs/prw/remote_write_spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from aiohttp import web

from exporter import remote_write
from exporter.model import Family, Labels, SeriesSet
from exporter.remote_write import RemoteWriteError, WriteRequest, Written
from exporter.web.body import read
from exporter.web.errors import ApiError
from exporter.web.prometheus_reply import BASE
from exporter.web.workers import ClientGone, Overloaded, Workers

_MOST_BYTES = 32 << 20

Ingest = Callable[[Sequence[SeriesSet], Iterable[Family]], int]
"""Keeps samples; returns how many they were."""


class RemoteWrite:
    """Takes what is written to it, on the worker threads."""

    def __init__(self, ingest: Ingest, workers: Workers) -> None:
        self._ingest = ingest
        self._workers = workers

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        return [web.post(f"{BASE}/write", self.write)]

    async def write(self, request: web.Request) -> web.Response:
        """204 once the samples are kept. 4xx means never send this again, 503 means send it later."""
        if problem := _not_this_protocol(request):
            return web.Response(status=415, text=problem + "\n")
        try:
            body = await read(request, _MOST_BYTES)
            await self._workers.run(request, lambda: self._keep(body))
        except ApiError as err:
            return web.Response(status=err.status, text=err.message + "\n")
        except RemoteWriteError as err:
            return web.Response(status=400, text=f"{err}\n")
        except (Overloaded, ClientGone):
            return web.Response(status=503, text="too many requests are waiting\n", headers={"Retry-After": "5"})
        return web.Response(status=204)

    def _keep(self, body: bytes) -> int:
        written = remote_write.decode(body)
        return self._ingest(series_sets(written), written.families)


def _not_this_protocol(request: web.Request) -> str:
    """Why the request is not remote write 1.0; "" if it is."""
    if request.content_type != remote_write.CONTENT_TYPE or "v2" in request.headers.get("Content-Type", ""):
        return f"only {remote_write.CONTENT_TYPE} with a prometheus.WriteRequest is understood"
    if request.headers.get("Content-Encoding", "") != remote_write.CONTENT_ENCODING:
        return f"the Content-Encoding must be {remote_write.CONTENT_ENCODING}"
    return ""


def series_sets(request: WriteRequest) -> list[SeriesSet]:
    """The series of a request, those with the same times together, each label set once; times increase.

    Where a series says two values for one time the last counts.
    """
    samples: dict[Labels, dict[int, float]] = {}
    for written in request.series:
        samples.setdefault(written.labels, {}).update(_points(written))
    groups: dict[tuple[int, ...], list[Labels]] = {}
    for labels, points in samples.items():
        if points:
            groups.setdefault(tuple(sorted(points)), []).append(labels)
    return [
        SeriesSet(
            labels,
            np.array(t_ms, dtype=np.int64),
            np.array([[samples[of][t] for t in t_ms] for of in labels], dtype=np.float64),
        )
        for t_ms, labels in groups.items()
    ]


def _points(written: Written) -> dict[int, float]:
    return dict(zip(written.t_ms, written.values, strict=True))
