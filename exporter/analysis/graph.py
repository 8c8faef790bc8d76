"""Who waits for whom: the service graph, by role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Graph:
    """Roles and the roles they depend on; without any, every server stands alone."""

    def __init__(self, depends: Mapping[str, Sequence[str]] | None = None) -> None:
        direct = {role: frozenset(others) for role, others in (depends or {}).items()}
        self._upstream = {role: _reached(role, direct) for role in direct}

    def waits_for(self, role: str, other: str) -> bool:
        """Whether a server of a role waits, directly or through others, for one of the other role."""
        return other in self._upstream.get(role, ())

    def neighbours(self, role: str, other: str) -> bool:
        """Whether trouble may travel between them: they are one known role, or one waits for the other."""
        known = role == other and role in self._upstream
        return known or self.waits_for(role, other) or self.waits_for(other, role)


def _reached(role: str, direct: Mapping[str, frozenset[str]]) -> frozenset[str]:
    reached, edge = set[str](), set(direct[role])
    while edge:
        reached |= edge
        edge = {further for name in edge for further in direct.get(name, ())} - reached
    return frozenset(reached - {role})
