"""Where snapshots come from: the simulated fleet of the inventory, or the machine it runs on."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from exporter.config import Config
from exporter.duration import parse_duration
from exporter.model import Server, Snapshot
from exporter.settings import SettingsError

if TYPE_CHECKING:  # 12 MB of SQL that watching the host does not need
    from exporter.inventory.inventory import Inventory
    from exporter.simulation.incidents import IncidentLog
    from exporter.simulation.roles import Roles
    from exporter.simulation.scenarios import Scenario


class Maker(Protocol):
    """Makes the snapshot of a time."""

    def at(self, t_ms: int) -> Snapshot: ...


@dataclass(frozen=True, eq=False)
class Source:
    """What makes snapshots, and what there is besides: `incidents` and `inventory` of a simulated fleet."""

    maker: Maker
    incidents: IncidentLog | None = None
    inventory: Inventory | None = None

    def servers(self) -> Sequence[Mapping[str, object]]:
        """The inventory, JSON-able."""
        if self.inventory is None:
            raise LookupError("there is no inventory")
        return [_described(server) for server in self.inventory.servers()]


@contextmanager
def open_source(config: Config) -> Iterator[Source]:
    """The source that is configured. Raises SettingsError if it cannot be opened."""
    if config.source == "host":
        yield Source(_host(config))
        return
    from exporter.inventory.database import InventoryUnavailable
    from exporter.inventory.inventory import Inventory

    try:
        inventory = Inventory.open(config.inventory.url)
    except (InventoryUnavailable, ValueError) as err:
        raise SettingsError(f"inventory.url: {err}") from None
    with closing(inventory):
        yield _simulated(config, inventory)


def fleet_name(config: Config) -> str:
    """Keeps fleets apart that share a Redis."""
    name = config.external_labels.get("cluster", "default")
    return f"{name}-{socket.gethostname()}" if config.source == "host" else name


def _host(config: Config) -> Maker:
    from exporter.host.machine import Host
    from exporter.host.services import parse_check

    services = {service: parse_check(check) for service, check in config.host.services.items()}
    return Host(config.host.server or None, config.fleet.environment, services)


def _simulated(config: Config, inventory: Inventory) -> Source:
    from exporter.simulation.incident import from_row
    from exporter.simulation.incidents import IncidentLog
    from exporter.simulation.simulator import Simulator

    roles = configured_roles(config)
    fleet = _fleet(config, inventory, roles)
    interval_ms = parse_duration(config.fleet.interval)
    incidents = IncidentLog(
        fleet,
        roles,
        _scenarios(config, roles),
        interval_ms=interval_ms,
        store=inventory,
        incidents=[from_row(row) for row in inventory.incidents()],
        seed=config.fleet.seed,
        rate=config.failures.rate,
        timezone=config.fleet.timezone,
    )
    simulator = Simulator(
        fleet,
        seed=config.fleet.seed,
        interval_ms=interval_ms,
        incidents=incidents,
        roles=roles,
        timezone=config.fleet.timezone,
        holidays=config.fleet.holidays,
    )
    return Source(simulator, incidents, inventory)


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


def _fleet(config: Config, inventory: Inventory, roles: Roles) -> tuple[Server, ...]:
    """The first `fleet.servers` servers as the inventory has them; those it lacks are made and added to it."""
    from exporter.simulation.fleet import make_fleet

    fleet = config.fleet
    made = make_fleet(fleet.servers, seed=fleet.seed, environment=fleet.environment, roles=roles)
    missing = [server for server in made if inventory.server(server.name) is None]
    if missing:
        inventory.put(missing)
    names = {server.name for server in made}
    return tuple(server for server in inventory.servers() if server.name in names)


def _described(server: Server) -> dict[str, object]:
    return {
        "id": server.name,
        "role": server.role,
        "environment": server.environment,
        "cores": server.cores,
        "memory_bytes": server.memory_bytes,
        "disk_bytes": server.disk_bytes,
        "mount": server.mount,
        "services": list(server.services),
        "labels": dict(server.labels),
        "thresholds": dict(server.thresholds),
        "notes": server.notes,
    }
