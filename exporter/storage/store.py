"""What a store is: named logs that grow, sealed blocks, and segments of label rows. It knows nothing of samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class StoreError(Exception):
    """The store did not do it, and may do it later: away, full, locked. The message holds no secret."""


class UnusableStore(Exception):
    """The URL cannot be used, or what is behind it is not ours. The message holds no secret."""


class Log(NamedTuple):
    """The name of a log: one metric's live frames (lane `live`) or imported blocks (lane `imported`).

    `part` counts the metric's slots in PART_ROWS. `start_ms` is the time of the first frame, or of an imported
    window. `run` is the writing process' own, so that two runs never write to one log.
    """

    lane: str
    metric: str
    part: int
    start_ms: int
    run: str


class BlockKey(NamedTuple):
    """The name of a sealed block. `tier_ms` is 0 for raw samples; `window_ms` is where its window starts."""

    tier_ms: int
    window_ms: int
    metric: str
    part: int


@dataclass(frozen=True, slots=True)
class Append:
    """Bytes for the end of a log that holds `offset` bytes before."""

    log: Log
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Sealing:
    """Blocks that take the place of logs and of other blocks, `gone`.

    `ttl_ms` is how long the blocks are wanted, and with them the segments they name.
    """

    blocks: Mapping[BlockKey, bytes]
    gone: Sequence[BlockKey]
    logs: Sequence[Log]
    segments: frozenset[bytes]
    ttl_ms: int


class Store(Protocol):
    """Keeps bytes. One thread writes, any thread reads. Every method raises StoreError.

    Writing the same thing twice leaves it there once.
    """

    def append(self, appends: Sequence[Append], segments: Mapping[bytes, bytes], now_ms: int, ttl_ms: int) -> list[Log]:
        """Write all of it, segments (by digest) first, which are wanted for `ttl_ms` from now on.

        Answers with the logs that held fewer bytes than `offset`: they have lost something and are to be replaced.
        """
        ...

    def replace(self, append: Append, segments: Mapping[bytes, bytes], now_ms: int, ttl_ms: int) -> None:
        """Make a log hold exactly this, whatever the offset."""
        ...

    def logs(self) -> list[Log]:
        """Every log there is."""
        ...

    def read(self, log: Log, offset: int = 0, size: int | None = None) -> bytes:
        """What a log holds, or `size` bytes of it from `offset` on; nothing where it is not there."""
        ...

    def seal(self, sealing: Sealing) -> None:
        """Put the blocks there and take the logs away. A crash between leaves both, which readers bear."""
        ...

    def blocks(self) -> list[BlockKey]:
        """Every block there is."""
        ...

    def read_blocks(self, keys: Sequence[BlockKey]) -> list[bytes | None]:
        """The bytes of each block, None where it is not there."""
        ...

    def segment(self, digest: bytes) -> bytes | None:
        """A segment's bytes."""
        ...

    def remove(self, blocks: Iterable[BlockKey], logs: Iterable[Log]) -> None:
        """Take blocks and logs away for good."""
        ...

    def expire_segments(self, now_ms: int) -> None:
        """Take away the segments that nobody wants any more."""
        ...

    def compact(self) -> None:
        """Give space that became free back to the system, where that needs asking for."""
        ...

    def set_aside(self, name: str, data: bytes) -> None:
        """Keep damaged bytes where nothing reads them but people."""
        ...

    def size(self) -> int:
        """Bytes that everything takes, about."""
        ...

    def reopen(self) -> None:
        """Called after a StoreError, before the next try: get rid of broken connections."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
