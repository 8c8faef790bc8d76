"""Failures, the unified API, the process, and who may do what."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from aiohttp import encode_basic_auth

from exporter.access import Access, WebConfigError, is_local, load
from exporter.web.live import Live
from exporter.web.server import build
from tests.web.fleet import T0_MS, FleetMaker
from tests.web.site import Book, Client, Kept, parts, serving, site

WISH: dict[str, Any] = {"type": "cpu_spike", "targets": ["web-01"], "duration": "5m", "intensity": 0.5}
TOKEN = "0123456789abcdef"


async def got(client: Client, path: str, status: int = 200) -> Any:
    """The JSON of a GET, whose status must be this."""
    async with client.get(path) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def posted(client: Client, status: int, **options: Any) -> Any:
    """The JSON of an injection, whose status must be this."""
    async with client.post("/api/scenarios", **options) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def test_a_failure_is_injected_listed_and_cleared() -> None:
    async with site() as client:
        made = await posted(client, 201, json=WISH)
        assert (made["type"], made["targets"], made["end"] - made["start"]) == ("cpu_spike", ["web-01"], 300)
        listing = await got(client, "/api/scenarios")
        assert listing["active"] == [made]
        assert {"type": "disk_fill", "description": "A disk fills up."} in listing["types"]
        for status in (204, 404):
            async with client.delete(f"/api/scenarios/{made['id']}") as response:
                assert response.status == status
        assert (await got(client, "/api/scenarios"))["active"] == []


async def test_the_same_id_is_one_failure() -> None:
    async with site() as client:
        wish = {**WISH, "id": "drill-7"}
        assert await posted(client, 201, json=wish) == await posted(client, 200, json=wish)
        assert len((await got(client, "/api/scenarios"))["active"]) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": "meteor"}, "type"), ({"type": 7}, "type"), ({"type": None}, "type"),
        ({"targets": []}, "targets"), ({"targets": "web-01"}, "targets"), ({"targets": ["gone-01"]}, "targets"),
        ({"targets": [1]}, "targets"), ({"duration": "soon"}, "duration"), ({"duration": -5}, "duration"),
        ({"duration": True}, "duration"), ({"duration": "8d"}, "duration"), ({"duration": 1e400}, "duration"),
        ({"intensity": 0}, "intensity"), ({"intensity": 2}, "intensity"), ({"intensity": "much"}, "intensity"),
        ({"intensity": True}, "intensity"), ({"id": "../x"}, "id"), ({"id": ""}, "id"), ({"id": 5}, "id"),
        ({"power": 9}, "power"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_an_injection_is_named(change: dict[str, Any], field: str) -> None:
    async with site() as client:
        body = str({**WISH, **change}).replace("'", '"').replace("True", "true").replace("None", "null")
        error = (await posted(client, 400, data=body.replace("inf", "1e400")))["error"]
        assert error["details"].get("field") == field or "not JSON" in error["message"]
        assert error["code"] == "bad_request"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"\xff\xfe"])
async def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    async with site() as client:
        assert (await posted(client, 400, data=body))["error"]["code"] == "bad_request"
        await posted(client, 413, data=b"x" * 70_000)


async def test_truth_is_asked_by_time() -> None:
    async with site() as client:
        await posted(client, 201, json=WISH)
        assert len((await got(client, "/api/truth"))["incidents"]) == 1
        assert (await got(client, f"/api/truth?start=0&end={T0_MS // 1000 - 1}"))["incidents"] == []
        for query in ("start=x", "start=10&end=5"):
            assert (await got(client, f"/api/truth?{query}", 400))["error"]["code"] == "bad_request"


async def test_where_nothing_is_simulated_nothing_can_be_broken() -> None:
    async with site(failures=None) as client:
        assert (await got(client, "/api/scenarios", 404))["error"]["code"] == "not_found"


@pytest.mark.parametrize("action", ["servers", "summary", "detailed", "health", "status"])
async def test_every_action_of_the_unified_api_answers_in_the_envelope(action: str) -> None:
    async with site() as client:
        body = await got(client, f"/api/unified-metrics?action={action}")
        assert set(body) == {"success", "data", "message", "timestamp", "version"}
        assert (body["success"], body["timestamp"], body["version"]) == (True, "2025-05-31T10:00:45Z", "1.2.3")


async def test_servers_of_the_unified_api_have_the_specified_shape() -> None:
    async with site() as client:
        data = (await got(client, "/api/unified-metrics?limit=1"))["data"]
        assert (data["total_count"], data["healthy_count"], data["warning_count"], data["critical_count"]) == (
            3,
            3,
            0,
            0,
        )
        (server,) = data["servers"]
        assert server["metrics"] == {"cpu": 40.0, "memory": 50.0, "disk": 30.0, "network": {"in": 67, "out": 67}}
        wanted = {"id": "api-01", "name": "api-01", "type": "api", "status": "healthy", "alerts": []}
        assert wanted.items() <= server.items()
        assert server["last_update"] == "2025-05-31T10:00:45Z"


@pytest.mark.parametrize("query", ["action=prometheus", "format=prometheus"])
async def test_the_unified_api_gives_the_page_too(query: str) -> None:
    async with site() as client, client.get(f"/api/unified-metrics?{query}") as response:
        assert (await response.text()).startswith("# HELP openmanager_cpu_usage_percent")


@pytest.mark.parametrize(
    ("query", "field"), [("action=x", "action"), ("limit=-1", "limit"), ("limit=x", "limit"), ("format=xml", "format")]
)
async def test_a_wrong_parameter_of_the_unified_api_is_named(query: str, field: str) -> None:
    async with site() as client:
        body = await got(client, f"/api/unified-metrics?{query}", 400)
        assert (body["success"], body["error"]["details"]) == (False, {"field": field})


async def test_the_unified_api_never_claims_success_without_samples() -> None:
    async with serving(build(parts(Live(), Kept()))) as client:
        assert (await got(client, "/api/unified-metrics", 503))["success"] is False
        assert (await got(client, "/api/unified-metrics?action=health", 503))["success"] is False
        assert (await got(client, "/api/health", 503))["status"] == "degraded"
        async with client.get("/-/ready") as response:
            assert response.status == 503
        async with client.get("/-/healthy") as response:
            assert response.status == 200


async def test_late_ticks_are_bad_health() -> None:
    async with site(now=lambda: T0_MS / 1000 + 45 + 46) as client:
        health = await got(client, "/api/health", 503)
        assert health["checks"][0] == {"name": "ticks", "ok": False, "detail": "the last tick is 46 s old"}


async def test_the_analysis_is_served_whole_and_per_server() -> None:
    report = {
        "incidents": [{"servers": ["web-01"]}, {"servers": ["db-01"]}],
        "forecasts": [{"server": "db-01"}],
        "n": 1,
    }
    async with site(analysis=lambda: report) as client:
        assert (await got(client, "/api/ai-agent/optimized"))["data"] == report
        one = (await got(client, "/api/ai-agent/optimized?server=web-01"))["data"]
        assert one == {"incidents": [{"servers": ["web-01"]}], "forecasts": [], "n": 1}
        assert (await got(client, "/api/ai-agent/optimized?server=x", 404))["error"]["code"] == "not_found"


async def test_the_analysis_speaks_one_language_if_asked_and_is_made_anew_with_each_report() -> None:
    words = {"en": "full", "ko": "가득"}
    reports = [{"incidents": [{"servers": ["web-01"], "title": words}], "forecasts": [], "n": n} for n in (1, 2)]
    now = [reports[0]]
    async with site(analysis=lambda: now[0]) as client:
        for lang, title in (("en", "full"), ("ko", "가득")):
            data = (await got(client, f"/api/ai-agent/optimized?lang={lang}"))["data"]
            assert data["incidents"] == [{"servers": ["web-01"], "title": title}]
        now[0] = reports[1]
        assert (await got(client, "/api/ai-agent/optimized?lang=en"))["data"]["n"] == 2
        refused = await got(client, "/api/ai-agent/optimized?lang=fr", 400)
        assert refused["error"]["message"] == "lang: must be en or ko"


async def test_each_server_is_a_target_of_its_own_for_discovery() -> None:
    async with site() as client:
        targets = await got(client, "/api/prometheus/sd")
        assert [target["labels"]["__param_server"] for target in targets] == ["api-01", "db-01", "web-01"]
        labels = targets[2]["labels"]
        assert (labels["instance"], labels["role"], labels["environment"]) == ("web-01", "web", "test")
        assert targets[0]["targets"] == [f"{client.host}:{client.port}"]


async def test_a_server_of_the_inventory_that_is_silent_is_down() -> None:
    live, maker = Live(), FleetMaker("web-01")
    room = build(parts(live, Kept(), register=Book("web-01", "web-02")))
    live.publish(maker.at(1))
    async with serving(room) as client:
        data = (await got(client, "/api/unified-metrics"))["data"]
        assert [(server["id"], server["status"]) for server in data["servers"]] == [
            ("web-01", "healthy"),
            ("web-02", "down"),
        ]
        assert data["down_count"] == 1


async def test_changing_something_needs_a_token_when_others_can_reach_it() -> None:
    for access, status in ((Access(), 403), (Access(tokens={"ci": TOKEN}), 401)):
        async with site(local=False, access=access) as client:
            assert (await posted(client, status, json=WISH))["error"]["code"] == "token_needed"
            await got(client, "/api/scenarios")
            async with client.post("/api/prometheus/api/v1/query", data={"query": "1"}) as response:
                assert response.status == 200
    async with site(local=False, access=Access(tokens={"ci": TOKEN})) as client:
        await posted(client, 201, json=WISH, headers={"Authorization": f"Bearer {TOKEN}"})
        await posted(client, 401, json=WISH, headers={"Authorization": "Bearer " + TOKEN[:-1]})


async def test_another_sites_page_may_not_change_anything() -> None:
    async with site() as client:
        await posted(client, 403, json=WISH, headers={"Origin": "http://evil.example"})
        await posted(client, 403, json=WISH, headers={"Host": "evil.example"})  # a name rebound to this machine
        await posted(client, 201, json=WISH, headers={"Origin": f"http://{client.host}:{client.port}"})


class Slow:
    """Knows one password and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, password: str, hashed: str) -> bool:
        self.asked += 1
        return (password, hashed) == ("secret", "$2y$alice")


