"""What an alerter is made of: settings in, its parts out, wired to each other. Nothing runs yet."""

from __future__ import annotations

import asyncio
import random
import socket
import time
import uuid
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alerter import receivers
from alerter.config import Config
from alerter.datasource.datasource import Datasource
from alerter.datasource.expansion import RuleTemplates, graph_link
from alerter.datasource.querier import Querier
from alerter.datasource.remote_write import RemoteWriter
from alerter.decisions.evaluation import Restoration
from alerter.decisions.inhibition import Known, inhibited
from alerter.decisions.routing import Routing
from alerter.loops import self_watch
from alerter.loops.delivery import Delivery
from alerter.loops.enrichment import Enrichment
from alerter.loops.evaluator import Evaluator
from alerter.loops.group_loop import Surroundings
from alerter.loops.heartbeat import Heartbeat
from alerter.loops.maintenance import Maintenance, of_datasource
from alerter.loops.patience import DeliveryStats
from alerter.loops.saving import Saving
from alerter.loops.self_watch import SelfWatch, ending_silences, failing_rules, silent_datasource
from alerter.receivers import ReceiverError, Wired, WiredReceiver, wire
from alerter.rules.rules import RuleFileError
from alerter.secrets import Secrets
from alerter.state.board import Board
from alerter.state.silences import Silences
from alerter.state.state import Store, StoreError
from alerter.wiring import StartError, access, inhibit_rules, keeper, policies, read_rules, routes
from exporter.duration import parse_duration
from exporter.model import Labels

if TYPE_CHECKING:
    from alerter.state.lease import Lease

_ENRICH_S = 2.0


def _write(line: str) -> None:
    print(line, flush=True)


@dataclass(frozen=True, slots=True)
class World:
    """What comes from outside: clocks, chance and names. `now` gives Unix seconds."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    write: Callable[[str], None] = _write
    host: Callable[[], str] = socket.gethostname


class _Notes:
    """What receivers remember, in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: str) -> str | None:
        return self._store.note(key)

    def put(self, key: str, value: str | None) -> None:
        self._store.put_note(key, value)


