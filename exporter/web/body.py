"""Reading what a client sends, never more than a limit."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from exporter.web.errors import ApiError, bad_request

FORM_BYTES = 10 << 20  # as Go's ParseForm
JSON_BYTES = 64 << 10
_FIELDS = 10_000
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


async def read(request: web.Request, limit: int) -> bytes:
    """The whole body. Raises ApiError 413 as soon as it is known to be longer than `limit` bytes."""
    too_large = ApiError(413, "too_large", f"the body must not exceed {limit} bytes")
    if (request.content_length or 0) > limit:
        raise too_large
    parts, size = [], 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > limit:
            raise too_large
        parts.append(part)
    return b"".join(parts)


async def read_object(request: web.Request, limit: int = JSON_BYTES) -> dict[str, object]:
    """The body as a JSON object. Raises ApiError 400 if it is none."""
    body = await read(request, limit)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as err:
        raise bad_request(f"the body is not JSON: {err}") from err
    if not isinstance(value, dict):
        raise bad_request("the body must be a JSON object")
    return value


class Form:
    """Parameters of a request: those of an urlencoded body, then those of the URL."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def get(self, name: str) -> str:
        """The first value, "" if there is none."""
        return self._values.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        """Every value."""
        return self._values.get(name, [])


async def read_form(request: web.Request) -> Form:
    """The merged parameters. Only an urlencoded body has any; another one is left alone, as Go does.

    Raises ValueError for a body that cannot be read as a form, ApiError 413 for one that is too large.
    """
    pairs: list[tuple[str, str]] = []
    if request.method == "POST" and request.content_type == "application/x-www-form-urlencoded":
        pairs += _pairs((await read(request, FORM_BYTES)).decode("utf-8", "replace"))
    pairs += _pairs(request.rel_url.raw_query_string)
    return Form(pairs)


def _pairs(text: str) -> list[tuple[str, str]]:
    """Those that are well escaped; others are left out, as Go does."""
    if _BAD_ESCAPE.search(text):
        text = "&".join(pair for pair in text.split("&") if not _BAD_ESCAPE.search(pair))
    return parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS) if text else []