async def test_with_users_every_request_needs_one_except_the_probes() -> None:
    verify = Slow()
    live = Live()
    live.publish(FleetMaker().at(1))
    room = build(parts(live, Kept(), access=Access(users={"alice": "$2y$alice"}), verify=verify))
    async with serving(room) as client:
        for user, password, status in (("alice", "secret", 200), ("alice", "wrong", 401), ("bob", "secret", 401)):
            for _ in range(2):
                headers = {"Authorization": encode_basic_auth(user, password)}
                async with client.get("/metrics", headers=headers) as response:
                    assert response.status == status
        assert verify.asked == 3
        async with client.get("/metrics") as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"].startswith("Basic")
        async with client.get("/-/healthy") as response:
            assert response.status == 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tokens: [a]", "Expected `object`, got `array` - at `$.tokens`"),
        ("token: {a: b}", "unknown field `token`"),
        ("tokens: {ci: short}", "tokens: ci: must have at least 16 characters"),
        ("basic_auth_users: {alice: secret}", "basic_auth_users: alice: must be a bcrypt hash"),
        ("tls_server_config: {cert_file: a.crt, key_file: a.key}", "tls_server_config: FileNotFoundError"),
        ("a: [", "not YAML, line 1"),
    ],
)
def test_a_bad_web_config_file_is_refused_without_its_secrets(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "web.yml"
    path.write_text(text)
    with pytest.raises(WebConfigError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_web_config_file_brings_users_tokens_and_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "server.key", tmp_path / "server.crt"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run([*command, "-days", "1", "-subj", "/CN=localhost"], check=True, capture_output=True)
    path = tmp_path / "web.yml"
    path.write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
        f"basic_auth_users: {{alice: $2y$10$abc}}\ntokens: {{ci: {TOKEN}}}\n"
    )
    access = load(path)
    assert isinstance(access.ssl, ssl.SSLContext)
    assert access.users == {"alice": "$2y$10$abc"}
    assert TOKEN not in repr(access)
    assert "abc" not in repr(access)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
    ],
)
def test_what_is_local(host: str, local: bool) -> None:
    assert is_local(host) is local
