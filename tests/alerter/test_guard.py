"""Who may ask the alerter what, and change what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from aiohttp import encode_basic_auth, web
from aiohttp.test_utils import TestClient, TestServer

from alerter.config import Config, Web, WebConfig
from alerter.guard import guard
from alerter.web.web import application
from alerter.wiring import StartError, access
from exporter.access import Access

TOKEN = "6f1c0123456789abcdef"
USER = {"Authorization": encode_basic_auth("alice", "secret")}
STRANGER = {"Authorization": encode_basic_auth("alice", "guess")}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ELSEWHERE = {"Origin": "https://elsewhere.example"}
OPEN, TOKENS = Access(), Access(tokens={"ci": TOKEN})
USERS = Access(users={"alice": "$2y$secret"}, tokens={"ci": TOKEN})


async def status(rights: Access, method: str, path: str, headers: Mapping[str, str]) -> int:
    async def fine(_: web.Request) -> web.Response:
        return web.Response()

    table = [web.route("*", "/{any:.*}", fine)]
    door = guard(rights, lambda password, hashed: hashed == f"$2y${password}")
    async with (
        TestClient(TestServer(application(table, guard=door))) as client,
        client.request(method, path, headers=headers) as response,
    ):
        if response.status == 401:
            assert response.headers["WWW-Authenticate"] in ('Basic realm="openmanager"', "Bearer")
        return response.status


@pytest.mark.parametrize(
    ("rights", "method", "path", "headers", "expected"),
    [
        (OPEN, "GET", "/api/v1/rules", {}, 200),
        (OPEN, "POST", "/api/v2/silences", {}, 200),
        (OPEN, "POST", "/api/v2/silences", ELSEWHERE, 403),
        (OPEN, "GET", "/api/v1/rules", ELSEWHERE, 200),
        (TOKENS, "GET", "/", {}, 200),
        (TOKENS, "POST", "/-/reload", {}, 401),
        (TOKENS, "DELETE", "/api/v2/silence/1", {"Authorization": "Bearer nothing"}, 401),
        (TOKENS, "POST", "/-/reload", BEARER, 200),
        (TOKENS, "POST", "/-/reload", {**BEARER, **ELSEWHERE}, 200),
        (USERS, "GET", "/", {}, 401),
        (USERS, "GET", "/", STRANGER, 401),
        (USERS, "GET", "/", USER, 200),
        (USERS, "POST", "/api/v2/silences", USER, 200),
        (USERS, "GET", "/", BEARER, 200),
        (USERS, "GET", "/-/healthy", {}, 200),
    ],
)
async def test_a_request_needs_what_the_file_asks_for(
    rights: Access, method: str, path: str, headers: Mapping[str, str], expected: int
) -> None:
    assert await status(rights, method, path, headers) == expected


def test_a_file_that_cannot_be_used_is_refused_without_its_secrets(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    path.write_text(f"tokens: {{ci: {TOKEN}}}\nbasic_auth_users: {{alice: hidden}}\n")
    with pytest.raises(StartError) as caught:
        access(Config(web=Web(config=WebConfig(file=str(path)))))
    assert str(caught.value) == f"web.config.file: {path}: basic_auth_users: alice: must be a bcrypt hash"
    path.write_text(f"tokens: {{ci: {TOKEN}}}\n")
    assert access(Config(web=Web(config=WebConfig(file=str(path))))) == TOKENS
