"""Silences: matchers that keep alerts quiet for a while, as Alertmanager has them.

Source: prometheus/alertmanager, silence/silence.go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from alerter.matchers import all_match, make_matcher
from alerter.state.state import Store
from exporter.model import Labels, Matcher, MatchType

_KEPT_S = 5 * 86_400.0


@dataclass(frozen=True, slots=True)
class SilenceMatcher:
    """One condition as it is kept: `type` is one of = != =~ !~."""

    name: str
    value: str
    type: str


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that match all matchers are quiet in [starts_at, ends_at). Times are Unix seconds."""

    id: str
    matchers: tuple[SilenceMatcher, ...]
    starts_at: float
    ends_at: float
    updated_at: float
    created_by: str
    comment: str

    def status(self, now: float) -> str:
        """pending, active or expired."""
        if now < self.starts_at:
            return "pending"
        return "active" if now < self.ends_at else "expired"


class NoSuchSilenceError(Exception):
    """There is no silence with this id."""


class Silences:
    """All silences; what is changed is kept in the store. `new_id` gives a fresh id."""

    def __init__(self, store: Store, now: Callable[[], float], new_id: Callable[[], str]) -> None:
        self._store = store
        self._now = now
        self._new_id = new_id
        self._compiled: dict[str, tuple[Matcher, ...]] = {}
        self._silences: dict[str, Silence] = {}
        self._loads = -1

    def all(self) -> list[Silence]:
        """Every silence that is kept: those that expired stay for five days."""
        if self._loads != self._store.loads:
            self._silences = {**self._store.silences(Silence), **self._silences}
            self._loads = self._store.loads
        for silence in [each for each in self._silences.values() if self._now() - each.ends_at > _KEPT_S]:
            del self._silences[silence.id]
            self._store.put_silence(silence.id, None)
        return list(self._silences.values())

    def get(self, key: str) -> Silence:
        """One silence. Raises NoSuchSilenceError."""
        found = next((silence for silence in self.all() if silence.id == key), None)
        if found is None:
            raise NoSuchSilenceError(f"silence {key} not found")
        return found

    def put(self, wanted: Silence) -> str:
        """Add a silence, or change the one with its id; returns the id, a new one where what it matches changed.

        Raises ValueError for a silence that cannot be, NoSuchSilenceError for an id that is not there.
        """
        now = self._now()
        self._check(wanted, now)
        if not wanted.id:
            return self._keep(dataclasses.replace(wanted, id=self._new_id(), starts_at=max(wanted.starts_at, now)))
        before = self.get(wanted.id)
        if before.matchers == wanted.matchers and before.status(now) != "expired":
            starts_at = before.starts_at if before.status(now) == "active" else max(wanted.starts_at, now)
            return self._keep(dataclasses.replace(wanted, starts_at=starts_at))
        if before.status(now) != "expired":
            self.expire(wanted.id)
        return self._keep(dataclasses.replace(wanted, id=self._new_id(), starts_at=max(wanted.starts_at, now)))

    def expire(self, key: str) -> None:
        """End a silence now. Raises NoSuchSilenceError; ValueError where it has ended already."""
        silence, now = self.get(key), self._now()
        if silence.status(now) == "expired":
            raise ValueError(f"silence {key} already expired")
        starts_at = min(silence.starts_at, now)
        self._keep(dataclasses.replace(silence, starts_at=starts_at, ends_at=now))

    def _keep(self, silence: Silence) -> str:
        kept = dataclasses.replace(silence, updated_at=self._now())
        self._silences[kept.id] = kept
        self._compiled.pop(kept.id, None)
        self._store.put_silence(kept.id, kept)
        return kept.id

    def _check(self, silence: Silence, now: float) -> None:
        if not silence.matchers:
            raise ValueError("invalid silence: at least one matcher required")
        if all(matcher.type in ("=", "=~") and _matches_empty(matcher) for matcher in silence.matchers):
            raise ValueError("invalid silence: at least one matcher must not match the empty string")
        if silence.ends_at < silence.starts_at:
            raise ValueError("invalid silence: end time must not be before start time")
        if silence.ends_at <= now:
            raise ValueError("invalid silence: end time can't be in the past")
        for matcher in silence.matchers:
            if not matcher.name:
                raise ValueError("invalid silence: invalid label matcher: label name must not be empty")
        _compiled(silence)

    # -- who is quiet -----------------------------------------------------------------------------

    def active(self) -> list[Silence]:
        """Those that hold now."""
        return [silence for silence in self.all() if silence.status(self._now()) == "active"]

    def silenced_by(self, labels: Labels, active: Iterable[Silence]) -> list[str]:
        """The ids of the silences that keep an alert quiet."""
        by_name = dict(labels)
        return [silence.id for silence in active if all_match(self._matchers(silence), by_name)]

    def _matchers(self, silence: Silence) -> tuple[Matcher, ...]:
        found = self._compiled.get(silence.id)
        if found is None:
            found = self._compiled[silence.id] = _compiled(silence)
        return found

    def quiet(self, labels: Sequence[Labels]) -> set[Labels]:
        """Those of the label sets that a silence matches now."""
        active = self.active()
        return {each for each in labels if self.silenced_by(each, active)} if active else set()


def _compiled(silence: Silence) -> tuple[Matcher, ...]:
    return tuple(make_matcher(each.name, each.value, MatchType(each.type)) for each in silence.matchers)


def _matches_empty(matcher: SilenceMatcher) -> bool:
    return make_matcher(matcher.name, matcher.value, MatchType(matcher.type)).matches("")
