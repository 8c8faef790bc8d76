"""The state of a large fleet, some servers at a time: what a block takes beside its result is that of one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from exporter.model import Server
from exporter.simulation.model import Model, Offsets, State
from exporter.simulation.noise import Floats, Indices
from exporter.simulation.plans import Plan, effects_on

_TOGETHER = 1000  # servers: 40 MB while a block of theirs is made, and arrays that a processor's cache can hold
_SERVER_AXIS = {"loads": 1}  # of a state's arrays; of all others the first


class Batches:
    """A model of the whole fleet made of models of its parts. No server's numbers depend on who else is there."""

    def __init__(self, servers: Sequence[Server], make: Callable[[Sequence[Server]], Model]) -> None:
        """servers: at least one. make: a model of some of them."""
        self._size = len(servers)
        parts = [slice(first, first + _TOGETHER) for first in range(0, len(servers), _TOGETHER)]
        self._parts = [(part, make(servers[part])) for part in parts]
        self.tick_ms = self._parts[0][1].tick_ms

    def follow(self, plans: Sequence[Plan]) -> None:
        """These are the failures from now on."""
        for _, model in self._parts:
            model.effects = effects_on(plans, [server.name for server in model.load.servers])
            model.forget()

    def boot_days(self, day: int) -> Indices:
        """The day at whose start each server was last booted by plan. Shape (n,)."""
        found: Indices = np.concatenate([model.boot_days(day) for _, model in self._parts])
        return found

    def ends(self, first_block: int, blocks: int) -> Indices:
        """When the ticks of some blocks end. Shape (m,), Unix ms."""
        return self._parts[0][1].ends(first_block, blocks)

    def state(self, first_block: int, blocks: int, offsets: Offsets) -> State:
        """Everything about some blocks of one hour."""
        before = offsets(first_block)

        def of(rows: slice, model: Model) -> State:
            return model.state(first_block, blocks, lambda _: before[rows])

        return _joined(((rows, of(rows, model)) for rows, model in self._parts), self._size)


def _joined(states: Iterator[tuple[slice, State]], size: int) -> State:
    """The states of parts as one of `size` servers; of the parts there is one at a time."""
    rows, first = next(states)
    if len(first.cpu) == size:
        return first
    room: dict[str, Any] = {name: _room(name, array, size) for name, array in _arrays(first)}
    whole = replace(first, **room)
    _put(whole, rows, first)
    for rows, part in states:
        _put(whole, rows, part)
    return whole


def _arrays(state: State) -> Iterator[tuple[str, Floats]]:
    values: Iterator[tuple[str, Any]] = ((field.name, getattr(state, field.name)) for field in fields(state))
    return ((name, value) for name, value in values if isinstance(value, np.ndarray))


def _room(name: str, like: Floats, size: int) -> Floats:
    shape = list(like.shape)
    shape[_SERVER_AXIS.get(name, 0)] = size
    return np.empty(shape, like.dtype)


def _put(whole: State, rows: slice, part: State) -> None:
    for name, array in _arrays(part):
        before = (slice(None),) * _SERVER_AXIS.get(name, 0)
        getattr(whole, name)[(*before, rows)] = array
