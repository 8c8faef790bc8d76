"""The WebSocket hub: channels that clients subscribe to, each broadcast serialised and compressed once.

Every message of a channel is the whole of what it has to say, so a reader that is too slow for all of them gets the
latest and misses nothing; nothing is ever queued for it beyond what its socket holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import msgspec
import orjson
from aiohttp import WSCloseCode, WSMsgType, web
from yarl import URL

from exporter.web.fleet_view import rfc3339
from exporter.web.frames import Message

log = logging.getLogger(__name__)

PROTOCOL = 1
MAX_MESSAGE_BYTES = 16 << 10
_HEARTBEAT_S = 20.0
_CLOSE_S = 2.0
_UNREAD_BYTES = 64 << 10  # with more than this unread a client is behind
_BEHIND_S = 60.0  # for so long
_MESSAGES, _PER_S = 60, 10.0  # what a client may send: more is a flood

Source = Callable[[], object]
"""The data of a channel as JSON-able objects; None while there is none."""


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may say."""

    type: str
    channels: list[str]


@dataclass(frozen=True, slots=True)
class StreamStats:
    """`connections` and `behind` are now, the others count since the start."""

    connections: int
    behind: int
    refused: int
    messages: int
    skipped: int


class _Client:
    """One connection: what it wants, and which channels it has missed something of."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.WriteTransport) -> None:
        self.socket = socket
        self._transport = transport
        self._window_bits = int(socket.compress)
        self.channels: set[str] = set()
        self.missed: set[str] = set()
        self.behind_since: float | None = None

    def keeps_up(self) -> bool:
        return self._transport.get_write_buffer_size() <= _UNREAD_BYTES

    def write(self, message: Message) -> None:
        """Hand a frame to the socket, beside aiohttp's own writer, which would compress it for each client."""
        if not self._transport.is_closing():
            self._transport.write(message.frame(self._window_bits))

    def abort(self) -> None:
        self._transport.abort()


