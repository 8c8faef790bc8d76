"""Pages of single servers that do not come as they should: because the server is off, or its agent is broken."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class PageFault:
    """How a page comes.

    closed: the connection ends without an answer. failing: the answer is 503. delay_s: so long after it was asked
    for. part: how much of it comes before the connection ends, 1 for all.
    """

    closed: bool = False
    failing: bool = False
    delay_s: float = 0.0
    part: float = 1.0


PageFaults = Callable[[str, int], PageFault | None]
"""The fault of a server's page at a time (Unix ms), None if it comes well."""


def all_well(_server: str, _t_ms: int) -> None:
    """No page ever fails."""
    return


async def faulty(
    request: web.Request,
    fault: PageFault,
    page: Callable[[], Awaitable[web.Response]],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> web.StreamResponse:
    """The answer that a fault makes of a page, which is rendered only where some of it is to come."""
    await sleep(fault.delay_s)
    if fault.closed:
        return _ended(request, web.StreamResponse())
    if fault.failing:
        return web.Response(status=503, text="the agent of this server fails\n")
    whole = await page()
    return whole if fault.part >= 1.0 else await _cut(request, whole, fault.part)


async def _cut(request: web.Request, whole: web.Response, part: float) -> web.StreamResponse:
    """The beginning of an answer that promises all of it."""
    assert isinstance(whole.body, bytes)
    answer = web.StreamResponse(status=whole.status, headers=whole.headers)
    answer.content_length = len(whole.body)
    await answer.prepare(request)
    await answer.write(whole.body[: math.floor(len(whole.body) * part)])
    return _ended(request, answer)


def _ended(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    return answer
