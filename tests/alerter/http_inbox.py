"""A local HTTP server in the place of Slack and Datadog: it keeps what it is sent and answers as it is told."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Answer = tuple[int, str, dict[str, str]]
_OK: dict[str, Answer] = {
    "/slack": (200, "ok", {}),
    "/api/v1/series": (202, '{"status":"ok"}', {}),
    "/api/v1/events": (202, '{"status":"ok","event":{}}', {}),
}


@dataclass
class HttpInbox:
    """Use it as a context manager. `answer` may give another answer for a path, or None for the usual one."""

    answer: Callable[[str], Answer | None] = lambda path: None
    requests: list[tuple[str, Any]] = field(default_factory=list)

    def __enter__(self) -> HttpInbox:
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                encoding = self.headers.get("Content-Encoding", "")
                if encoding == "gzip":
                    body = gzip.decompress(body)
                elif encoding == "deflate":
                    body = zlib.decompress(body)
                path = self.path.split("?")[0]
                answer = inbox.answer(path)
                status, text, headers = answer or _OK.get(path, (404, "no_service", {}))
                if status < 300:
                    inbox.requests.append((path, json.loads(body)))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def to(self, path: str) -> list[Any]:
        """The bodies that were accepted at a path."""
        return [body for where, body in self.requests if where == path]
