"""Decoded samples stay while they are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.storage.cache import ByteCache


@dataclass(frozen=True)
class Value:
    nbytes: int = 10


def filled(*keys: str, limit: int = 100) -> ByteCache[str, Value]:
    cache: ByteCache[str, Value] = ByteCache(limit)
    for key in keys:
        cache.put(key, Value())
    return cache


def test_what_nobody_asked_for_between_two_sweeps_is_dropped() -> None:
    cache = filled("asked", "again", "idle")
    cache.sweep()
    assert cache.nbytes == 30
    cache.get("asked")
    cache.put("again", Value())
    cache.sweep()
    assert [cache.get(key) is not None for key in ("asked", "again", "idle")] == [True, True, False]
    assert cache.nbytes == 20


def test_clearing_drops_what_was_just_asked_for_too() -> None:
    cache = filled("one", "two")
    cache.get("one")
    cache.clear()
    assert cache.nbytes == 0
    assert cache.get("one") is None


def test_the_least_recently_used_goes_first() -> None:
    cache = filled("old", "used", limit=20)
    cache.get("old")
    cache.put("new", Value())
    assert [cache.get(key) is not None for key in ("old", "used", "new")] == [True, False, True]
