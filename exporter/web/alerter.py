"""The alerter's HTTP API, as a client: what it answers, or why it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from yarl import URL

_TIMEOUT = aiohttp.ClientTimeout(total=5)
_MOST_BYTES = 16 << 20

Query = tuple[tuple[str, str], ...]


class AlerterAway(Exception):
    """The alerter gave no usable answer. The message holds no credentials."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer, at most 16 MiB."""

    status: int
    body: bytes


class Alerter:
    """The alerter at a URL, which may have a path and credentials. Asks only while its `context` is open."""

    def __init__(self, url: str) -> None:
        self._url = URL(url)
        self._shown = str(self._url.with_user(None))
        self._session: aiohttp.ClientSession | None = None

    async def context(self, _app: web.Application) -> AsyncIterator[None]:
        """Keeps connections while the application runs."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            self._session = session
            yield

    async def get(self, path: str, query: Query = ()) -> Answer:
        """What it answers to a GET. Raises AlerterAway."""
        return await self._ask("GET", path, query, None, "")

    async def send(self, method: str, path: str, body: bytes | None, authorization: str) -> Answer:
        """What it answers to a change. `authorization` is the asker's, used where the URL has none.

        Raises AlerterAway.
        """
        return await self._ask(method, path, (), body, authorization)

    async def _ask(self, method: str, path: str, query: Query, body: bytes | None, authorization: str) -> Answer:
        if self._session is None:
            raise AlerterAway(f"alerter at {self._shown} is not asked yet")
        url = self._url.with_path(self._url.path.rstrip("/") + path)
        headers = {"Authorization": authorization} if authorization and self._url.user is None else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with self._session.request(
                method, url, params=query, data=body, headers=headers, allow_redirects=False
            ) as response:
                return Answer(response.status, await self._read(response))
        except (aiohttp.ClientError, TimeoutError, OSError) as err:
            reason = type(err).__name__ if isinstance(err, TimeoutError) else f"{type(err).__name__}: {err}"
            raise AlerterAway(f"alerter at {self._shown} does not answer: {reason}") from err

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > _MOST_BYTES:
                raise AlerterAway(f"alerter at {self._shown} sends more than {_MOST_BYTES} bytes")
        return bytes(body)
