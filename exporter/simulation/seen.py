"""What a scraper sees that is not so: pages that repeat, and network interfaces that come and go."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from exporter import catalogue as cat
from exporter.model import Column, SeriesIndex
from exporter.simulation.effects import Kind
from exporter.simulation.noise import key
from exporter.simulation.plans import Plan

Columns = tuple[Column, ...]

_LIVES = 5  # ticks that an interface stays, at the least; each has up to as many more
_PACKETS_A_TICK, _BYTES_A_PACKET = 900, 640
_OF_PACKET = {
    cat.RECEIVE_BYTES.name: _BYTES_A_PACKET,
    cat.TRANSMIT_BYTES.name: _BYTES_A_PACKET,
    cat.RECEIVE_PACKETS.name: 1,
    cat.TRANSMIT_PACKETS.name: 1,
    cat.RECEIVE_ERRORS.name: 0,
    cat.TRANSMIT_DROPS.name: 0,
}


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of a container. ticks: how old it is."""

    server: str
    name: str
    ticks: int


class Seen:
    """Puts into the columns of a tick what failures make of them.

    at: one server's columns at a time, without what stands still. Indexes stay the same objects while the same
    interfaces are there.
    """

    def __init__(self, at: Callable[[str, int], Columns], tick_ms: int) -> None:
        self._at = functools.lru_cache(maxsize=256)(at)
        self._tick_ms = tick_ms
        self._places: WeakKeyDictionary[SeriesIndex, dict[str, slice]] = WeakKeyDictionary()
        self._churned = functools.lru_cache(maxsize=32)(_with_rows)

    def columns(self, columns: Columns, plans: Iterable[Plan], t_ms: int) -> Columns:
        """The columns of a tick with the plans that are in force."""
        interfaces: list[Interface] = []
        for plan in plans:
            if plan.kind is Kind.STUCK and plan.strength(t_ms) >= 0.5:
                last_ms = _last_moving_ms(plan, t_ms, self._tick_ms)
                columns = self._stuck(columns, plan, self._at(plan.server, last_ms))
            elif plan.kind is Kind.CHURN:
                interfaces += _interfaces(plan, t_ms, self._tick_ms)
        there = {row[0] for row in columns[0].index.rows} if columns else set()
        alive = [interface for interface in interfaces if interface.server in there]
        return tuple(self._with_interfaces(column, alive) for column in columns) if alive else columns

    def _stuck(self, columns: Columns, plan: Plan, before: Columns) -> Columns:
        old = {column.index.metric: column for column in before}
        return tuple(
            self._repeated(column, plan.server, old.get(column.index.metric))
            if column.index.family is not cat.INCIDENT_ACTIVE and plan.metric in ("", column.index.family.name)
            else column
            for column in columns
        )

    def _repeated(self, column: Column, server: str, old: Column | None) -> Column:
        place = self._place(column.index).get(server)
        if place is None or old is None or place.stop - place.start != len(old.values):
            return column
        values = column.values.copy()
        values[place] = old.values
        kept = {row: exemplar for row, exemplar in column.exemplars.items() if not place.start <= row < place.stop}
        return Column(column.index, values, kept)

    def _place(self, index: SeriesIndex) -> dict[str, slice]:
        """Where each server's rows stand; they stand together."""
        if index not in self._places:
            ends: dict[str, int] = {}
            first: dict[str, int] = {}
            for number, row in enumerate(index.rows):
                first.setdefault(row[0], number)
                ends[row[0]] = number + 1
            self._places[index] = {server: slice(first[server], end) for server, end in ends.items()}
        return self._places[index]

    def _with_interfaces(self, column: Column, interfaces: Sequence[Interface]) -> Column:
        factor = _OF_PACKET.get(column.index.metric)
        if factor is None:
            return column
        rows = tuple((interface.server, interface.name) for interface in interfaces)
        more = [factor * _PACKETS_A_TICK * interface.ticks for interface in interfaces]
        return Column(self._churned(column.index, rows), np.concatenate((column.values, more)))


def _last_moving_ms(plan: Plan, t_ms: int, tick_ms: int) -> int:
    """The last tick, before one that is stuck, that is not."""
    first_ms = (plan.start_ms - 1) // tick_ms * tick_ms
    ticks = np.arange(first_ms, t_ms + 1, tick_ms, dtype=np.int64)
    return int(ticks[np.flatnonzero(plan.levels(ticks) * plan.value < 0.5)[-1]])


def _with_rows(index: SeriesIndex, rows: tuple[tuple[str, ...], ...]) -> SeriesIndex:
    return SeriesIndex(index.family, index.metric, index.label_names, (*index.rows, *rows))


def _interfaces(plan: Plan, t_ms: int, tick_ms: int) -> Iterable[Interface]:
    """Each place for an interface has one after the other, every one with a name of its own."""
    tick, first = t_ms // tick_ms, -(-plan.start_ms // tick_ms)
    for place in range(round(plan.strength(t_ms))):
        of = key(0, "churn", plan.incident.id, plan.server, str(place))
        life = _LIVES + of % _LIVES
        number, age = divmod(tick + of // _LIVES % life, life)
        name = f"veth{key(of, str(number)) & 0xFFFFFFFF:08x}"
        yield Interface(plan.server, name, min(age, tick - first))
