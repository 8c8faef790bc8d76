"""A WebSocket text message as bytes, made once for everybody who gets it.

    FIN RSV1 0 0 opcode | 0 length | 16 or 64 bit length | payload

RSV1 says that the payload is deflated. Each message is compressed on its own, which every client that has
negotiated permessage-deflate can read, with or without context takeover. Sources: RFC 6455 §5.2, RFC 7692 §7.2.
"""

from __future__ import annotations

import struct
import zlib

from isal import isal_zlib

_FIN_TEXT, _RSV1 = 0x81, 0x40
_LEVEL = 1
_TAIL = b"\x00\x00\xff\xff"


def frame(payload: bytes, deflated: bool = False) -> bytes:
    """One unfragmented, unmasked text frame, as servers send them."""
    first = _FIN_TEXT | (_RSV1 if deflated else 0)
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


class Message:
    """A text with its frames; each kind of frame is made when the first client needs it."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._frames: dict[int, bytes] = {}

    def frame(self, window_bits: int) -> bytes:
        """The frame for a client: deflated with this window (9 to 15), or plain (0)."""
        made = self._frames.get(window_bits)
        if made is None:
            payload = _deflated(self.text, window_bits) if window_bits else self.text
            made = self._frames[window_bits] = frame(payload, bool(window_bits))
        return made


def _deflated(text: bytes, window_bits: int) -> bytes:
    deflate = isal_zlib.compressobj(_LEVEL, zlib.DEFLATED, -window_bits)
    packed: bytes = deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return packed.removesuffix(_TAIL)
