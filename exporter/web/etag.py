"""Entity tags: what a client has, and whether it may write over what there is. Source: RFC 9110, 8.8 and 13.1."""

from __future__ import annotations

import hashlib

from aiohttp import web

from exporter.web.errors import ApiError


def etag(body: bytes) -> str:
    """The tag of a representation."""
    return f'"{hashlib.blake2b(body, digest_size=9).hexdigest()}"'


def has_it(request: web.Request, tag: str) -> bool:
    """Whether the client says that it has what has this tag: then 304 is enough."""
    return tag in _named(request, "If-None-Match")


def check_write(request: web.Request, tag: str | None) -> None:
    """Raises ApiError 412 where what there is, None for nothing, is not what the client thinks."""
    wanted, unwanted = _named(request, "If-Match"), _named(request, "If-None-Match")
    if wanted and (tag is None or (tag not in wanted and "*" not in wanted)):
        raise ApiError(412, "precondition_failed", "it has changed since; read it again")
    if unwanted and tag is not None and (tag in unwanted or "*" in unwanted):
        raise ApiError(412, "precondition_failed", "there is one already")


def _named(request: web.Request, header: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in request.headers.get(header, "").split(",") if tag.strip()]
