"""The store between the loops: memory first, kept by SQLite or Redis, caught up after the keeper was away.

What is put is true at once for everyone in this process; `flush` writes what changed since the last flush as one
transaction. A keeper that does not answer loses nothing: what it missed is written when it is back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias, TypeVar

import msgspec

from alerter.decisions.dispatch import Told
from alerter.decisions.evaluation import RuleState
from alerter.model import Alert

log = logging.getLogger(__name__)
HISTORY_DAYS = 90
_DAY_S = 86_400.0
_MAX_UNWRITTEN_HISTORY = 100_000


class StoreError(Exception):
    """The keeper did not answer. The message never holds a password."""


class Kind(StrEnum):
    """What is kept."""

    RULE = "rule"
    TOLD = "told"
    SILENCE = "silence"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Happened:
    """One line of the history: a step of an alert, or a message to a receiver. `t` is Unix seconds.

    `kind` is transition or delivery; `labels` are the alert's or the group's.
    """

    t: float
    kind: str
    what: str
    labels: tuple[tuple[str, str], ...]
    receiver: str = ""
    detail: str = ""
    value: float | None = None


Key: TypeAlias = tuple[Kind, str]
Changes: TypeAlias = Mapping[Key, bytes | None]
"""New contents by kind and key; None deletes."""


class Keeper(Protocol):
    """Where entries and history are kept. Every method blocks and may raise StoreError."""

    def read(self) -> dict[Key, bytes]:
        """Every entry."""
        ...

    def write(self, changes: Changes, history: Sequence[tuple[float, bytes]]) -> bool:
        """Apply the changes and append the history, all or nothing; False if what was written before is gone."""
        ...

    def history(self, start: float, end: float, limit: int) -> list[bytes]:
        """The newest history with start <= t <= end, newest first."""
        ...

    def prune(self, before: float) -> None:
        """Forget history older than this."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What the store says about itself."""

    entries: int
    unwritten: int
    write_failures: int
    up: bool


class _KeptRule(msgspec.Struct, frozen=True):
    alerts: tuple[Alert, ...]
    evaluated_at: float | None


T = TypeVar("T")


