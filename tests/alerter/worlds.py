"""A clock that moves when somebody sleeps, receivers that can fail, and alerts to tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from alerter.decisions.dispatch import Policy
from alerter.decisions.evaluation import RuleState
from alerter.decisions.inhibition import Known
from alerter.loops.delivery import Delivery
from alerter.loops.ledger import Muted
from alerter.loops.patience import Patience
from alerter.model import Alert, AlertState, DeliveryError, Notification
from alerter.state.board import Board
from alerter.state.sqlite_state import SqliteKeeper
from alerter.state.state import Store
from exporter.model import make_labels


class Clock:
    """Time that passes only in `sleep`; `during` is called with each new time."""

    def __init__(self, t: float = 1_000.0) -> None:
        self.t = t
        self.slept: list[float] = []

    def now(self) -> float:
        return self.t

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.t += seconds


class Inbox:
    """A receiver that accepts, or raises what stands in `faults` next (None accepts)."""

    name = "inbox"

    def __init__(self, clock: Clock, faults: Iterable[DeliveryError | None] = ()) -> None:
        self.faults = list(faults)
        self.accepted: list[Notification] = []
        self.asked: list[float] = []
        self._clock = clock

    def send(self, notification: Notification) -> None:
        self.asked.append(self._clock.t)
        if self.faults and (fault := self.faults.pop(0)) is not None:
            raise fault
        self.accepted.append(notification)

    def said(self) -> list[str]:
        """Each accepted message in a few words: `3 firing`, `1 firing 1 resolved`."""
        return [_words(each) for each in self.accepted]


def _words(notification: Notification) -> str:
    counts = {"firing": len(notification.firing), "resolved": len(notification.resolved)}
    return " ".join(f"{count} {word}" for word, count in counts.items() if count)


def firing(name: str = "Hot", t: float = 1_000.0, **labels: str) -> Alert:
    """An alert that fires since `t`."""
    return Alert(make_labels({"alertname": name, **labels}), (), AlertState.FIRING, 91.0, t, t)


def resolved(name: str = "Hot", t: float = 1_000.0, at: float = 1_100.0, **labels: str) -> Alert:
    """An alert that fired at `t` and was resolved at `at`."""
    return Alert(make_labels({"alertname": name, **labels}), (), AlertState.RESOLVED, 91.0, t, t, at)


def post(board: Board, *alerts: Alert, group: str = "rules.yml;all") -> None:
    """These alerts are all that is true."""
    board.post(group, {group: RuleState({alert.labels: alert for alert in alerts}, 1.0)})


def nobody(known: Sequence[Known], now: float) -> frozenset[tuple[tuple[str, str], ...]]:
    """Nothing is muted."""
    return frozenset()


def opened(path: Path, clock: Clock) -> Store:
    """The store in a file, read."""
    store = Store(SqliteKeeper(path), clock.now)
    store.load()
    return store


def delivery(
    inbox: Inbox,
    board: Board,
    store: Store,
    clock: Clock,
    *,
    policy: Policy | None = None,
    patience: Patience | None = None,
    muted: Muted = nobody,
) -> Delivery:
    """A delivery to the inbox on the clock, without jitter."""
    return Delivery(
        inbox,
        policy or Policy(),
        board=board,
        store=store,
        muted=muted,
        now=clock.now,
        sleep=clock.sleep,
        jitter=lambda: 0.999,
        patience=patience or Patience(),
    )
