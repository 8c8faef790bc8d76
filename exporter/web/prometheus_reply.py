"""How the Prometheus HTTP API answers: envelopes, statuses, CORS, gzip."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from isal import igzip, isal_zlib

from exporter.promql.errors import ExecutionError, ParseError, QueryCanceled, QueryTimeout
from exporter.web import answers
from exporter.web.body import Form, read_form
from exporter.web.errors import ApiError
from exporter.web.negotiation import accepts_gzip
from exporter.web.parameters import BadParameter
from exporter.web.workers import ClientGone, Overloaded, Piece

log = logging.getLogger(__name__)

BASE = "/api/prometheus/api/v1"

STATUS = {
    "bad_data": 400,
    "execution": 422,
    "timeout": 503,
    "canceled": 499,
    "unavailable": 503,
    "internal": 500,
    "not_found": 404,
    "not_acceptable": 406,
}
_CORS = {
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, Origin",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Date",
}
_HEADERS = {"Content-Type": "application/json", "Vary": "Accept-Encoding", **_CORS}
_GZIP_WBITS = 31  # a gzip header and trailer, in zlib's way to say it
_GZIP_FROM = 1_000  # bytes; less is one packet anyway
_INLINE_UP_TO = 100_000  # bytes compressed on the event loop: under a millisecond


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer: `data` is JSON."""

    data: bytes
    warnings: Sequence[str] = ()
    infos: Sequence[str] = ()


class PrometheusError(Exception):
    """An error in Prometheus' words; `type` is one of STATUS."""

    def __init__(self, type_: str, message: str) -> None:
        super().__init__(message)
        self.type = type_


Endpoint = Callable[[web.Request, Form], Awaitable[Reply | AsyncGenerator[Piece]]]
"""Gives what to say within an envelope, or the envelope as well, in pieces."""


def endpoint(path: str, answer: Endpoint, *methods: str) -> list[web.RouteDef]:
    """Routes for an endpoint of the API, OPTIONS among them."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await _respond(request, answer)

    routes = [web.route(method, BASE + path, handle) for method in methods]
    return [*routes, web.options(BASE + path, _options)]


async def _options(_request: web.Request) -> web.Response:
    return web.Response(status=204, headers=_CORS)


async def _respond(request: web.Request, answer: Endpoint) -> web.StreamResponse:
    try:
        reply = await answer(request, await _form(request))
        if isinstance(reply, Reply):
            return await _whole(request, 200, answers.success(reply.data, reply.warnings, reply.infos))
        first = await anext(reply)
    except Exception as err:
        error = as_prometheus_error(err)
        return await _whole(request, STATUS[error.type], answers.failure(error.type, str(error)))
    async with aclosing(reply):
        return await (_streamed(request, first, reply) if first.more else _whole(request, 200, first.data))


async def _whole(request: web.Request, status: int, body: bytes) -> web.Response:
    headers = dict(_HEADERS)
    if len(body) >= _GZIP_FROM and _takes_gzip(request):
        body = await _compressed(body)
        headers["Content-Encoding"] = "gzip"
    return web.Response(status=status, body=body, headers=headers)


async def _streamed(request: web.Request, first: Piece, others: AsyncGenerator[Piece]) -> web.StreamResponse:
    """Sent as it is made. Should that fail, the connection ends before the answer does, which every client can tell."""
    response = web.StreamResponse(headers=_HEADERS)
    packer = isal_zlib.compressobj(1, wbits=_GZIP_WBITS) if _takes_gzip(request) else None
    if packer is not None:
        response.headers["Content-Encoding"] = "gzip"
    await response.prepare(request)
    try:
        piece = first
        while piece.more:
            await response.write(await _packed(packer, piece.data))
            piece = await anext(others)
        await response.write(await _packed(packer, piece.data))
        await response.write_eof(b"" if packer is None else packer.flush())
    except Exception as err:
        if not isinstance(err, ClientGone | OSError):
            log.error("query failed while its answer was sent", exc_info=err)
        if request.transport is not None:
            request.transport.abort()
    return response


async def _packed(packer: Any, data: bytes) -> bytes:
    return data if packer is None else await asyncio.to_thread(packer.compress, data)


def _takes_gzip(request: web.Request) -> bool:
    return accepts_gzip(request.headers.get("Accept-Encoding", ""))


async def _form(request: web.Request) -> Form:
    try:
        return await read_form(request)
    except ValueError as err:
        raise PrometheusError("bad_data", f"error parsing form values: {err}") from err
    except ApiError as err:
        raise PrometheusError("bad_data", f"error parsing form values: {err.message}") from err


async def _compressed(body: bytes) -> bytes:
    if len(body) <= _INLINE_UP_TO:
        return _gzip(body)
    return await asyncio.to_thread(_gzip, body)


def _gzip(body: bytes) -> bytes:
    packed: bytes = igzip.compress(body, 1)
    return packed


def as_prometheus_error(err: Exception) -> PrometheusError:
    """Whatever went wrong, in Prometheus' words; what nobody expected is logged."""
    match err:
        case PrometheusError():
            return err
        case BadParameter():
            return PrometheusError("bad_data", str(err))
        case ParseError():
            return PrometheusError("bad_data", f'invalid parameter "query": {err}')
        case ExecutionError():
            return PrometheusError("execution", str(err))
        case QueryTimeout():
            return PrometheusError("timeout", str(err))
        case QueryCanceled() | ClientGone():
            return PrometheusError("canceled", str(err) or "query was canceled in query execution")
        case Overloaded():
            return PrometheusError("unavailable", "too many queries are waiting already")
    log.error("query failed", exc_info=err)
    return PrometheusError("internal", f"{type(err).__name__}: {err}")
