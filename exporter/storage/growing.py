"""A log as the process that writes it knows it: its bytes in memory, and how many of them the store has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from exporter.storage.frame import Run
from exporter.storage.store import Append, Log


@dataclass(slots=True, eq=False)
class Group:
    """Frames that can be read without any others: a baseline and its deltas, or one imported block.

    `data` is None once the store has it and memory was wanted; then it is `size` bytes from `offset` on in the log.
    Of the group that still grows `data` may lack the first `dropped` bytes, which the store has.
    `sent` counts the bytes the store has acknowledged. `t_ms` is the first frame's time, `last_ms` the last one's.
    `number` is its own within the log.
    """

    number: int
    t_ms: int
    last_ms: int
    samples: int = 0
    data: bytearray | None = field(default_factory=bytearray)
    size: int = 0
    sent: int = 0
    offset: int = 0
    dropped: int = 0


class GrowingLog:
    """What goes to the end of a log, until the store has it.

    Invariant: the store's bytes of the log are those of its groups up to `sent`, in order, `stored` in all.
    `in_flight` says that an append was taken from it and is neither acknowledged nor known to have failed; `torn`, that
    the open group is lost: a new one has to begin.
    Not thread-safe: its owner locks.
    """

    __slots__ = ("_count", "_unsent", "closed", "groups", "in_flight", "log", "runs", "segments", "stored", "torn")

    def __init__(self, log: Log, segments: dict[bytes, bytes], runs: tuple[Run, ...]) -> None:
        self.log = log
        self.runs = runs
        self.groups: list[Group] = []
        self.segments = segments
        self.stored = 0
        self.closed = False
        self.torn = False
        self._count = 0
        self._unsent = set(segments)
        self.in_flight = False

    @property
    def pending(self) -> int:
        """Bytes that the store has not acknowledged."""
        return sum(group.size - group.sent for group in self.groups)

    @property
    def held(self) -> int:
        """Bytes of frames in memory."""
        return sum(len(group.data) for group in self.groups if group.data is not None)

    def unsent_segments(self) -> dict[bytes, bytes]:
        """The segments that its frames name and the store may not have."""
        return {digest: self.segments[digest] for digest in self._unsent}

    def name_segments(self, runs: Sequence[Run], segments: Mapping[bytes, bytes]) -> None:
        """Frames to come have these series, of these segments."""
        known = set(self.runs)
        self.runs += tuple(run for run in runs if run not in known)
        self._unsent |= segments.keys() - self.segments.keys()
        self.segments.update(segments)

    def write(self, t_ms: int, data: bytes, samples: int, *, opens_group: bool) -> None:
        """Add a frame."""
        if opens_group or self.torn:
            self.torn = not opens_group
            self.groups.append(Group(self._count, t_ms, t_ms))
            self._count += 1
        group = self.groups[-1]
        assert group.data is not None, "the open group stays in memory"
        group.data += data
        group.size += len(data)
        group.samples += samples
        group.last_ms = max(group.last_ms, t_ms)

    def next_append(self) -> Append | None:
        """What the store is to get next."""
        data = b"".join(
            bytes(group.data[group.sent - group.dropped :])
            for group in self.groups
            if group.data and group.size > group.sent
        )
        return Append(self.log, self.stored, data) if data else None

    def acknowledge(self, size: int, segments: Iterable[bytes]) -> None:
        """The store has `size` bytes more, and these segments."""
        self._unsent.difference_update(segments)
        for group in self.groups:
            if not size:
                break
            taken = min(size, group.size - group.sent)
            if taken and not group.sent:
                group.offset = self.stored
            group.sent += taken
            self.stored += taken
            size -= taken

    def all_unsent(self) -> bytes:
        """Everything in memory, for a store that has lost some; `stored` starts again from nothing."""
        self.torn = self.torn or any(group.dropped for group in self.groups[-1:])
        self.groups = [group for group in self.groups if group.data is not None and not group.dropped]
        for group in self.groups:
            group.sent = 0
        self.stored = 0
        return b"".join(bytes(group.data or b"") for group in self.groups)

    def shed(self, *, unsent: bool) -> tuple[int, int]:
        """Give up the memory of the oldest group that can spare it: (bytes, samples lost).

        A group the store has stays readable there, and so does what it has of the open one. With `unsent`, one it has
        not is lost, unless it may just be on its way.
        """
        for group in self.groups[: None if self.closed else -1]:
            if group.data is not None and group.sent == group.size:
                freed, group.data = len(group.data), None
                return freed, 0
            if unsent and not self.in_flight and group.data is not None and not group.sent:
                self.groups.remove(group)
                return group.size, group.samples
        return self._shed_open(), 0

    def _shed_open(self) -> int:
        group = self.groups[-1] if self.groups and not self.closed else None
        if group is None or group.data is None:
            return 0
        spare = group.sent - group.dropped
        group.data = group.data[spare:]
        group.dropped = group.sent
        return spare
