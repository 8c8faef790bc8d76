"""One connection of the stream: what it wants, what it has missed, and what it may send."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from aiohttp import WSMessage, WSMsgType, web

from exporter.web.frames import Message

UNREAD_BYTES = 64 << 10  # with more than this unread a client is behind
_MESSAGES, _PER_S = 60, 10.0  # what a client may send: more is a flood
_CLOSE_S = 2.0


class Allowance:
    """How many frames a client may still send: a full bucket at first, refilled with time."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._left, self._at = float(_MESSAGES), monotonic()

    def takes_one(self) -> bool:
        """Whether one more frame is within what is allowed."""
        now = self._monotonic()
        self._left, self._at = min(_MESSAGES, self._left + (now - self._at) * _PER_S) - 1, now
        return self._left >= 0


class Subscriber:
    """One connection. `quiet_since`, `behind_since`: seconds of the hub's clock; None while it is not so.

    `channels` is what it has subscribed to, `missed` those of them of which it was too slow to get the latest.
    """

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.WriteTransport, now: float) -> None:
        self._socket = socket
        self._transport = transport
        self._window_bits = int(socket.compress)
        self.channels: set[str] = set()
        self.missed: set[str] = set()
        self.quiet_since: float | None = now
        self.behind_since: float | None = None

    def keeps_up(self) -> bool:
        """Whether it reads what it gets."""
        return self._transport.get_write_buffer_size() <= UNREAD_BYTES

    def quiet_for(self, now: float) -> float:
        """For how long it has wanted nothing, in seconds; 0 while it wants anything."""
        return 0.0 if self.quiet_since is None else now - self.quiet_since

    def write(self, message: Message) -> None:
        """Hand a frame to the socket, beside aiohttp's own writer, which would compress it for each client."""
        if not self._transport.is_closing():
            self._transport.write(message.frame(self._window_bits))

    async def hear(self, allowance: Allowance) -> str | bytes | None:
        """What it says next; None once it has closed, said what cannot be understood, or sent too much.

        Pings are answered here, where they count as frames: a flood of them is a flood.
        """
        while True:
            received: WSMessage = await self._socket.receive()
            if received.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return None
            if not allowance.takes_one():
                await self.close(1008, b"too many messages")
                return None
            if received.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                said: str | bytes = received.data
                return said
            if received.type is WSMsgType.PING:
                with contextlib.suppress(ConnectionError):  # gone: the next frame says so
                    await self._socket.pong(received.data)

    async def close(self, code: int, reason: bytes) -> None:
        """Says why, waits a little for the answer, and cuts off who does not read it."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._socket.close(code=code, message=reason)
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Ends the connection now."""
        self._transport.abort()