class Hub:
    """Broadcasts channels to at most `max_connections` clients."""

    def __init__(
        self,
        channels: Mapping[str, Source],
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        tick_s: float,
        interval_s: float = 5.0,
        max_connections: int = 100,
        origins: Sequence[str] = (),
    ) -> None:
        self._channels = dict(channels)
        self._now = now
        self._monotonic = monotonic
        self._tick_s = tick_s
        self._interval_s = interval_s
        self._most = max_connections
        self._origins = frozenset(origins)
        self._seq = dict.fromkeys(self._channels, 0)
        self._clients: set[_Client] = set()
        self._refused = self._messages = self._skipped = 0

    def stats(self) -> StreamStats:
        """How it is doing."""
        behind = sum(bool(client.missed) for client in self._clients)
        return StreamStats(len(self._clients), behind, self._refused, self._messages, self._skipped)

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        return [web.get("/ws", self.connect)]

    def publish(self, channel: str) -> None:
        """Send the present data of a channel to everyone who wants it. Data that cannot be had is logged."""
        self._safely(self._publish, channel)

    def _publish(self, channel: str) -> None:
        wanted = [client for client in self._clients if channel in client.channels]
        data = self._channels[channel]() if wanted else None
        if data is None:
            return
        self._seq[channel] += 1
        message = self._message(channel, data, "update")
        for client in wanted:
            self._offer(client, channel, message)

    def _offer(self, client: _Client, channel: str, message: Message) -> None:
        if client.keeps_up():
            client.write(message)
            self._messages += 1
        else:
            client.missed.add(channel)
            self._skipped += 1

    def _message(self, channel: str, data: object, kind: str) -> Message:
        envelope = {
            "type": kind,
            "channel": channel,
            "timestamp": rfc3339(round(self._now() * 1000)),
            "seq": self._seq[channel],
            "data": data,
        }
        return Message(orjson.dumps(envelope))

    def _snapshot(self, client: _Client, channel: str) -> None:
        """The whole of a channel to one client, numbered as the last broadcast was."""
        data = self._channels[channel]()
        if data is not None:
            self._offer(client, channel, self._message(channel, data, "snapshot"))

    async def context(self, app: web.Application) -> AsyncIterator[None]:
        """Broadcasts while the application runs; closes the connections before it ends."""
        app.on_shutdown.append(self._close_all)
        loops = [asyncio.create_task(self._broadcast()), asyncio.create_task(self._catch_up())]
        yield
        for loop in loops:
            loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await loop

    async def _broadcast(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            for channel in self._channels:
                self.publish(channel)

    def _safely(self, act: Callable[[str], None], channel: str) -> None:
        try:
            act(channel)
        except Exception:  # neither a tick nor a connection ends because of one channel
            log.exception("broadcast failed channel=%s", channel)

    async def _catch_up(self) -> None:
        """Once a second: who has read what it had gets the latest of what it missed; who never reads is cut off."""
        while True:
            await asyncio.sleep(1.0)
            for client in [client for client in self._clients if client.missed]:
                if client.keeps_up():
                    client.behind_since, missed, client.missed = None, client.missed, set()
                    for channel in missed & client.channels:
                        self._safely(partial(self._snapshot, client), channel)
                elif self._monotonic() - (client.behind_since or self._monotonic()) > _BEHIND_S:
                    client.abort()
                elif client.behind_since is None:
                    client.behind_since = self._monotonic()

    async def _close_all(self, _app: web.Application) -> None:
        closing = [client.socket.close(code=WSCloseCode.GOING_AWAY, message=b"shutdown") for client in self._clients]
        await asyncio.gather(*closing, return_exceptions=True)

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, from handshake to close."""
        if not self._same_origin(request):
            raise web.HTTPForbidden(text="origin not allowed\n")
        socket = web.WebSocketResponse(
            heartbeat=_HEARTBEAT_S, timeout=_CLOSE_S, max_msg_size=MAX_MESSAGE_BYTES, compress=True
        )
        full = len(self._clients) >= self._most
        await socket.prepare(request)
        if full or len(self._clients) >= self._most or request.transport is None:
            self._refused += 1
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too many connections")
            return socket
        client = _Client(socket, cast(asyncio.WriteTransport, request.transport))
        self._clients.add(client)
        try:
            client.write(self._hello())
            await self._listen(client)
        finally:
            self._clients.discard(client)
        return socket

    def _same_origin(self, request: web.Request) -> bool:
        """Browsers tell where a page came from; only our own pages and those allowed may connect."""
        origin = request.headers.get("Origin")
        if origin is None or origin in self._origins:
            return True
        try:
            return URL(origin).authority == URL(f"//{request.host}").authority
        except ValueError:
            return False

    def _hello(self) -> Message:
        hello = {"type": "hello", "protocol": PROTOCOL, "channels": list(self._channels), "tick": self._tick_s}
        return Message(orjson.dumps(hello))

    async def _listen(self, client: _Client) -> None:
        allowance, before = float(_MESSAGES), self._monotonic()
        async for received in client.socket:
            now = self._monotonic()
            allowance, before = min(_MESSAGES, allowance + (now - before) * _PER_S) - 1, now
            if allowance < 0:
                await client.socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many messages")
                return
            if received.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self._heed(client, received.data)

    def _heed(self, client: _Client, text: str | bytes) -> None:
        try:
            wish = msgspec.json.decode(text, type=Wish)
            self._grant(client, wish)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as err:
            error = {"type": "error", "code": "bad_message", "message": str(err)}
            if client.keeps_up():
                client.write(Message(orjson.dumps(error)))

    def _grant(self, client: _Client, wish: Wish) -> None:
        """Raises ValueError for what there is not."""
        if wish.type not in ("subscribe", "unsubscribe"):
            raise ValueError(f"type {wish.type[:40]!r}: must be subscribe or unsubscribe")
        if unknown := [channel for channel in wish.channels if channel not in self._channels]:
            raise ValueError(f"channel {unknown[0][:40]!r}: must be one of {', '.join(self._channels)}")
        if wish.type == "unsubscribe":
            client.channels -= set(wish.channels)
            return
        for channel in dict.fromkeys(wish.channels):
            client.channels.add(channel)
            self._safely(partial(self._snapshot, client), channel)
