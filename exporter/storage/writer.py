"""The thread that brings work to the store: patient while it is away, and says so once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from exporter.storage.store import StoreError

log = logging.getLogger("exporter.storage")

FIRST_RETRY_S, LAST_RETRY_S = 0.5, 15.0


class Writer:
    """Calls `step` whenever woken, until it answers that nothing is left to do.

    A StoreError begins an outage: one log line, then tries at growing intervals, `reopen` before each; the first step
    that succeeds ends it with another line. `first_retry_s` is the first interval.
    """

    def __init__(
        self, step: Callable[[], bool], reopen: Callable[[], None], *, first_retry_s: float = FIRST_RETRY_S
    ) -> None:
        self.errors = 0
        self.outages = 0
        self.away = False
        self._idle = False
        self._step = step
        self._reopen = reopen
        self._first_retry_s = first_retry_s
        self._condition = threading.Condition()
        self._woken = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="storage-writer", daemon=True)

    def attempt(self) -> None:
        """One step in the caller's thread, before `start`. A failure is an outage, and handled."""
        self._try()

    @property
    def idle(self) -> bool:
        """Whether the last step left nothing to do, and nobody has called since."""
        return self._idle and not self._woken

    @property
    def keeps_away(self) -> bool:
        """Whether this thread had better not ask the store now; the writer's own finds out for all."""
        return self.away and threading.current_thread() is not self._thread

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There is work."""
        with self._condition:
            self._woken = True
            self._condition.notify_all()

    def wait_for(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `done()` after some step, or the timeout; whether it is done."""
        self.wake()
        with self._condition:
            return self._condition.wait_for(done, timeout_s)

    def stop(self) -> None:
        """End after the step under way."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        self._thread.join()

    def _run(self) -> None:
        retry_s = self._first_retry_s
        while not self._stopping:
            self._idle = False
            more = self._try()
            with self._condition:
                self._idle = not more and not self.away
                self._condition.notify_all()
                if self.away:
                    self._condition.wait_for(lambda: self._stopping, retry_s)
                    retry_s = min(retry_s * 2, LAST_RETRY_S)
                    continue
                retry_s = self._first_retry_s
                if not more:
                    self._condition.wait_for(lambda: self._woken or self._stopping)
                self._woken = False

    def _try(self) -> bool:
        """One step; whether there is more to do."""
        try:
            if self.away:
                self._reopen()
            more = self._step()
        except StoreError as err:
            self._failed(str(err))
            return True
        except Exception:  # this thread must not die: samples wait for it
            log.exception("store step failed")
            self._failed("an internal error")
            return True
        if self.away:
            self.away = False
            log.info("store is back outage=%d errors=%d", self.outages, self.errors)
        return more

    def _failed(self, reason: str) -> None:
        self.errors += 1
        if not self.away:
            self.away = True
            self.outages += 1
            log.warning("store is away, samples wait in memory outage=%d err=%s", self.outages, reason)
