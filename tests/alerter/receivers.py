"""Slack and Datadog on loopback: they check what they are sent as the real ones do, and fail as they are told to.

with FakeSlack() as slack:
    slack.script(Status(429, headers={"Retry-After": "2"}), Drop())   # the next two requests
    …
    slack.accepted                                                    # the bodies, in order
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import jsonschema


@dataclass(frozen=True)
class Status:
    """Answer with this; nothing is accepted."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """Read the request and never answer."""


@dataclass(frozen=True)
class Drop:
    """Close the connection without an answer; `accepts` says whether the message was taken before."""

    accepts: bool = False


@dataclass(frozen=True)
class Reset:
    """End the connection with a TCP reset."""


@dataclass(frozen=True)
class SlowBody:
    """Take the message, answer its status at once and the body a byte at a time."""

    pause_s: float = 0.2


@dataclass(frozen=True)
class SlowHead:
    """Send the status line a byte at a time; nothing is accepted."""

    pause_s: float = 0.2


Fault: TypeAlias = Status | Hang | Drop | Reset | SlowBody | SlowHead


@dataclass(frozen=True)
class Request:
    """What arrived, inflated. Header names are in lower case. `at` is time.monotonic()."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float


@dataclass(frozen=True)
class Taking:
    """An accepted message: when (time.monotonic()), and whether its sender got no answer."""

    body: Any
    at: float
    unanswered: bool


