"""A simulated fleet broken over HTTP: what is refused, what is remembered, and who did it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from exporter.access import Access
from exporter.failures import SimulatedFailures
from exporter.inventory.database import InventoryUnavailable
from exporter.model import Server
from exporter.simulation.fleet import make_fleet, shipped_roles
from exporter.simulation.incidents import IncidentLog
from exporter.simulation.scenarios import shipped_scenarios
from tests.web.fleet import T0_MS
from tests.web.site import Book, Client, site

NOW_S = T0_MS / 1000 + 45.0
NEXT_S = T0_MS / 1000 + 60.0
SECRET = "a-token-that-nobody-guesses"


class Everyone(Book):
    """The whole simulated fleet."""

    def servers(self) -> Mapping[str, Server]:
        return {server.name: server for server in make_fleet(20)}


REGISTER = Everyone()


class Clock:
    def __init__(self) -> None:
        self.now = NOW_S

    def __call__(self) -> float:
        return self.now


class Away:
    """A store that is away."""

    def save_incident(self, record: Mapping[str, Any]) -> None:
        raise InventoryUnavailable("inventory postgresql://…: connection refused")


def a_fleet(store: Any = None, clock: Clock | None = None) -> SimulatedFailures:
    log = IncidentLog(make_fleet(20), shipped_roles(), shipped_scenarios(), store=store)
    return SimulatedFailures(log, clock or Clock())


async def asked(client: Client, status: int, **body: Any) -> Any:
    async with client.post("/api/scenarios", json=body) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def got(client: Client, path: str) -> Any:
    async with client.get(path) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_without_targets_or_a_duration_it_happens_as_its_scenario_says() -> None:
    async with site(failures=a_fleet(), register=REGISTER) as client:
        made = await asked(client, 201, type="database-disk-cascade")
        assert (made["start"], made["duration"], made["root"]["server"][:3]) == (NEXT_S, "11m", "db-")
        listing = await got(client, "/api/scenarios")
        (known,) = [of for of in listing["types"] if of["type"] == "database-disk-cascade"]
        assert (known["fault"], known["role"], known["duration"]) == ("disk_fill", "database", "11m")
        assert listing["active"] == [made]


async def test_with_a_ttl_it_lasts_until_it_is_cleared_or_nobody_asks_any_more() -> None:
    clock = Clock()
    async with site(failures=a_fleet(clock=clock), register=REGISTER) as client:
        wish = {"type": "cpu-saturation", "targets": ["web-01"], "ttl": "5m", "id": "mine"}
        assert (await asked(client, 201, **wish))["end"] == NEXT_S + 300
        clock.now += 240
        renewed = await asked(client, 200, **wish)
        assert (renewed["start"], renewed["end"], renewed["cleared"]) == (NEXT_S, NEXT_S + 540, False)
        clock.now += 541
        assert (await got(client, "/api/scenarios"))["active"] == []
        assert (await asked(client, 200, **wish))["end"] == NEXT_S + 540  # over is over


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"ttl": "5m", "duration": "5m"}, 400, "ttl: must not be set together with duration"),
        ({"duration": "-5m"}, 400, 'duration: not a valid duration string: "-5m"'),
        ({"ttl": -1}, 400, "ttl: must be from 1s to 7d, as a number of seconds or a Prometheus duration"),
        ({"id": "taken", "targets": ["web-02"]}, 409, "id 'taken': is that of another incident, of scenario ddos"),
        ({"targets": ["gone-01"]}, 400, "targets: unknown server 'gone-01'"),
    ],
)
async def test_what_cannot_be_injected_is_said_and_changes_nothing(
    body: dict[str, Any], status: int, message: str
) -> None:
    async with site(failures=a_fleet(), register=REGISTER) as client:
        await asked(client, 201, type="ddos", id="taken")
        before = await got(client, "/api/scenarios")
        refused = await asked(client, status, **{"type": "cpu-saturation", "targets": ["web-01"], **body})
        assert refused["error"]["message"] == message
        assert await got(client, "/api/scenarios") == before


async def test_what_cannot_be_kept_is_503_and_does_not_happen() -> None:
    async with site(failures=a_fleet(Away()), register=REGISTER) as client:
        refused = await asked(client, 503, type="ddos")
        assert refused["error"]["message"].startswith("nothing was changed: inventory postgresql://…")
        assert (await got(client, "/api/scenarios"))["active"] == []
        assert (await got(client, "/api/audit"))["entries"] == []


async def test_the_truth_comes_as_lines_too() -> None:
    async with site(failures=a_fleet(), register=REGISTER) as client:
        made = [await asked(client, 201, type=name) for name in ("ddos", "slow-disk")]
        window = f"start={NOW_S}&end={NOW_S + 900}"
        assert sorted(of["id"] for of in (await got(client, f"/api/truth?{window}"))["incidents"]) == sorted(
            of["id"] for of in made
        )
        async with client.get(f"/api/truth?{window}&format=jsonl") as response:
            assert response.content_type == "application/jsonl"
            lines = (await response.text()).splitlines()
        assert len(lines) == 2 and all(line.startswith('{"id":') for line in lines)
        async with client.get("/api/truth?format=xml") as response:
            assert response.status == 400


async def test_the_audit_log_says_who_did_what_when_and_never_a_secret() -> None:
    access = Access(tokens={"deploy": SECRET})
    sent = {"Authorization": f"Bearer {SECRET}"}
    async with site(failures=a_fleet(), register=REGISTER, access=access) as client:
        body = {"type": "ddos", "id": "mine"}
        async with client.post("/api/scenarios", json=body, headers={"Authorization": "Bearer wrong"}) as response:
            assert response.status == 401
        for status in (201, 200):
            async with client.post("/api/scenarios", json=body, headers=sent) as response:
                assert response.status == status
        async with client.delete("/api/scenarios/mine", headers=sent) as response:
            assert response.status == 204
        async with client.get("/api/audit", headers=sent) as response:
            text = await response.text()
            entries = (await response.json())["entries"]
    told = [(of["who"], of["from"], of["what"], of["subject"]) for of in entries]
    assert told == [("deploy", "127.0.0.1", "clear", "mine"), ("deploy", "127.0.0.1", "inject", "mine")]
    assert entries[0]["time"] == "2025-05-31T10:00:45Z" and entries[1]["detail"]["scenario"] == "ddos"
    assert SECRET not in text
