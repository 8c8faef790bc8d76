"""One of n exporters that share a fleet: which servers are its own."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_SHARD = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard `number` of `count`, counted from 1. Every server is in exactly one of them, by its name alone."""

    number: int
    count: int

    def has(self, server: str) -> bool:
        """Whether a server is in it."""
        digest = hashlib.blake2b(server.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1


WHOLE = Shard(1, 1)


def parse_shard(text: str) -> Shard:
    """`2/8` is the second of eight; an empty text is all there is. Raises ValueError."""
    if not text:
        return WHOLE
    match = _SHARD.fullmatch(text)
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= count:
        raise ValueError(f"shard {text!r}: must be i/n with 1 <= i <= n, such as 2/8")
    return Shard(number, count)
