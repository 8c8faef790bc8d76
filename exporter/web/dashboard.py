"""The dashboard: static files, read once, compressed once, with a policy that allows nothing from elsewhere."""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from isal import igzip

from exporter.web.errors import not_found
from exporter.web.negotiation import accepts_gzip

POLICY = (
    "default-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".md": "text/plain", ".txt": "text/plain"}


@dataclass(frozen=True, slots=True)
class File:
    """A static file, ready to be sent."""

    body: bytes
    packed: bytes
    type: str
    tag: str


def read_file(path: Path) -> File:
    """The file at a path."""
    body = path.read_bytes()
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    charset = "; charset=utf-8" if kind.startswith("text/") or kind == "image/svg+xml" else ""
    tag = f'"{hashlib.blake2b(body, digest_size=8).hexdigest()}"'
    return File(body, igzip.compress(body, 3), kind + charset, tag)


class Dashboard:
    """Serves `index.html` for every page of the application, and what it loads under `/static/`."""

    def __init__(self, folder: Path) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): read_file(path) for path in sorted(folder.rglob("*")) if path.is_file()
        }

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        return [
            web.get("/", self.index),
            web.get("/servers/{id}", self.index),
            web.get("/static/{name:.+}", self.static),
            web.get("/favicon.ico", self.icon),
        ]

    async def index(self, request: web.Request) -> web.Response:
        """The page."""
        return _send(request, self._files["index.html"])

    async def icon(self, request: web.Request) -> web.Response:
        """The browser's own request for an icon."""
        return _send(request, self._files["icon.svg"])

    async def static(self, request: web.Request) -> web.Response:
        """A module, a style sheet, an icon."""
        file = self._files.get(request.match_info["name"])
        if file is None:
            raise not_found("no such file")
        return _send(request, file)


def _send(request: web.Request, file: File) -> web.Response:
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-cache",
        "ETag": file.tag,
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("If-None-Match") == file.tag:
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = file.type
    if accepts_gzip(request.headers.get("Accept-Encoding", "")):
        return web.Response(body=file.packed, headers={**headers, "Content-Encoding": "gzip"})
    return web.Response(body=file.body, headers=headers)
