"""The official SDK's own client, over standard input and output, in front of a real exporter."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from tests.process.house import House, scratch_env
from tests.servers import Servers, answers, connects, free_port, wait_until

READING = {
    *("list_servers", "query", "query_range", "list_alerts"),
    *("list_incidents", "explain_server", "list_failures"),
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running exporter that has ticked and been analysed."""
    with Servers(tmp_path_factory.mktemp("mcp")) as servers:
        house = House(servers, "memory:")
        house.exporter()
        wait_until(lambda: answers(f"{house.exporter_url}/api/ai-agent/optimized"), "the first analysis", 60)
        yield house.exporter_url


@asynccontextmanager
async def agent(url: str, *flags: str) -> AsyncIterator[Client]:
    """A client of a server that it has started itself."""
    args = ["-m", "exporter", "mcp", "--url", url, *flags]
    async with Client(StdioServerParameters(command=sys.executable, args=args, env=scratch_env())) as client:
        yield client


async def told(client: Client, tool: str, **arguments: Any) -> Any:
    """What a tool answers, as JSON."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return json.loads(result.content[0].text)  # type: ignore[union-attr]  # these tools answer with text


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """Why a tool does not do what it is asked for."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)  # type: ignore[union-attr]  # as above


async def test_an_agent_finds_servers_values_alerts_and_incidents(url: str) -> None:
    async with agent(url) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == READING
        servers = await told(client, "list_servers", role="web", limit=2)
        assert [server["type"] for server in servers["servers"]] == ["web", "web"]
        assert servers["fleet"]["total_count"] == 20
        now = await told(client, "query", promql="count(openmanager_boot_time_seconds)")
        assert now["data"]["result"][0]["value"][1] == "20"
        end = time.time()
        past = await told(client, "query_range", promql="vector(1)", start=str(end - 60), end=str(end), step="30s")
        assert len(past["data"]["result"][0]["values"]) == 3
        assert {"incidents", "recent_incidents", "forecasts"} <= set(await told(client, "list_incidents"))
        about = await told(client, "explain_server", server="web-01", language="ko")
        assert about["server"]["id"] == "web-01"
        assert [server["server"] for server in about["analysis"]["servers"]] == ["web-01"]


async def test_what_is_wrong_is_said_to_the_agent_in_the_exporters_words(url: str) -> None:
    async with agent(url) as client:
        assert "parse error" in await refused(client, "query", promql="sum(")
        assert "unknown server 'nobody'" in await refused(client, "explain_server", server="nobody")
        without_alerter = await told(client, "list_alerts")
        assert without_alerter["alerts"] == []
        assert "alerter" in without_alerter["warnings"][0]


async def test_it_changes_nothing_unless_it_is_allowed_to(url: str) -> None:
    async with agent(url) as client:
        assert "inject_failure" not in {tool.name for tool in (await client.list_tools()).tools}
        assert "inject_failure" in await refused(client, "inject_failure", type="cpu-saturation")


async def test_allowed_to_it_breaks_and_mends(url: str) -> None:
    async with agent(url, "--allow-changes") as client:
        made = await told(client, "inject_failure", type="cpu-saturation", targets=["web-02"], duration="5m", id="mine")
        assert made["id"] == "mine"
        assert [one["id"] for one in (await told(client, "list_failures"))["active"]].count("mine") == 1
        assert await told(client, "clear_failure", id="mine") == {"cleared": "mine"}
        assert "no failure has the id 'other'" in await refused(client, "clear_failure", id="other")


async def test_an_exporter_that_is_not_there_is_said_and_the_server_lives_on() -> None:
    async with agent(f"http://127.0.0.1:{free_port()}") as client:
        assert "Connection refused" in await refused(client, "list_servers")
        assert "Connection refused" in await refused(client, "query", promql="up")


async def test_it_serves_streamable_http_too(url: str) -> None:
    port = free_port()
    command = [sys.executable, "-m", "exporter", "mcp", "--url", url, "--http", f"127.0.0.1:{port}"]
    with subprocess.Popen(command, env=scratch_env(), stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: connects(port), "the server", 60)
            async with Client(f"http://127.0.0.1:{port}/mcp") as client:
                assert {tool.name for tool in (await client.list_tools()).tools} == READING
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--url", "ftp://x"), "--url: 'ftp://x': must start with http:// or https://"),
        (("--http", "9000"), "--http: listen address '9000': must be HOST:PORT with a port up to 65535"),
        (
            ("--http", "0.0.0.0:9000"),
            "--http: '0.0.0.0:9000': must be on loopback: who reaches it is asked for no token",
        ),
    ],
)
def test_what_it_cannot_start_with_is_one_line(flags: tuple[str, ...], message: str) -> None:
    command = [sys.executable, "-m", "exporter", "mcp", *flags]
    ended = subprocess.run(command, env=scratch_env(), capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (2, f"openmanager-exporter: {message}\n")


def test_without_the_extra_it_says_what_to_install() -> None:
    hidden = "import sys; sys.modules['mcp'] = None; from exporter.cli import main; sys.exit(main(['mcp']))"
    ended = subprocess.run(
        [sys.executable, "-c", hidden], env=scratch_env(), capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert "pip install 'openmanager[mcp]'" in ended.stderr


def test_the_exporter_itself_does_not_load_the_sdk() -> None:
    loaded = "import sys, exporter.cli, exporter.app; print('mcp' in sys.modules or 'pydantic' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "False\n"