class Parts:
    """The parts of one alerter. Raises StartError for settings with which it cannot run."""

    def __init__(self, config: Config, secrets: Secrets, world: World) -> None:
        self.config, self.world = config, world
        self.board = Board()
        try:
            self.groups = read_rules(config)
            self.store = Store(keeper(config.state.url, self._name()), world.now)
            self.wired = self._wired(secrets)
        except (RuleFileError, StoreError, ReceiverError) as err:
            raise StartError(str(err)) from None
        self.lease = self._lease()
        self.silences = Silences(self.store, world.now, world.new_id)
        self.inhibitions = inhibit_rules(config)
        self.access = access(config)
        self._timeout_s = parse_duration(config.datasource.timeout) / 1_000
        self.querier = Querier(config.datasource.url, self._timeout_s)
        self.datasource = Datasource(self.querier.instant, self.querier.shown_url, world.now)
        write_url = config.remote_write.url
        self.writer = RemoteWriter(write_url, self._timeout_s) if write_url else None
        self.saving = Saving(self.store, [alertmanager.offer for alertmanager in self.wired.alertmanagers])
        self.evaluator = Evaluator(lambda: read_rules(config), self.store, self.surroundings(), self_watch.KEY)
        self._routes = routes(config)
        self._enrichment = Enrichment(
            self.querier.instant, self.querier.range, lambda: self.datasource.down_since is None, _ENRICH_S
        )
        self.routings: dict[str, Routing] = {}
        self.deliveries = [self._delivery(receiver) for receiver in self.wired.receivers]
        self.watch = self._self_watch()
        self.heartbeat = Heartbeat(secrets.heartbeat_url, self.trouble, world.sleep) if secrets.heartbeat_url else None
        self.maintenance = self._maintenance()

    def surroundings(self) -> Surroundings:
        """What a group's loop needs."""
        config = self.config
        templates = RuleTemplates(
            self.datasource.query,
            external_labels=config.external_labels,
            external_url=config.web.link,
            timeout_s=self._timeout_s + 1,
        )
        return Surroundings(
            query=self.datasource.query,
            templates=templates,
            board=self.board,
            saved=self.saving.saved,
            now=self.world.now,
            sleep=self.world.sleep,
            link=lambda expr: graph_link(config.web.link, expr),
            restoration=Restoration(config.evaluation.seconds("grace"), config.evaluation.seconds("outage_tolerance")),
            writer=self.writer,
        )

    def _wired(self, secrets: Secrets) -> Wired:
        world = self.world
        surroundings = receivers.Surroundings(world.now, world.sleep, world.jitter, world.write, _Notes(self.store))
        return wire(self.config, secrets, surroundings)

    def _delivery(self, wired: WiredReceiver) -> Delivery:
        name = receivers.routing_name(wired.receiver.name)
        routing = self.routings[name] = Routing(self._routes, name, policies(self.config), wired.policy)
        hushed = self._muted if wired.inhibited else self._silenced
        return Delivery(
            wired.receiver,
            wired.policy or policies(self.config),
            policy_of=routing.policy,
            board=self.board,
            store=self.store,
            muted=lambda known, now: {*hushed(known, now), *routing.muted(known, now)},
            now=self.world.now,
            sleep=self.world.sleep,
            jitter=self.world.jitter,
            patience=wired.patience,
            external_url=self.config.web.link,
            compose=self._enrichment,
            may_tell=None if self.lease is None else self.lease.sure,
        )

    def _silenced(self, known: Sequence[Known], now: float) -> Collection[Labels]:
        return self.silences.quiet([each.alert.labels for each in known])

    def _muted(self, known: Sequence[Known], now: float) -> Collection[Labels]:
        return inhibited(known, self.inhibitions, now) | set(self._silenced(known, now))

    def _lease(self) -> Lease | None:
        """The leadership, where several alerters may share a Redis."""
        if self.config.state.url.startswith("sqlite:"):
            return None
        from alerter.state.lease import Lease

        return Lease(self.config.state.url, self._name(), self.world.sleep)

    def _name(self) -> str:
        """What names this alerter among those on one Redis."""
        return f"{self.world.host()}/{self.config.web.listen_address}"

    def _maintenance(self) -> Maintenance | None:
        told = self.config.maintenance.url
        url = f"{told.rstrip('/')}/api/maintenance" if told else of_datasource(self.config.datasource.url)
        if not url:
            return None
        return Maintenance(url, self.silences, self.silences_changed, self.world.now, self.world.sleep)

    def _self_watch(self) -> SelfWatch:
        return SelfWatch(
            silent=lambda: silent_datasource(self.datasource),
            failing=lambda: failing_rules(self.evaluator.loops, self.datasource),
            ending=lambda: ending_silences(self.silences, self.board.known(), self.world.now()),
            board=self.board,
            store=self.store,
            now=self.world.now,
            sleep=self.world.sleep,
            after_s=self.config.evaluation.seconds("self_alert_after"),
        )

    def trouble(self) -> str:
        """Why the heartbeat is withheld; nothing while all is well."""
        if self.datasource.down_since is not None:
            return "the datasource does not answer"
        if not self.store.stats().up:
            return "state is not written"
        if failing := [name for name, stats in self.receivers().items() if stats.failing_since is not None]:
            return f"not accepted by {', '.join(failing)}"
        late = [loop.group.name for loop in self.evaluator.loops if loop.is_late(self.world.now())]
        return f"groups not evaluated: {', '.join(late)}" if late else ""

    def receivers(self) -> dict[str, DeliveryStats]:
        """How delivery to each stands, by name."""
        told = {delivery.receiver.name: delivery.stats for delivery in self.deliveries}
        return told | {alertmanager.name: alertmanager.stats for alertmanager in self.wired.alertmanagers}

    def silences_changed(self) -> None:
        """A silence was added, changed or ended: messages are to be decided anew, and it is to be kept."""
        self.board.touch()
        self.saving.wake()