class FakeReceiver:
    """A web server that accepts what `refusal` finds nothing wrong with, unless its script says otherwise."""

    good = Status(200, "ok")

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.accepted: list[Any] = []
        self.takings: list[Taking] = []
        self._script: deque[Fault] = deque()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> FakeReceiver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def script(self, *faults: Fault) -> None:
        """What to do with the next requests, one each."""
        self._script.extend(faults)

    def forget(self) -> None:
        """As if it had just started."""
        self._script.clear()
        self.requests.clear()
        self.accepted.clear()

    def refusal(self, request: Request) -> Status | None:
        """Why the real one would not take it."""
        raise NotImplementedError

    def parsed(self, request: Request) -> Any:
        """What is kept of an accepted request."""
        return json.loads(request.body)

    def answer(self, request: Request, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(request)
        fault = self._script.popleft() if self._script else None
        if fault is None or isinstance(fault, SlowBody) or (isinstance(fault, Drop) and fault.accepts):
            refusal = self.refusal(request)
            if refusal is not None:
                _send(handler, refusal)
                return
            self.accepted.append(self.parsed(request))
            self.takings.append(Taking(self.accepted[-1], time.monotonic(), isinstance(fault, Drop)))
        self._act(fault, handler)

    def _act(self, fault: Fault | None, handler: BaseHTTPRequestHandler) -> None:
        match fault:
            case None:
                _send(handler, self.good)
            case Status():
                _send(handler, fault)
            case Hang():
                self._closing.wait()
            case Drop():
                handler.close_connection = True
                handler.connection.shutdown(socket.SHUT_RDWR)
            case Reset():
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                handler.close_connection = True
                handler.connection.close()
            case SlowBody():
                head = f"HTTP/1.1 {self.good.status} OK\r\nContent-Length: 2000\r\n\r\n"
                handler.wfile.write(head.encode())
                self._drip(handler, b"o" * 2000, fault.pause_s)
            case SlowHead():
                self._drip(handler, b"HTTP/1.1 200 " + b"o" * 2000, fault.pause_s)

    def _drip(self, handler: BaseHTTPRequestHandler, raw: bytes, pause_s: float) -> None:
        handler.close_connection = True
        with contextlib.suppress(OSError):
            for byte in raw:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                if self._closing.wait(pause_s):
                    return


def _handler(receiver: FakeReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            raw = self.rfile.read(int(headers.get("content-length", 0)))
            encoding = headers.get("content-encoding", "")
            body = zlib.decompress(raw, wbits=47) if encoding in ("deflate", "gzip") else raw
            receiver.answer(Request(self.path, headers, body, time.monotonic()), self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _send(handler: BaseHTTPRequestHandler, answer: Status) -> None:
    raw = answer.body.encode()
    handler.send_response(answer.status)
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(raw)))
    handler.end_headers()
    handler.wfile.write(raw)


class FakeSlack(FakeReceiver):
    """An incoming webhook: JSON, some content, and Slack's limits."""

    path = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"

    def __enter__(self) -> FakeSlack:
        super().__enter__()
        return self

    @property
    def webhook(self) -> str:
        """The secret URL."""
        return self.url + self.path

    def refusal(self, request: Request) -> Status | None:
        if request.path != self.path:
            return Status(404, "no_service")
        try:
            payload = json.loads(request.body.decode())
        except ValueError:
            return Status(400, "invalid_payload")
        word = slack_mistake(payload)
        return Status(400, word) if word else None


def slack_mistake(payload: object) -> str:
    """Slack's word for what is wrong with a message, "" for nothing. Source: api.slack.com, incoming webhooks."""
    if not isinstance(payload, dict):
        return "invalid_payload"
    if not (payload.get("text") or payload.get("attachments") or payload.get("blocks")):
        return "no_text"
    if len(payload.get("text", "")) > 40_000:
        return "msg_too_long"
    attachments = payload.get("attachments", [])
    if not isinstance(attachments, list) or not all(isinstance(each, dict) for each in attachments):
        return "invalid_attachments"
    if len(attachments) > 100:
        return "too_many_attachments"
    fields = [entry for attachment in attachments for entry in attachment.get("fields", [])]
    if not all(isinstance(entry.get("title"), str) and isinstance(entry.get("value"), str) for entry in fields):
        return "invalid_attachments"
    return ""


class FakeSlackApi(FakeReceiver):
    """chat.postMessage and chat.update of the Web API; `messages` are those shown, by their ts."""

    def __init__(self, token: str = "xoxb-0123456789-abcdefghij", port: int = 0) -> None:
        super().__init__(port)
        self.token = token
        self.messages: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> FakeSlackApi:
        super().__enter__()
        return self

    def refusal(self, request: Request) -> Status | None:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _not_ok("invalid_auth")
        payload = json.loads(request.body)
        if word := slack_mistake(payload):
            return _not_ok(word)
        if request.path == "/chat.update" and payload.get("ts") not in self.messages:
            return _not_ok("message_not_found")
        return None if request.path in ("/chat.update", "/chat.postMessage") else _not_ok("unknown_method")

    def parsed(self, request: Request) -> Any:
        payload = json.loads(request.body)
        ts = payload.get("ts") or f"1700000000.{len(self.messages):06d}"
        self.messages[ts] = {**self.messages.get(ts, {}), **payload}
        self.good = Status(200, json.dumps({"ok": True, "channel": "C024BE91L", "ts": ts}))
        return payload


def _not_ok(word: str) -> Status:
    return Status(200, json.dumps({"ok": False, "error": word}))


class FakeWebhook(FakeReceiver):
    """Takes any JSON at any path."""

    def __enter__(self) -> FakeWebhook:
        super().__enter__()
        return self

    def refusal(self, request: Request) -> Status | None:
        try:
            json.loads(request.body)
        except ValueError:
            return Status(400, "not JSON")
        return None


class FakeDatadog(FakeReceiver):
    """The v1 intake of series and events, checking the key and, given the schemas, every body against them."""

    good = Status(202, '{"status":"ok"}', {"Content-Type": "application/json"})
    kinds: Mapping[str, str] = {
        "/api/v1/series": "v1.MetricsPayload",
        "/api/v1/events": "v1.EventCreateRequest",
        "/api/v1/check_run": "v1.ServiceChecks",
    }

    def __init__(
        self, key: str = "0123456789abcdef0123456789abcdef", schemas: Path | None = None, port: int = 0
    ) -> None:
        super().__init__(port)
        self.key = key
        self._schemas = json.loads(schemas.read_text())["schemas"] if schemas else None

    def __enter__(self) -> FakeDatadog:
        super().__enter__()
        return self

    @property
    def series(self) -> list[dict[str, Any]]:
        """All accepted series."""
        return [series for body in self.accepted if "series" in body for series in body["series"]]

    @property
    def events(self) -> list[dict[str, Any]]:
        """All accepted events."""
        return [body for body in self.accepted if "title" in body]

    @property
    def checks(self) -> list[dict[str, Any]]:
        """All accepted service checks."""
        return [check for body in self.accepted if isinstance(body, list) for check in body]

    def refusal(self, request: Request) -> Status | None:
        if request.headers.get("dd-api-key") != self.key:
            return Status(403, '{"errors":["Forbidden"]}')
        kind = self.kinds.get(request.path)
        if kind is None:
            return Status(404, '{"errors":["Not found"]}')
        if len(request.body) > 62_914_560:
            return Status(413, '{"errors":["Payload too large"]}')
        mistake = self._mistake(kind, request.body)
        return Status(400, json.dumps({"errors": [mistake]})) if mistake else None

    def _mistake(self, kind: str, body: bytes) -> str:
        try:
            payload = json.loads(body, parse_constant=_not_json)
        except ValueError as err:
            return f"not JSON: {err}"
        if self._schemas is None:
            return ""
        try:
            jsonschema.validate(payload, _resolved({"$ref": f"#/{kind}"}, self._schemas))
        except jsonschema.ValidationError as err:
            return err.message
        return ""


def _not_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _resolved(schema: Any, schemas: Mapping[str, Any]) -> Any:
    """The schema with its references replaced by what they name; a nullable type may be null too."""
    if isinstance(schema, list):
        return [_resolved(each, schemas) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _resolved(schemas[schema["$ref"].removeprefix("#/")], schemas)
    made = {name: _resolved(value, schemas) for name, value in schema.items() if name != "nullable"}
    if schema.get("nullable") and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made
