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
from aiohttp import WSCloseCode, web
from yarl import URL

from exporter.web.fleet_view import rfc3339
from exporter.web.frames import Message
from exporter.web.subscriber import Allowance, Subscriber

log = logging.getLogger(__name__)

PROTOCOL = 1
MAX_MESSAGE_BYTES = 16 << 10
_HEARTBEAT_S = 20.0
_CLOSE_S = 2.0
_BEHIND_S = 60.0  # how long a client may not read what it gets
_QUIET_S = 60.0  # how long a connection may want nothing

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


class Hub:
    """Broadcasts channels to at most `max_connections` clients. now: Unix seconds; monotonic: any that only grow."""

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
        self._snapshots: dict[str, Message] = {}
        self._clients: set[Subscriber] = set()
        self._refused = self._messages = self._skipped = 0

    def stats(self) -> StreamStats:
        """How it is doing."""
        behind = sum(bool(client.missed) for client in self._clients)
        return StreamStats(len(self._clients), behind, self._refused, self._messages, self._skipped)

    def wanted(self, channel: str) -> bool:
        """Whether anybody listens to a channel."""
        return any(channel in client.channels for client in self._clients)

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        return [web.get("/ws", self.connect)]

    def publish(self, channel: str) -> None:
        """Send the present data of a channel to everyone who wants it. Data that cannot be had is logged."""
        self._safely(self._publish, channel)

    def _publish(self, channel: str) -> None:
        self._snapshots.pop(channel, None)
        wanted = [client for client in self._clients if channel in client.channels]
        data = self._channels[channel]() if wanted else None
        if data is None:
            return
        self._seq[channel] += 1
        body = orjson.dumps(data)
        self._snapshots[channel] = self._message(channel, body, "snapshot")
        message = self._message(channel, body, "update")
        for client in wanted:
            self._offer(client, channel, message)

    def _offer(self, client: Subscriber, channel: str, message: Message) -> None:
        if client.keeps_up():
            client.write(message)
            self._messages += 1
        else:
            client.missed.add(channel)
            self._skipped += 1

    def _message(self, channel: str, data: bytes, kind: str) -> Message:
        envelope = {
            "type": kind,
            "channel": channel,
            "timestamp": rfc3339(round(self._now() * 1000)),
            "seq": self._seq[channel],
            "data": orjson.Fragment(data),
        }
        return Message(orjson.dumps(envelope))

    def _snapshot(self, client: Subscriber, channel: str) -> None:
        """The whole of a channel to one client, numbered as the last broadcast was; made once between broadcasts."""
        message = self._snapshots.get(channel)
        if message is None:
            data = self._channels[channel]()
            if data is None:
                return
            message = self._snapshots[channel] = self._message(channel, orjson.dumps(data), "snapshot")
        self._offer(client, channel, message)

    async def context(self, app: web.Application) -> AsyncIterator[None]:
        """Broadcasts while the application runs; closes the connections before it ends."""
        app.on_shutdown.append(self._close_all)
        loops = [asyncio.create_task(self._broadcast()), asyncio.create_task(self._look_after())]
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

    async def _look_after(self) -> None:
        """Once a second: who has caught up gets the latest of what it missed; who reads or wants nothing is let go."""
        while True:
            await asyncio.sleep(1.0)
            now = self._monotonic()
            for client in [client for client in self._clients if client.missed]:
                self._catch_up(client, now)
            quiet = [client for client in self._clients if client.quiet_for(now) > _QUIET_S]
            closing = [client.close(WSCloseCode.POLICY_VIOLATION, b"no subscription") for client in quiet]
            await asyncio.gather(*closing, return_exceptions=True)

    def _catch_up(self, client: Subscriber, now: float) -> None:
        if client.keeps_up():
            client.behind_since, missed, client.missed = None, client.missed, set()
            for channel in missed & client.channels:
                self._safely(partial(self._snapshot, client), channel)
        elif client.behind_since is None:
            client.behind_since = now
        elif now - client.behind_since > _BEHIND_S:
            client.abort()

    async def _close_all(self, _app: web.Application) -> None:
        closing = [client.close(WSCloseCode.GOING_AWAY, b"shutdown") for client in self._clients]
        await asyncio.gather(*closing, return_exceptions=True)

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, from handshake to close."""
        if not self._same_origin(request):
            raise web.HTTPForbidden(text="origin not allowed\n")
        socket = web.WebSocketResponse(
            heartbeat=_HEARTBEAT_S, timeout=_CLOSE_S, max_msg_size=MAX_MESSAGE_BYTES, compress=True, autoping=False
        )
        await socket.prepare(request)
        if request.transport is None:  # gone already
            return socket
        client = Subscriber(socket, cast(asyncio.WriteTransport, request.transport), self._monotonic())
        if len(self._clients) >= self._most:
            self._refused += 1
            await client.close(WSCloseCode.TRY_AGAIN_LATER, b"too many connections")
            return socket
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

    async def _listen(self, client: Subscriber) -> None:
        allowance = Allowance(self._monotonic)
        while (said := await client.hear(allowance)) is not None:
            self._heed(client, said)

    def _heed(self, client: Subscriber, text: str | bytes) -> None:
        try:
            wish = msgspec.json.decode(text, type=Wish)
            self._grant(client, wish)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as err:
            error = {"type": "error", "code": "bad_message", "message": str(err)}
            if client.keeps_up():
                client.write(Message(orjson.dumps(error)))

    def _grant(self, client: Subscriber, wish: Wish) -> None:
        """Raises ValueError for what there is not."""
        if wish.type not in ("subscribe", "unsubscribe"):
            raise ValueError(f"type {wish.type[:40]!r}: must be subscribe or unsubscribe")
        if unknown := [channel for channel in wish.channels if channel not in self._channels]:
            raise ValueError(f"channel {unknown[0][:40]!r}: must be one of {', '.join(self._channels)}")
        if wish.type == "unsubscribe":
            client.channels -= set(wish.channels)
        for channel in dict.fromkeys(wish.channels) if wish.type == "subscribe" else ():
            client.channels.add(channel)
            self._safely(partial(self._snapshot, client), channel)
        client.quiet_since = None if client.channels else self._monotonic()
