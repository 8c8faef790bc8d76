"""Loop 2, one for each receiver: what is it owed, send that, and record it only once it was accepted.

A receiver that refuses or does not answer is left alone for as long as it asked, else for a growing while;
meanwhile nothing is queued, because what it is owed is worked out anew when it is asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from alerter.decisions.dispatch import GroupView, Owed, Policy, Told, after_telling, before_telling, owed
from alerter.decisions.evaluation import ALERT_NAME
from alerter.decisions.routing import PolicyOf
from alerter.loops.ledger import MUTED_CHECK_S, Ledger, Muted, group_name
from alerter.loops.patience import DeliveryStats, Patience
from alerter.model import AlertState, DeliveryError, Notification, Receiver, fingerprint
from alerter.state.board import Board
from alerter.state.state import Happened, Store
from exporter.model import Labels

log = logging.getLogger(__name__)

Compose = Callable[[Notification], Awaitable[Notification]]
"""Adds to a message what takes a query; must end soon and never fail."""

_LAST_SEND_GRACE_S = 16.0  # a receiver's own limit, and a little


@dataclass(frozen=True, slots=True)
class Telling:
    """What one group is owed: what is true of it, what was told before, and the message."""

    view: GroupView
    told: Told | None
    message: Owed

    @property
    def name(self) -> str:
        """The same for the same telling tried again."""
        since = self.told.at if self.told else 0.0
        since = since or min((alert.active_at for alert in self.message.alerts), default=0.0)
        return f"{group_name(self.view.labels)}-{self.message.reason}-{since:.3f};"


def common(sets: Sequence[Labels]) -> Labels:
    """The labels that all have in common."""
    shared = set(sets[0]).intersection(*sets[1:])
    return tuple(pair for pair in sets[0] if pair in shared)


def accepted_before(tellings: Sequence[Telling], err: DeliveryError) -> list[Telling]:
    """Those of which everything was accepted before the error."""
    return [each for each in tellings if err.accepted.issuperset(alert.labels for alert in each.message.alerts)]


class Delivery:
    """Tells one receiver what it is owed."""

    def __init__(
        self,
        receiver: Receiver,
        policy: Policy,  # of groups of which nothing is true any more
        *,
        board: Board,
        store: Store,
        muted: Muted,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        jitter: Callable[[], float],
        patience: Patience,
        external_url: str = "",
        compose: Compose | None = None,
        policy_of: PolicyOf | None = None,
        may_tell: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.receiver = receiver
        self.policy = policy
        self.stats = DeliveryStats()
        self._board, self._store = board, store
        self._ledger = Ledger(
            receiver.name,
            policy,
            policy_of=policy_of or (lambda _: policy),
            board=board,
            store=store,
            muted=muted,
            now=now,
        )
        self._now, self._sleep, self._jitter = now, sleep, jitter
        self._patience = patience
        self._external_url = external_url
        self._compose = compose
        self._may_tell = may_tell  # returns once nobody else leads
        self._attempts: Counter[Labels] = Counter()
        self._parked: dict[Labels, float] = {}
        self._failures = 0
        self._permanent = 0
        self._next_send = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"send-{receiver.name}")

    async def run(self) -> None:
        """Tell what is owed whenever there is news or it is time, for ever."""
        try:
            while True:
                version = self._board.version
                try:
                    wake_at = await self.tell_all()
                except Exception:
                    log.exception("receiver's loop failed receiver=%s", self.receiver.name)
                    wake_at = self._now() + self._patience.longest_s
                await self._until(version, wake_at)
        finally:
            self._thread.shutdown(wait=False)

    async def _until(self, version: int, wake_at: float) -> None:
        """Returns with the next news or at `wake_at`."""
        news = asyncio.ensure_future(self._board.changed_since(version))
        alarm = asyncio.ensure_future(self._sleep(max(0.0, wake_at - self._now())))
        try:
            await asyncio.wait((news, alarm), return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            alarm.cancel()

    async def tell_all(self) -> float:
        """One pass over all that is owed; returns when the next one is due at the latest."""
        views = self._ledger.views()
        now = self._now()
        queue: list[tuple[int, float, Labels]] = []
        wake_at = now + 3_600.0
        for labels, view in views.items():
            if (message := owed(view, self._ledger.told(labels), view.policy or self.policy, now)) is None:
                continue
            at = max(message.at, min(self._parked.get(labels, 0.0), now + self._patience.rare_s))
            if at <= now:
                queue.append((self._attempts[labels], at, labels))
            else:
                wake_at = min(wake_at, at)
            if view.muted:
                wake_at = min(wake_at, now + MUTED_CHECK_S)
        if self._ledger.waits:
            wake_at = min(wake_at, now + MUTED_CHECK_S)
        self.stats.waiting = len(queue)
        for groups in self._bundles([labels for _, _, labels in sorted(queue)]):
            if not await self._tell(groups):
                break
            self.stats.waiting -= len(groups)
        return self._now() if queue else wake_at  # what was told or refused has changed what is owed when

    def _bundles(self, queue: Sequence[Labels]) -> list[list[Labels]]:
        """One message for each group. In a storm a receiver that must be paced is told by alert name; one that tells
        alerts one by one anyway is given many at once, so that not each of them waits for the disk."""
        if len(queue) < self._patience.storm:
            return [[labels] for labels in queue]
        if not self._patience.pace_s:
            size = self._patience.together
            return [list(queue[first : first + size]) for first in range(0, len(queue), size)]
        bundles: dict[str, list[Labels]] = {}
        for labels in queue:
            bundles.setdefault(dict(labels).get(ALERT_NAME, ""), []).append(labels)
        return list(bundles.values())

    # -- one message ------------------------------------------------------------------------------

    async def _tell(self, groups: Sequence[Labels]) -> bool:
        """Send what groups are owed now, if anything. False after a pause: all must be worked out anew."""
        if (wait := self._next_send - self._now()) > 0:
            await self._sleep(min(wait, self._patience.pace_s))  # the clock may have been put back
        tellings = self._tellings(groups)
        if not tellings:
            return True
        notification = await self._composed(tellings)
        if self._may_tell is not None:
            await self._may_tell()
        self._next_send = self._now() + self._patience.pace_s
        try:
            await self._send(notification, tellings)
        except DeliveryError as err:
            told = accepted_before(tellings, err)
            self._record(told)
            self.stats.sent += len(told)
            return await self._refused([each for each in tellings if each not in told], err)
        except Exception as err:
            log.exception("receiver failed receiver=%s", self.receiver.name)
            return await self._refused(tellings, DeliveryError(type(err).__name__, retryable=True, answered=False))
        return True

    def _tellings(self, groups: Sequence[Labels]) -> list[Telling]:
        views, now = self._ledger.views(), self._now()
        found = []
        for labels in groups:
            view, told = views.get(labels, GroupView(labels)), self._ledger.told(labels)
            message = owed(view, told, view.policy or self.policy, now)
            if message is not None and message.at <= now:
                found.append(Telling(view, told, message))
        return found

    async def _composed(self, tellings: Sequence[Telling]) -> Notification:
        names = "".join(telling.name for telling in tellings)
        notification = Notification(
            id=fingerprint((("receiver", self.receiver.name), ("tellings", names))),
            group_labels=common([telling.view.labels for telling in tellings]),
            alerts=tuple(alert for telling in tellings for alert in telling.message.alerts),
            at=self._now(),
            external_url=self._external_url,
            detail_labels=(tellings[0].view.policy or self.policy).detail_labels,
        )
        return await self._compose(notification) if self._compose else notification

    async def _send(self, notification: Notification, tellings: Sequence[Telling]) -> None:
        """Send, and record the acceptance; when told to stop meanwhile, see the sending through first."""
        await self._note_attempt(tellings)
        loop = asyncio.get_running_loop()
        sending = loop.run_in_executor(self._thread, self.receiver.send, notification)
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                try:
                    await asyncio.wait_for(sending, _LAST_SEND_GRACE_S)
                    self._record(tellings)
                except DeliveryError as err:
                    self._record(accepted_before(tellings, err))
            raise
        self._record(tellings)
        await asyncio.to_thread(self._store.flush)
        self.stats.sent += self._messages(tellings)  # only now: who reads this may count on it after a crash

    def _messages(self, tellings: Sequence[Telling]) -> int:
        return len(tellings) if self._patience.together > 1 else 1

    async def _note_attempt(self, tellings: Sequence[Telling]) -> None:
        """Before anything leaves: who is killed now must know later that an end may be owed."""
        for telling in tellings:
            self._ledger.put(telling.view.labels, before_telling(telling.view, telling.told, telling.message.alerts))
        await asyncio.to_thread(self._store.flush)

    def _record(self, tellings: Sequence[Telling]) -> None:
        if not tellings:
            return
        now = self._now()
        for telling in tellings:
            labels = telling.view.labels
            self._ledger.put(
                labels, after_telling(telling.view, self._ledger.told(labels), telling.message.alerts, now)
            )
            self._attempts.pop(labels, None)
            self._parked.pop(labels, None)
        self._store.happened([self._happened(telling, "accepted", now) for telling in tellings])
        self._accepts(now)

    def _accepts(self, now: float) -> None:
        """Note that the receiver accepts."""
        self._failures = self._permanent = 0
        self.stats.last_sent_at = now
        if self.stats.failing_since is not None:
            log.info("receiver accepts again receiver=%s", self.receiver.name)
        self.stats.failing_since = None
        self.stats.last_error = ""

    def _happened(self, telling: Telling, result: str, now: float) -> Happened:
        message = telling.message
        firing = sum(1 for alert in message.alerts if alert.state is AlertState.FIRING)
        detail = f"{result}: {firing} firing, {len(message.alerts) - firing} resolved"
        return Happened(now, "delivery", str(message.reason), telling.view.labels, self.receiver.name, detail)

    async def _refused(self, tellings: Sequence[Telling], err: DeliveryError) -> bool:
        """Note a failure and wait as long as it asks for. News must not shorten a receiver's Retry-After."""
        now = self._now()
        if err.answered:
            for telling in tellings:
                self._ledger.put(telling.view.labels, telling.told)
            await asyncio.to_thread(self._store.flush)
        self._attempts.update(telling.view.labels for telling in tellings)
        kind = "rate_limited" if err.retry_after_s else "temporary" if err.retryable else "permanent"
        self.stats.failures[kind] += 1
        self._say(err, now)
        self._store.happened([self._happened(telling, f"refused ({err})", now) for telling in tellings])
        self.stats.last_error = str(err)
        self.stats.failing_since = self.stats.failing_since or now
        if err.retryable:
            self._failures += 1
            wait_s = self._patience.wait_s(self._failures, err.retry_after_s, self._jitter())
        else:
            self._parked |= {telling.view.labels: now + self._patience.rare_s for telling in tellings}
            self._permanent += 1
            if self._permanent < self._patience.permanent_in_a_row:
                return True  # it may be this message alone: the others get their try
            wait_s = self._patience.rare_s
        self.stats.held_until = now + wait_s
        await self._sleep(wait_s)
        self.stats.held_until = None
        return False

    def _say(self, err: DeliveryError, now: float) -> None:
        """Once for each kind of error in a streak."""
        if str(err) == self.stats.last_error:
            return
        if err.retryable:
            log.warning("message not accepted, will retry receiver=%s err=%s", self.receiver.name, err)
        else:
            log.error("receiver refuses, check its settings receiver=%s err=%s", self.receiver.name, err)
