"""The words of the alerter: alerts, what a receiver is told, and how telling it can fail."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from exporter.model import Labels


class AlertState(StrEnum):
    """Where an alert is in its life."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


def fingerprint(labels: Labels) -> str:
    """A short stable name for a label set: 16 hexadecimal digits."""
    packed = "\xff".join(f"{name}\xfe{value}" for name, value in labels)
    return hashlib.blake2b(packed.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Alert:
    """One active or just-resolved alert. Times are Unix seconds.

    `labels` include `alertname`. `value` is the sample's value at the last evaluation that had one.
    Invariants: `fired_at` is set from FIRING on; `resolved_at` exactly when the state is RESOLVED.
    """

    labels: Labels
    annotations: Labels
    state: AlertState
    value: float
    active_at: float
    fired_at: float | None = None
    resolved_at: float | None = None
    keep_firing_since: float | None = None
    resolved_value: float | None = None
    generator_url: str = ""

    @property
    def fingerprint(self) -> str:
        """The name of this alert across evaluations and restarts."""
        return fingerprint(self.labels)

    @property
    def label(self) -> Mapping[str, str]:
        """The labels by name."""
        return dict(self.labels)

    @property
    def annotation(self) -> Mapping[str, str]:
        """The annotations by name."""
        return dict(self.annotations)


@dataclass(frozen=True)
class Notification:
    """What one receiver is told at once: the alerts of one group that it is owed.

    `id` names this telling: the same telling tried again has the same id.
    `group_labels` are those the alerts were grouped by. Alerts that differ in `detail_labels` alone, such as the
    cores of a cpu, are one thing to a reader.
    """

    id: str
    group_labels: Labels
    alerts: tuple[Alert, ...]
    at: float
    external_url: str = ""
    sparklines: Mapping[str, str] = field(default_factory=dict)
    detail_labels: tuple[str, ...] = ()

    @property
    def firing(self) -> tuple[Alert, ...]:
        return tuple(alert for alert in self.alerts if alert.state is AlertState.FIRING)

    @property
    def resolved(self) -> tuple[Alert, ...]:
        return tuple(alert for alert in self.alerts if alert.state is AlertState.RESOLVED)


class DeliveryError(Exception):
    """A send failed. `retryable` says whether the same request may succeed later;
    `retry_after_s` is how long the receiver asked to be left alone, if it did;
    `answered` is False where it may have accepted all the same, because the request left and no answer came;
    `accepted` are the labels of the alerts that it accepted before it failed.
    The message never holds a secret."""

    def __init__(
        self, reason: str, *, retryable: bool, retry_after_s: float | None = None, answered: bool = True
    ) -> None:
        super().__init__(reason)
        self.accepted: frozenset[Labels] = frozenset()
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.answered = answered


class Receiver(Protocol):
    """A place that gets told. `send` blocks (it runs on a worker thread) for a bounded time."""

    @property
    def name(self) -> str: ...

    def send(self, notification: Notification) -> None:
        """Returns once the receiver has accepted. Raises DeliveryError."""
        ...
