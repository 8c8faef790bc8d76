"""What all tests share: real servers on loopback ports, ended when the test ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Running, Servers

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Starts real servers for one test and ends them after it."""
    with Servers(tmp_path) as started:
        yield started


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One redis-server for a whole run; take a database or a key prefix of your own."""
    with Servers(tmp_path_factory.mktemp("redis")) as started:
        yield started.redis()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the checkout; the test is skipped where it is not there."""
    if not SHARED.is_dir():
        pytest.skip(f"no reference data at {SHARED}")
    return SHARED
