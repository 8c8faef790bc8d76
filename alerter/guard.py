"""Which requests the alerter refuses: those without the user or token that `--web.config.file` asks for.

With users in the file every request needs one, or a token; with tokens alone, every change does. Without either,
all is open as in Alertmanager, but no other site's page may change anything through a visitor's browser.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from exporter.access import Access, Keyring, Verify, bcrypt_matches

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN = frozenset({"/-/healthy", "/-/ready"})
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guard(access: Access, verify: Verify = bcrypt_matches) -> Middleware:
    """Refuses with 401 or 403 before anything is read or done."""
    keyring = Keyring(access, verify)

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        changes = request.method not in _READS
        if request.path in _OPEN or not (changes or access.users):
            return await handler(request)
        known = await keyring.knows(request.headers.get("Authorization", ""))
        if not known and (access.users or access.tokens):
            return web.Response(status=401, text="Unauthorized\n", headers={"WWW-Authenticate": keyring.challenge})
        if not known and _foreign(request):
            return web.Response(status=403, text="Forbidden: asked for by another site's page\n")
        return await handler(request)

    return guarded


def _foreign(request: web.Request) -> bool:
    """Whether a browser says that another site's page makes the request."""
    origin = request.headers.get("Origin")
    return origin is not None and origin.partition("://")[2] != request.host
