"""The inventory over HTTP: reading, changing, and what is refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web

from exporter.access import Access
from exporter.model import Server
from exporter.web.errors import Handler
from exporter.web.live import Live
from exporter.web.server import build
from exporter.web.servers import Decide, RegisterAway
from tests.web.fleet import T0_MS
from tests.web.site import Book, Client, Kept, parts, serving, site

WEB_04 = "/api/servers/web-04"
TOKEN = "a-long-enough-token"


async def asked(
    client: Client, method: str, path: str, status: int, headers: Mapping[str, str] | None = None, **sent: Any
) -> Any:
    """The JSON of an answer, which has to have this status."""
    async with client.request(method, path, headers=headers, **sent) as response:
        assert response.status == status, await response.text()
        return await response.json() if response.content_type == "application/json" else None


async def tag_of(client: Client, path: str) -> str:
    async with client.get(path) as response:
        return response.headers["ETag"]


async def test_servers_are_listed_in_pages_and_unknown_ones_are_404() -> None:
    async with site() as client:
        whole = await asked(client, "GET", "/api/servers", 200)
        assert [server["id"] for server in whole["servers"]] == ["api-01", "db-01", "web-01"] and "next" not in whole
        page = await asked(client, "GET", "/api/servers?limit=2", 200)
        assert [server["id"] for server in page["servers"]] == ["api-01", "db-01"]
        rest = await asked(client, "GET", f"/api/servers?limit=2&after={page['next']}", 200)
        assert [server["id"] for server in rest["servers"]] == ["web-01"] and "next" not in rest
        assert (await asked(client, "GET", "/api/servers/web-01", 200))["role"] == "web"
        for path in ("/api/servers/web-99", "/api/servers/a%2Fb", "/api/servers/%EC%84%9C", "/api/servers/%FF"):
            assert (await asked(client, "GET", path, 404))["error"]["code"] == "not_found"
        for query in ("limit=0", "limit=x", "limit=-1", "limit=1e3", "after=none"):
            assert (await asked(client, "GET", f"/api/servers?{query}", 400))["error"]["code"] == "bad_request"


async def test_a_long_list_is_whole() -> None:
    names = [f"web-{number:04d}" for number in range(2_345)]
    room = build(parts(Live(), Kept(), register=Book(*names)))
    async with serving(room) as client:
        found = await asked(client, "GET", "/api/servers", 200)
        assert [server["id"] for server in found["servers"]] == names


async def test_put_adds_a_server_as_its_role_has_it_and_again_changes_nothing() -> None:
    async with site() as client:
        new = await asked(client, "PUT", WEB_04, 201, json={"role": "web", "cores": 8})
        assert (new["id"], new["cores"], new["memory_bytes"], new["services"]) == ("web-04", 8, 8 << 30, ["nginx"])
        tag = await tag_of(client, WEB_04)
        assert await asked(client, "PUT", WEB_04, 200, json=new) == new == await asked(client, "GET", WEB_04, 200)
        assert await tag_of(client, WEB_04) == tag
        await asked(client, "GET", WEB_04, 304, {"If-None-Match": tag})


async def test_patch_merges_and_null_takes_away() -> None:
    async with site() as client:
        await asked(client, "PATCH", "/api/servers/web-01", 200, json={"labels": {"team": "shop", "tier": "1"}})
        limits = {"cpu": {"warning": 60}}
        found = await asked(
            client, "PATCH", "/api/servers/web-01", 200, json={"labels": {"tier": None}, "thresholds": limits}
        )
        assert found["labels"] == {"team": "shop"}
        assert found["thresholds"] == {"cpu": {"warning": 60.0, "critical": None}}
        gone = await asked(client, "PATCH", "/api/servers/web-01", 200, json={"thresholds": None})
        assert gone["thresholds"] == {} and gone["labels"] == {"team": "shop"}
        await asked(client, "PATCH", WEB_04, 404, json={"notes": "x"})
        await asked(client, "PATCH", "/api/servers/web-01", 400, json={"id": "web-02"})
        deep = b'{"a":' * 1000 + b"1" + b"}" * 1000
        refused = await asked(client, "PATCH", "/api/servers/web-01", 400, data=deep)
        assert refused["error"]["message"] == "the body is nested more than 32 levels deep"
        await asked(client, "PUT", "/api/servers/web-01", 400, data=b'{"role": "web", "labels": ' + deep + b"}")


async def test_post_adds_and_refuses_a_name_that_is_taken() -> None:
    async with site() as client:
        async with client.post("/api/servers", json={"id": "web-04", "role": "web"}) as response:
            assert (response.status, response.headers["Location"]) == (201, WEB_04)
        await asked(client, "POST", "/api/servers", 409, json={"id": "web-04", "role": "web"})
        await asked(client, "POST", "/api/servers", 400, json={"role": "web"})


async def test_delete_removes_and_the_last_one_stays() -> None:
    async with site() as client:
        await asked(client, "DELETE", "/api/servers/db-01", 204)
        await asked(client, "DELETE", "/api/servers/db-01", 404)
        await asked(client, "DELETE", "/api/servers/api-01", 204)
        refused = await asked(client, "DELETE", "/api/servers/web-01", 409)
        assert refused["error"]["message"] == "id: 'web-01': is the last server of the fleet"


async def test_whoever_writes_on_top_of_somebody_elses_change_is_told() -> None:
    async with site() as client:
        tag = await tag_of(client, "/api/servers/web-01")
        await asked(client, "PATCH", "/api/servers/web-01", 200, {"If-Match": tag}, json={"notes": "mine"})
        for method, sent in (("PUT", {"json": {"role": "web"}}), ("PATCH", {"json": {"notes": "x"}}), ("DELETE", {})):
            found = await asked(client, method, "/api/servers/web-01", 412, {"If-Match": tag}, **sent)
            assert found["error"]["code"] == "precondition_failed"
        await asked(client, "PUT", "/api/servers/web-01", 412, {"If-None-Match": "*"}, json={"role": "web"})
        await asked(client, "PUT", WEB_04, 412, {"If-Match": "*"}, json={"role": "web"})
        await asked(client, "PUT", WEB_04, 201, {"If-None-Match": "*"}, json={"role": "web"})
        assert (await asked(client, "GET", "/api/servers/web-01", 200))["notes"] == "mine"


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (WEB_04, b"{", "the body is not JSON"),
        (WEB_04, b"[]", "the body must be a JSON object"),
        (WEB_04, b'{"notes": "\xff"}', "the body is not JSON"),
        (WEB_04, b"{}", "Object missing required field `role`"),
        (WEB_04, b'{"role": "mainframe"}', "role: 'mainframe': must be one of api, db, web"),
        (WEB_04, b'{"role": "web", "cores": 0}', "cores: 0: Expected `int` >= 1"),
        (WEB_04, b'{"role": "web", "id": "web-05"}', "id: 'web-05': must be 'web-04', as in the path"),
        ("/api/servers/a%2Fb", b'{"role": "web"}', "id: 'a/b': Expected `str` matching regex"),
        ("/api/servers/%EC%84%9C", b'{"role": "web"}', "id: '서': Expected `str` matching regex"),
    ],
)
async def test_a_mistake_is_400_and_named(path: str, body: bytes, message: str) -> None:
    async with site() as client:
        found = await asked(client, "PUT", path, 400, data=body)
        assert found["error"]["message"].startswith(message)
        assert len((await asked(client, "GET", "/api/servers", 200))["servers"]) == 3


async def test_ten_megabytes_are_refused_before_they_are_read() -> None:
    async with site() as client:
        found = await asked(client, "PUT", WEB_04, 413, data=b'{"notes": "' + b"x" * (10 << 20) + b'"}')
        assert found["error"]["code"] == "too_large"


async def test_changing_servers_needs_a_token_when_others_can_reach_it() -> None:
    body = {"role": "web"}
    async with site(local=False, access=Access(tokens={"test": TOKEN})) as client:
        for method in ("PUT", "PATCH", "DELETE"):
            await asked(client, method, WEB_04, 401, json=body)
            await asked(client, method, WEB_04, 401, {"Authorization": f"Bearer {TOKEN}x"}, json=body)
        await asked(client, "PUT", WEB_04, 201, {"Authorization": f"Bearer {TOKEN}"}, json=body)
        await asked(client, "GET", WEB_04, 200)


async def test_every_change_is_noted_with_whose_it_was_and_no_attempt_is() -> None:
    async with site(local=False, access=Access(tokens={"alice": TOKEN})) as client:
        key = {"Authorization": f"Bearer {TOKEN}"}
        await asked(client, "PUT", WEB_04, 201, key, json={"role": "web", "cores": 8})
        await asked(client, "PUT", WEB_04, 400, key, json={"role": "web", "cores": 0})
        await asked(client, "DELETE", WEB_04, 204, key)
        await asked(client, "DELETE", WEB_04, 404, key)
        gone, made = (await asked(client, "GET", "/api/audit", 200))["entries"]
        assert (made["who"], made["what"], made["subject"]) == ("alice", "write server", "web-04")
        assert made["detail"]["cores"] == 8
        assert (gone["who"], gone["what"], gone["detail"]) == ("alice", "remove server", {})


async def test_maintenance_is_listed_until_it_is_over() -> None:
    now_s = T0_MS / 1000 + 45
    windows = [
        {"start": now_s - 20, "end": now_s - 10},
        {"start": now_s - 10, "end": now_s + 10, "reason": "disk"},
        {"start": now_s + 100, "end": now_s + 200},
    ]
    async with site() as client:
        await asked(client, "PATCH", "/api/servers/db-01", 200, json={"maintenance": windows})
        found = (await asked(client, "GET", "/api/maintenance", 200))["windows"]
        assert found == [
            {"server": "db-01", "start": "2025-05-31T10:00:35Z", "end": "2025-05-31T10:00:55Z", "reason": "disk"},
            {"server": "db-01", "start": "2025-05-31T10:02:25Z", "end": "2025-05-31T10:04:05Z", "reason": ""},
        ]


async def test_a_servers_labels_are_labels_of_its_target() -> None:
    async with site() as client:
        await asked(client, "PATCH", "/api/servers/web-01", 200, json={"labels": {"team": "shop"}})
        (target,) = [
            target
            for target in await asked(client, "GET", "/api/prometheus/sd", 200)
            if target["labels"]["instance"] == "web-01"
        ]
        assert target["labels"]["team"] == "shop"


class Away(Book):
    """A register whose database answers nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__("web-01")
        self.entered, self.over = threading.Event(), threading.Event()
        self.tries = 0

    def change(self, name: str, decide: Decide) -> Server | None:
        self.tries += 1
        self.entered.set()
        self.over.wait(30)
        raise RegisterAway("inventory postgresql://me:***@db/x: no answer")


async def test_a_database_that_is_away_refuses_every_change_after_one_wait_and_no_read() -> None:
    away, arrived = Away(), [0]

    @web.middleware
    async def counting(request: web.Request, handler: Handler) -> web.StreamResponse:
        arrived[0] += 1
        return await handler(request)

    room = build(parts(Live(), Kept(), register=away))
    room.application.middlewares.append(counting)
    async with serving(room) as client:
        changes = [
            asyncio.create_task(asked(client, "PATCH", "/api/servers/web-01", 503, json={"notes": str(number)}))
            for number in range(20)
        ]
        await asyncio.to_thread(away.entered.wait, 30)
        while arrived[0] < 20:
            await asyncio.sleep(0)
        for _ in range(3):  # by then every body is read
            assert (await asked(client, "GET", "/api/servers/web-01", 200))["notes"] == ""
        away.over.set()
        errors = [(await change)["error"] for change in changes]
    assert {error["code"] for error in errors} == {"inventory_away"}
    assert errors[0]["message"] == "inventory postgresql://me:***@db/x: no answer; nothing has changed"
    assert away.tries < 5