class Store:
    """All that outlives a restart. `now` gives Unix seconds. Safe to use from several threads."""

    def __init__(self, keeper: Keeper, now: Callable[[], float]) -> None:
        self._keeper = keeper
        self._now = now
        self._entries: dict[Key, bytes] = {}
        self._dirty: dict[Key, bytes | None] = {}
        self._unwritten: list[Happened] = []
        self._lock = threading.Lock()
        self._io = threading.Lock()
        self._loaded = False
        self._up = True
        self._emptied = False
        self._failures = 0
        self._pruned_at = 0.0
        self.loads = 0  # how often it was read: late, where the keeper was away at the start

    def load(self) -> None:
        """Read what was kept. Raises StoreError; then the next flush that succeeds reads it."""
        with self._io:
            self._read()

    def _read(self) -> None:
        kept = self._keeper.read()
        with self._lock:
            self._entries = {**kept, **self._entries}
            for key, value in self._dirty.items():
                if value is None:
                    self._entries.pop(key, None)
        self._loaded = True
        self.loads += 1

    # -- entries ----------------------------------------------------------------------------------

    def _put(self, key: Key, value: bytes | None) -> None:
        with self._lock:
            if value is None:
                known = self._entries.pop(key, None) is not None
            else:
                known = True
                if self._entries.get(key) == value:
                    return
                self._entries[key] = value
            if known or not self._loaded:
                self._dirty[key] = value

    def _all(self, kind: Kind, of: type[T]) -> dict[str, T]:
        with self._lock:
            found = {key: value for (each, key), value in self._entries.items() if each is kind}
        decoded = {}
        for key, value in found.items():
            try:
                decoded[key] = msgspec.msgpack.decode(value, type=of)
            except msgspec.MsgspecError as err:
                log.warning("kept entry not readable, forgotten kind=%s key=%s err=%s", kind, key, err)
        return decoded

    def rules(self) -> dict[str, RuleState]:
        """The state of every rule that was kept, by the rule's key."""
        kept = self._all(Kind.RULE, _KeptRule)
        return {
            key: RuleState({alert.labels: alert for alert in rule.alerts}, rule.evaluated_at)
            for key, rule in kept.items()
        }

    def put_rule(self, key: str, state: RuleState | None) -> None:
        """Keep a rule's state; None forgets it."""
        value = None if state is None else _encode(_KeptRule(tuple(state.alerts.values()), state.evaluated_at))
        self._put((Kind.RULE, key), value)

    def told(self, receiver: str) -> dict[str, Told]:
        """What a receiver was told, by the group's name."""
        prefix = f"{receiver}\x00"
        return {
            key.removeprefix(prefix): told for key, told in self._all(Kind.TOLD, Told).items() if key.startswith(prefix)
        }

    def put_told(self, receiver: str, group: str, told: Told | None) -> None:
        """Keep what a receiver was told about a group; None forgets it."""
        self._put((Kind.TOLD, f"{receiver}\x00{group}"), None if told is None else _encode(told))

    def silences(self, of: type[T]) -> dict[str, T]:
        """Every silence by its id."""
        return self._all(Kind.SILENCE, of)

    def put_silence(self, key: str, silence: object | None) -> None:
        """Keep a silence; None forgets it."""
        self._put((Kind.SILENCE, key), None if silence is None else _encode(silence))

    def note(self, key: str) -> str | None:
        """A short text that somebody kept under a name."""
        with self._lock:
            kept = self._entries.get((Kind.NOTE, key))
        return None if kept is None else kept.decode("utf-8", "replace")

    def put_note(self, key: str, text: str | None) -> None:
        """Keep a short text; None forgets it."""
        self._put((Kind.NOTE, key), None if text is None else text.encode("utf-8", "replace"))

    # -- history ----------------------------------------------------------------------------------

    def happened(self, events: Sequence[Happened]) -> None:
        """Append to the history."""
        with self._lock:
            self._unwritten.extend(events)
            del self._unwritten[:-_MAX_UNWRITTEN_HISTORY]

    def history(self, start: float, end: float, limit: int) -> list[Happened]:
        """The newest history with start <= t <= end, newest first. Raises StoreError."""
        with self._lock:
            waiting = [event for event in reversed(self._unwritten) if start <= event.t <= end]
        with self._io:
            kept = [msgspec.msgpack.decode(line, type=Happened) for line in self._keeper.history(start, end, limit)]
        return sorted((*waiting, *kept), key=lambda event: -event.t)[:limit]

    # -- writing ----------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what changed since the last flush that succeeded. Never raises for a keeper that is away."""
        with self._io:
            try:
                self._write()
            except StoreError as err:
                self._failures += 1
                if self._up:
                    log.warning("state not written, kept in memory until it can be err=%s", err)
                self._up = False
            else:
                if not self._up:
                    log.info("state written again, nothing is missing")
                self._up = True

    def _write(self) -> None:
        if not self._loaded:
            self._read()
        with self._lock:
            changes, self._dirty = self._dirty, {}
            events, self._unwritten = self._unwritten, []
        try:
            if changes or events or not self._up:
                kept = self._keeper.write(changes, [(event.t, _encode(event)) for event in events])
                self._emptied = self._emptied or not kept
            if self._emptied:
                self._write_all()
            self._prune()
        except BaseException:  # whatever it was: nothing that was not written is forgotten
            with self._lock:
                self._dirty = {**changes, **self._dirty}
                self._unwritten = [*events, *self._unwritten]
            raise

    def _write_all(self) -> None:
        """A keeper that was started again empty gets back what is in memory."""
        with self._lock:
            entries = dict(self._entries)
        if entries:
            log.info("all of the state written anew entries=%d", len(entries))
            self._keeper.write(entries, [])
        self._emptied = False

    def _prune(self) -> None:
        now = self._now()
        if now - self._pruned_at > 3_600:
            self._keeper.prune(now - HISTORY_DAYS * _DAY_S)
            self._pruned_at = now

    def stats(self) -> StoreStats:
        """Counters and sizes."""
        with self._lock:
            return StoreStats(len(self._entries), len(self._dirty) + len(self._unwritten), self._failures, self._up)

    def close(self) -> None:
        """Write what is left, and let go of the keeper."""
        self.flush()
        self._keeper.close()


def _encode(value: object) -> bytes:
    return msgspec.msgpack.encode(value)
