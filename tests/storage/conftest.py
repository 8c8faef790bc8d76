"""Every kind of store, empty, by its URL."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.storage.database import Database
from exporter.storage.open import open_store
from tests.servers import Running

Open = Callable[..., Database]


@pytest.fixture(params=["sqlite", "redis"])
def lasting_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that outlives the process that writes it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/samples.db"
    server: Running = request.getfixturevalue("redis_server")
    return f"{server.url}?prefix={uuid.uuid4().hex}:"


@pytest.fixture(params=["sqlite", "redis", "memory"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Any store."""
    if request.param == "memory":
        return "memory:"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/samples.db"
    server: Running = request.getfixturevalue("redis_server")
    return f"{server.url}?prefix={uuid.uuid4().hex}:"


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens databases, and closes those that the test has not closed."""
    held: list[Database] = []

    def open_database(url: str, **options: object) -> Database:
        held.append(Database(open_store(url), first_retry_s=0.02, **options))  # type: ignore[arg-type]  # passed on
        return held[-1]

    yield open_database
    for database in held:
        database.close(0.1)
