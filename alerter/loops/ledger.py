"""What a receiver was told, beside what is true: the groups it may be owed something about.

What it was told outlives the process: it is in the store before anything leaves, and again once it was accepted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence

from alerter.decisions.dispatch import GroupView, Policy, Told, grouped
from alerter.decisions.inhibition import Known
from alerter.decisions.routing import PolicyOf
from alerter.model import fingerprint
from alerter.state.board import Board
from alerter.state.state import Store
from exporter.model import Labels

Muted = Callable[[Sequence[Known], float], Collection[Labels]]
"""The labels of the alerts that are silenced or inhibited at a time."""

MUTED_CHECK_S = 5.0
"""How often is asked whether a silence, an inhibition or a mute time holds no more."""


def group_name(labels: Labels) -> str:
    """A group's labels as one text, for the store."""
    return fingerprint(labels)


class Ledger:
    """One receiver's. `policy` is of groups of which nothing is true any more."""

    def __init__(
        self,
        receiver: str,
        policy: Policy,
        *,
        policy_of: PolicyOf,
        board: Board,
        store: Store,
        muted: Muted,
        now: Callable[[], float],
    ) -> None:
        self._receiver = receiver
        self._policy = policy
        self._policy_of = policy_of
        self._board, self._store = board, store
        self._muted, self._now = muted, now
        self._told: dict[Labels, Told] = {}
        self._missing: dict[Labels, float] = {}
        self._loads = -1
        self._seen: tuple[tuple[float, ...], dict[Labels, GroupView]] = ((), {})

    def views(self) -> dict[Labels, GroupView]:
        """What is true of every group that is known or was told about; worked out anew when something changed."""
        key = (self._board.version, self._store.loads, self._now() // MUTED_CHECK_S)
        if self._seen[0] != key:
            self._seen = (key, self._look())
        return self._seen[1]

    @property
    def waits(self) -> bool:
        """Whether something may be owed soon of which no news will come."""
        return bool(self._missing) or any(view.muted for view in self.views().values())

    def told(self, group: Labels) -> Told | None:
        """What was told about a group."""
        return self._told.get(group)

    def put(self, group: Labels, told: Told | None) -> None:
        """Note what was told about a group, None forgets it; in memory, and with the next flush in the store."""
        if told is None:
            self._told.pop(group, None)
        else:
            self._told[group] = told
        self._store.put_told(self._receiver, group_name(group), told)

    def _look(self) -> dict[Labels, GroupView]:
        if self._loads != self._store.loads:
            kept = self._store.told(self._receiver).values()
            self._told = {**{told.group_labels: told for told in kept}, **self._told}
            self._loads = self._store.loads
        known, now = self._board.known(), self._now()
        views = grouped(known, self._policy_of, self._muted(known, now))
        self._note_missing(views, now)
        for labels, told in list(self._told.items()):
            if told.at > now:  # the clock was put back: what follows a message must not wait until then
                self._told[labels] = told = dataclasses.replace(told, at=now)
            view = views.get(labels, GroupView(labels))
            if view.alerts or told.firing or told.maybe:
                views[labels] = dataclasses.replace(view, missing_since=self._missing)
            elif now - told.at > self._policy.group_interval_s:
                self.put(labels, None)
        return views

    def _note_missing(self, views: dict[Labels, GroupView], now: float) -> None:
        """Since when nothing is known of what was told."""
        missing = {
            alert.labels
            for labels, told in self._told.items()
            for alert in (*told.firing, *told.maybe)
            if labels not in views or alert.labels not in views[labels].alerts
        }
        self._missing = {labels: min(self._missing.get(labels, now), now) for labels in missing}
