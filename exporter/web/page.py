"""The page for scrapers: rendered and compressed once per tick, however many ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from aiohttp import web
from isal import isal_zlib

from exporter.model import Family, MetricType, Snapshot
from exporter.web.exposition import END, Exposition, Format
from exporter.web.negotiation import accepts_gzip, page_format
from exporter.web.scrape_faults import PageFaults, all_well, faulty

_INLINE_SERIES = 20_000  # below this a render takes about as long as the way to a thread and back
_GZIP = 31  # zlib's way to say: with gzip's header, a window of 32 KB
_LEVEL = 1  # of igzip: a tenth larger than level 2, twice as fast

Telemetry = Callable[[Format], bytes]
"""The process's own families as a page, with or without an end mark."""


@dataclass(frozen=True, slots=True)
class PageStats:
    """`renders` counts the whole pages rendered, `render_s` is the time that the last one took."""

    renders: int
    render_s: float
    bytes: int


@dataclass(slots=True, eq=False)
class _Tick:
    """The pages made of one snapshot, those being made among them."""

    snapshot: Snapshot | None
    since: float
    made: dict[tuple[Format, bool], asyncio.Task[bytes]] = field(default_factory=dict)


class Page:
    """Serves the latest snapshot and the process's own telemetry.

    A whole page is made at most once per tick, format and encoding, and packed while it is rendered; where ticks stay
    away it is made again every `max_age_s`, because the telemetry goes on. Pages for some servers or families are
    made for each request.
    """

    def __init__(
        self,
        latest: Callable[[], Snapshot | None],
        telemetry: Telemetry,
        now: Callable[[], float],
        max_age_s: float = 15.0,
        faults: PageFaults = all_well,
    ) -> None:
        self._latest = latest
        self._telemetry = telemetry
        self._now = now
        self._max_age_s = max_age_s
        self._faults = faults
        self._exposition = Exposition()
        self._tick = _Tick(None, 0.0)
        self._stats = PageStats(0, 0.0, 0)

    def stats(self) -> PageStats:
        """What it has rendered so far."""
        return self._stats

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        return [web.get("/metrics", self.get), web.get("/api/prometheus/metrics", self.get)]

    async def get(self, request: web.Request) -> web.StreamResponse:
        """The page as the client wants it. 503 before the first tick and for servers that are silent.

        The page of a single server comes as the failures of that server let it.
        """
        snapshot = self._latest()
        if snapshot is None:
            return web.Response(status=503, text="no samples yet: the first tick is still to come\n")
        page = page_format(request.headers.get("Accept", ""))
        gzipped = accepts_gzip(request.headers.get("Accept-Encoding", ""))
        servers = request.query.getall("server", [])
        names = request.query.getall("name[]", [])
        if not servers and not names:
            return _response(await self.whole(snapshot, page, gzipped), page, gzipped)
        fault = self._faults(servers[0], snapshot.t_ms) if len(servers) == 1 else None
        if fault is None:
            return await self._of_some(snapshot, page, gzipped, servers, names)
        own = replace(snapshot, columns=snapshot.aside.get(servers[0], snapshot.columns))
        return await faulty(request, fault, lambda: self._of_some(own, page, gzipped, servers, names))

    async def _of_some(
        self, snapshot: Snapshot, page: Format, gzipped: bool, servers: Sequence[str], names: Sequence[str]
    ) -> web.Response:
        if silent := sorted(set(servers) - self._exposition.servers(snapshot)):
            return web.Response(status=503, text=f"no samples from server {', '.join(silent)}\n")
        body = await self._off_loop(snapshot, self._some, snapshot, page, gzipped, servers or None, names)
        return _response(body, page, gzipped)

    async def whole(self, snapshot: Snapshot, page: Format, gzipped: bool) -> bytes:
        """The whole page; who comes while it is being made waits for the same one."""
        now = self._now()
        if snapshot is not self._tick.snapshot or now - self._tick.since >= self._max_age_s:
            self._tick = _Tick(snapshot, now)
        return await self._shared(self._tick, page, gzipped)

    async def _shared(self, tick: _Tick, page: Format, gzipped: bool) -> bytes:
        key = (page, gzipped)
        task = tick.made.get(key)
        if task is None or task.cancelled() or (task.done() and task.exception() is not None):
            task = tick.made[key] = asyncio.create_task(self._make(tick, page, gzipped))
        return task.result() if task.done() else await asyncio.shield(task)

    async def _make(self, tick: _Tick, page: Format, gzipped: bool) -> bytes:
        assert tick.snapshot is not None
        if gzipped and (page, False) in tick.made:
            return await self._off_loop(tick.snapshot, _gzip, [await self._shared(tick, page, False)])
        started = self._now()
        body = await self._off_loop(tick.snapshot, self._render, tick.snapshot, page, gzipped)
        self._stats = PageStats(self._stats.renders + 1, self._now() - started, len(body))
        return body

    def _render(self, snapshot: Snapshot, page: Format, gzipped: bool) -> bytes:
        parts = self._parts(snapshot, page)
        return _gzip(parts) if gzipped else b"".join(parts)

    def _parts(self, snapshot: Snapshot, page: Format) -> Iterator[bytes]:
        yield from self._exposition.parts(snapshot, page)
        yield self._telemetry(page).removesuffix(END[page] or b"# EOF\n")
        yield END[page]

    def _some(
        self, snapshot: Snapshot, page: Format, gzipped: bool, servers: Sequence[str] | None, names: Sequence[str]
    ) -> bytes:
        wanted = (lambda family: _named(family, names)) if names else None
        body = self._exposition.render(snapshot, page, servers, wanted) + END[page]
        return _gzip([body]) if gzipped else body

    async def _off_loop(self, snapshot: Snapshot, work: Callable[..., bytes], *args: object) -> bytes:
        if sum(len(column.values) for column in snapshot.columns) <= _INLINE_SERIES:
            return work(*args)
        return await asyncio.get_running_loop().run_in_executor(None, work, *args)


_SUFFIXES = {MetricType.HISTOGRAM: ("_bucket", "_sum", "_count"), MetricType.SUMMARY: ("_sum", "_count")}


def _named(family: Family, names: Sequence[str]) -> bool:
    """Whether a family is asked for by its own name or by that of one of its samples."""
    own = {family.name, *(family.name + suffix for suffix in _SUFFIXES.get(family.type, ()))}
    return not own.isdisjoint(names)


def _gzip(parts: Iterable[bytes]) -> bytes:
    """The parts as one gzip stream, each packed before the next one is made: a page of 100 MB is never there."""
    packer = isal_zlib.compressobj(_LEVEL, wbits=_GZIP)
    return b"".join([*(packer.compress(part) for part in parts), packer.flush()])


def _response(body: bytes, page: Format, gzipped: bool) -> web.Response:
    headers = {"Content-Type": page.value, "Vary": "Accept, Accept-Encoding"}
    if gzipped:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, headers=headers)
