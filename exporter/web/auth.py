"""Which requests need a user or a token: the door of the web room, with the keys of `exporter.access`."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Middleware

from exporter.access import Access, Keyring, Verify, bcrypt_matches, is_local
from exporter.web.errors import ApiError, Handler, error_response

READS = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN = frozenset({"/-/healthy", "/-/ready"})
_READ_BY_POST = "/api/prometheus/api/v1/"  # queries are sent as forms; only `write` changes anything


class Guard:
    """Decides over requests. `local` says that only this machine can reach it, so that no token is needed."""

    def __init__(self, access: Access, *, local: bool, verify: Verify = bcrypt_matches) -> None:
        self._access = access
        self._local = local
        self._keyring = Keyring(access, verify)

    async def check(self, request: web.Request) -> None:
        """Raises ApiError 401 or 403 for a request that may not be made."""
        if request.path in _OPEN:
            return
        known = await self._keyring.knows(request.headers.get("Authorization", ""))
        if self._access.users and not known:
            raise ApiError(401, "unauthorized", "this needs a user name and a password, or a token")
        if not known and _changes(request) and (not self._local or self._access.tokens):
            raise ApiError(403 if not self._access.tokens else 401, "token_needed", _NEEDED)
        if _changes(request) and not known and (_foreign(request) or not is_local(request.url.host or "")):
            raise ApiError(
                403, "foreign_origin", "without a token, changes may be made from this machine's own pages only"
            )

    async def name(self, request: web.Request) -> str:
        """Who makes a request, the name of a user or of a token; "" for anybody."""
        return await self._keyring.knows(request.headers.get("Authorization", ""))

    def middleware(self) -> Middleware:
        """Refuses what may not be done, before anything is read or done."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                await self.check(request)
            except ApiError as err:
                answer = error_response(err)
                if err.status == 401:
                    answer.headers["WWW-Authenticate"] = self._keyring.challenge
                return answer
            return await handler(request)

        return guard


_NEEDED = "changing anything needs a token (--web.config.file), unless it listens on loopback only"


def _changes(request: web.Request) -> bool:
    if request.method in READS:
        return False
    return not (request.path.startswith(_READ_BY_POST) and not request.path.endswith("/write"))


def _foreign(request: web.Request) -> bool:
    """Whether a browser says that another site's page makes the request."""
    origin = request.headers.get("Origin")
    return origin is not None and origin.partition("://")[2] != request.host
