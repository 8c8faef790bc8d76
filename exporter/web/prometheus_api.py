"""Questions in PromQL over HTTP: the threads that answer them, the answers that are kept, and the endpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from exporter.model import Queryable
from exporter.web.live import Live
from exporter.web.prometheus_metadata import Metadata
from exporter.web.prometheus_query import Engine, Query
from exporter.web.remote_write import Ingest, RemoteWrite
from exporter.web.result_cache import ResultCache, ResultCacheStats
from exporter.web.workers import Workers, WorkersStats


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What questions may take. threads: for range queries, and as many for everything else."""

    threads: int = 2
    timeout_s: float = 120.0
    cache_bytes: int = 8 << 20


class PrometheusApi:
    """What evaluates, looks up and takes in samples. See Parts for what it is given."""

    def __init__(
        self,
        engine: Engine,
        samples: Queryable,
        live: Live,
        *,
        limits: QueryLimits,
        ingest: Ingest | None,
        revision: Callable[[], object],
        now: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._workers, self._range_workers = Workers(limits.threads), Workers(limits.threads)
        self._cache = ResultCache(
            engine,
            newest_ms=lambda: snapshot.t_ms if (snapshot := live.snapshot()) else None,
            revision=revision,
            monotonic=monotonic,
            max_bytes=limits.cache_bytes,
        )
        self._query = Query(
            engine,
            self._cache,
            self._workers,
            self._range_workers,
            now=now,
            monotonic=monotonic,
            timeout_s=limits.timeout_s,
        )
        self._metadata = Metadata(samples, self._workers)
        self._write = None if ingest is None else RemoteWrite(self._cache.watched(ingest), self._workers)
        self.clean = self._cache.clean

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        written = [] if self._write is None else self._write.routes()
        return [*self._query.routes(), *self._metadata.routes(), *written]

    def stats(self) -> tuple[WorkersStats, ResultCacheStats]:
        """How the threads and the kept answers are doing."""
        return self._workers.stats() + self._range_workers.stats(), self._cache.stats()

    async def close(self, _application: web.Application) -> None:
        """Takes no more work."""
        self._workers.close()
        self._range_workers.close()
