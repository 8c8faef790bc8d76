"""Who is in the fleet: servers over all roles, each with its own size, from a number and a seed."""

from __future__ import annotations

import functools
import itertools
from collections import Counter

from exporter.model import Server
from exporter.simulation.noise import key
from exporter.simulation.roles import Role, Roles, load_roles

# One server of each role first, then more of those a real fleet has more of: 20 servers hold every role.
_MORE = ("web", "api", "database", "cache", "k8s-worker", "load-balancer", "web", "api", "database", "web", "api")
_GIB = 1 << 30


@functools.cache
def shipped_roles() -> Roles:
    """The roles that come with the program."""
    return load_roles()


def make_fleet(
    count: int, *, seed: int = 1, environment: str = "production", roles: Roles | None = None
) -> tuple[Server, ...]:
    """`count` servers named web-01, api-01, db-01, …; more servers never change the ones before them.

    Raises ValueError if count is not between 1 and 100,000.
    """
    if not 1 <= count <= 100_000:
        raise ValueError(f"fleet of {count} servers: must be between 1 and 100000")
    known = roles or shipped_roles()
    numbers: Counter[str] = Counter()
    servers = []
    for name in itertools.islice(itertools.cycle(turn(known)), count):
        role = known.roles[name]
        numbers[name] += 1
        servers.append(make_server(f"{role.prefix}-{numbers[name]:02d}", name, role, seed, environment))
    return tuple(servers)


def turn(roles: Roles) -> list[str]:
    """The roles in the order in which servers get them; after the last it begins again."""
    return [*roles.roles, *(name for name in _MORE if name in roles.roles)]


def make_server(name: str, role_name: str, role: Role, seed: int, environment: str) -> Server:
    """A server of a role, in one of its sizes, with its services."""
    size = role.sizes[key(seed, "size", name) % len(role.sizes)]
    return Server(
        name=name,
        role=role_name,
        environment=environment,
        cores=size.cores,
        memory_bytes=round(size.memory_gib * _GIB),
        disk_bytes=round(size.disk_gib * _GIB),
        mount=role.mount,
        services=role.services,
    )
