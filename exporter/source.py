"""Where snapshots come from: the simulated fleet of the inventory, or the machine it runs on."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from exporter.config import Config
from exporter.duration import parse_duration
from exporter.inventory.database import InventoryUnavailable
from exporter.inventory.inventory import Inventory
from exporter.model import Server, Snapshot
from exporter.settings import SettingsError
from exporter.shard import parse_shard
from exporter.web.servers import Register

if TYPE_CHECKING:  # only one of the two sources is loaded
    from exporter.fleet import SimulatedFleet
    from exporter.simulation.incidents import IncidentLog
    from exporter.simulation.roles import Roles
    from exporter.simulation.scenarios import Scenario

log = logging.getLogger(__name__)

_LARGE = 2_000  # servers: making more takes seconds


class Maker(Protocol):
    """Makes the snapshot of a time."""

    def at(self, t_ms: int) -> Snapshot: ...


@dataclass(frozen=True, eq=False)
class Source:
    """What makes snapshots and who is in them.

    refresh: takes over what others have written into the inventory; raises InventoryUnavailable.
    depends: by role the roles that it waits for. incidents, fleet: where it is simulated.
    """

    maker: Maker
    register: Register
    inventory: Inventory
    refresh: Callable[[], None]
    depends: Mapping[str, Sequence[str]] = field(default_factory=dict)
    incidents: IncidentLog | None = None
    fleet: SimulatedFleet | None = None


@contextmanager
def open_source(config: Config, now: Callable[[], float] = time.time) -> Iterator[Source]:
    """The source that is configured. Raises SettingsError if it cannot be opened. now: Unix seconds."""
    try:
        inventory = Inventory.open(config.inventory.url)
    except (InventoryUnavailable, ValueError) as err:
        raise SettingsError(f"inventory.url: {err}") from None
    with closing(inventory):
        try:
            source = _host(config, inventory, now) if config.source == "host" else _simulated(config, inventory, now)
        except InventoryUnavailable as err:
            raise SettingsError(f"inventory.url: {err}") from None
        yield source


def fleet_name(config: Config) -> str:
    """Keeps fleets apart that share a Redis."""
    name = config.external_labels.get("cluster", "default")
    if config.source == "host":
        return f"{name}-{socket.gethostname()}"
    return f"{name}-{config.shard.replace('/', 'of')}" if config.shard else name


def _host(config: Config, inventory: Inventory, now: Callable[[], float]) -> Source:
    from exporter.host.machine import Host
    from exporter.host.services import parse_check
    from exporter.machine import OwnMachine

    services = {service: parse_check(check) for service, check in config.host.services.items()}
    host = Host(config.host.server or None, config.fleet.environment, services, config.host.root)
    machine = OwnMachine(inventory, host.server(), round(now() * 1000))
    return Source(host, machine, inventory, machine.refresh)


def _simulated(config: Config, inventory: Inventory, now: Callable[[], float]) -> Source:
    from exporter.fleet import SimulatedFleet
    from exporter.members import Members
    from exporter.simulation.fleet import make_fleet, make_server
    from exporter.simulation.incident import from_row
    from exporter.simulation.incidents import IncidentLog
    from exporter.simulation.simulator import Simulator

    roles, settings = configured_roles(config), config.fleet
    seed, environment = settings.seed, settings.environment
    interval_ms = parse_duration(settings.interval)
    if settings.servers > _LARGE:
        log.info("the fleet is being made servers=%d", settings.servers)
    made = make_fleet(settings.servers, seed=seed, environment=environment, roles=roles)
    shard = parse_shard(config.shard)
    members = Members(inventory, made, roles.roles, round(now() * 1000))
    if not any(map(shard.has, members.now())):
        raise SettingsError(f"shard: {config.shard!r}: none of the {len(members.now())} servers is in it")
    incidents = IncidentLog(
        tuple(members.now().values()),
        roles,
        _scenarios(config, roles),
        interval_ms=interval_ms,
        store=inventory,
        incidents=[from_row(row) for row in inventory.incidents()],
        past=members.past(),
        usual=settings.servers,
        seed=seed,
        rate=config.failures.rate,
        timezone=settings.timezone,
    )

    def simulator(servers: Sequence[Server]) -> Simulator:
        return Simulator(
            servers,
            seed=seed,
            interval_ms=interval_ms,
            incidents=incidents,
            roles=roles,
            timezone=settings.timezone,
            holidays=settings.holidays,
        )

    fleet = SimulatedFleet(
        members,
        inventory,
        roles,
        incidents,
        simulator,
        made_like=lambda name, role: make_server(name, role, roles.roles[role], seed, environment),
        interval_ms=interval_ms,
        now=now,
        shard=shard,
    )
    depends = {name: role.depends for name, role in roles.roles.items()}
    return Source(fleet, fleet, inventory, fleet.refresh, depends, incidents, fleet)


def configured_roles(config: Config) -> Roles:
    """The shipped roles with the user's own. Raises SettingsError."""
    from exporter.simulation.fleet import shipped_roles
    from exporter.simulation.roles import RolesError, load_roles

    if not config.fleet.roles:
        return shipped_roles()
    try:
        return load_roles([Path(config.fleet.roles).read_text(encoding="utf-8")], config.fleet.roles)
    except (OSError, UnicodeDecodeError) as err:
        reason = err.strerror if isinstance(err, OSError) else "not UTF-8 text"
        raise SettingsError(f"fleet.roles: {config.fleet.roles}: {reason}") from None
    except RolesError as err:
        raise SettingsError(f"fleet.roles: {err}") from None


def _scenarios(config: Config, roles: Roles) -> Mapping[str, Scenario]:
    """The shipped scenarios with the user's own. Raises SettingsError."""
    from exporter.simulation.scenarios import ScenarioError, scenarios_in, shipped_scenarios

    if not config.failures.scenarios:
        return shipped_scenarios()
    try:
        return scenarios_in(Path(config.failures.scenarios), roles.roles)
    except ScenarioError as err:
        raise SettingsError(f"failures.scenarios: {err}") from None
